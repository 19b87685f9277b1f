// The galaxies, and which of them are visible: one filter for the field and the gallery.
const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const percent = (share) => {
  if (share > 0 && share < 0.001) return "<0.1%";
  const value = Math.round(1e5 * share) / 1e3;
  if (value > 99.9 && value < 100) return ">99.9%";
  return value.toFixed((value > 0 && value < 10) || (value > 99 && value < 100) ? 1 : 0) + "%";
};
const make = (tag, className, ...children) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
};

const grid = find("#grid");
const groups = all(".group", grid);
const tiles = all(".tile", grid);
const rings = all(".ring");
const chips = all(".chip");
const search = find("#search"), sort = find("#sort"), least = find("#least");
const badges = new Map(groups.map((group) => [Number(group.dataset.class), {
  badge: find(".badge", group), name: find("h3", group).textContent,
}]));
const badgeOf = (galaxy) => badges.get(galaxy.class).badge.cloneNode(true);
const classNameOf = (galaxy) => badges.get(galaxy.class).name;

const chosenClasses = new Set();
let visible = tiles.map((tile) => Number(tile.dataset.i));

const compare = {
  sure: (a, b) => b.confidence - a.confidence,
  unsure: (a, b) => a.confidence - b.confidence,
  id: (a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }),
};

const order = () => {
  const byClass = sort.value === "class";
  grid.classList.toggle("flat", !byClass);
  const tileOf = new Map(tiles.map((tile) => [Number(tile.dataset.i), tile]));
  const sorted = tiles.map((tile) => Number(tile.dataset.i)).sort((a, b) => {
    const first = data.galaxies[a], second = data.galaxies[b];
    return byClass ? first.class - second.class || compare.sure(first, second) : compare[sort.value](first, second);
  });
  const rows = [];
  let shownClass = null;
  for (const i of sorted) {
    const cls = data.galaxies[i].class;
    if (byClass && cls !== shownClass) {
      rows.push(groups.find((group) => Number(group.dataset.class) === cls));
      shownClass = cls;
    }
    rows.push(tileOf.get(i));
  }
  grid.replaceChildren(...(byClass ? [] : groups), ...rows);
};

const applyFilter = () => {
  const text = search.value.trim().toLowerCase();
  const floor = Number(least.value) / 100;
  const matches = (galaxy) =>
    (!chosenClasses.size || chosenClasses.has(galaxy.class)) &&
    galaxy.confidence >= floor &&
    (!text || galaxy.id.toLowerCase().includes(text));
  const keep = data.galaxies.map(matches);
  const classesLeft = new Set();
  visible = [];
  for (const row of grid.children) {
    if (!row.classList.contains("tile")) continue;
    const i = Number(row.dataset.i);
    row.hidden = !keep[i];
    if (keep[i]) { visible.push(i); classesLeft.add(data.galaxies[i].class); }
  }
  for (const group of groups) group.hidden = !classesLeft.has(Number(group.dataset.class));
  for (const ring of rings) ring.classList.toggle("off", !keep[Number(ring.dataset.i)]);
  for (const chip of chips) {
    const on = chip.dataset.class === "all" ? !chosenClasses.size : chosenClasses.has(Number(chip.dataset.class));
    chip.setAttribute("aria-pressed", String(on));
  }
  find("#least-value").textContent = `${least.value}%`;
  find("#matches").textContent = visible.length === data.galaxies.length
    ? `${visible.length} ${visible.length === 1 ? "galaxy" : "galaxies"}` : `${visible.length} of ${data.galaxies.length}`;
  if (data.galaxies.length) find("#empty").hidden = visible.length > 0;
};

for (const chip of chips) {
  chip.addEventListener("click", () => {
    const cls = Number(chip.dataset.class);
    if (chip.dataset.class === "all") chosenClasses.clear();
    else if (!chosenClasses.delete(cls)) chosenClasses.add(cls);
    applyFilter();
  });
}
search.addEventListener("input", applyFilter);
least.addEventListener("input", applyFilter);
sort.addEventListener("change", () => { order(); applyFilter(); });
find("#reset").addEventListener("click", () => {
  chosenClasses.clear();
  search.value = "";
  least.value = "0";
  sort.value = "class";
  order();
  applyFilter();
});
// A browser may bring back what was typed before the page was loaded again.
order();
applyFilter();
