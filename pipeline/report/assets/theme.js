// Light, dark, or as the system has it.
const themes = ["system", "light", "dark"];
const themeButton = find("#theme");
const setTheme = (name) => {
  document.documentElement.dataset.theme = name;
  find("#theme-name").textContent = name;
  themeButton.setAttribute("aria-label", `Theme: ${name}`);
  try { localStorage.setItem("tuningfork-theme", name); } catch { /* storage may be off for local files */ }
};
let stored = null;
try { stored = localStorage.getItem("tuningfork-theme"); } catch { /* as above */ }
setTheme(themes.includes(stored) ? stored : "system");
themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]);
});
