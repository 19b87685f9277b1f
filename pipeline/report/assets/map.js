// The map at work: colours and their legend, hands and keys, a region and its list.
const LISTED = 50;
const REACH = 24;
const select = find("#map-color");
const status = find("#map-status");
let region = [];
let marking = false;

const isDark = () => {
  const [red, green, blue] = getComputedStyle(surface).backgroundColor.match(/[\d.]+/g).map(Number);
  return red + green + blue < 384;
};

const swatch = (color) => {
  const element = make("i", "swatch");
  element.style.setProperty("--c", color);
  return element;
};

const colorByQuestion = (question) => {
  const none = question.answers.length;
  const counts = new Uint32Array(none + 1);
  for (let galaxy = 0; galaxy < many; galaxy += 1) {
    const said = mostFrequent(question, galaxy);
    codes[galaxy] = said ? said.answer : none;
    counts[codes[galaxy]] += 1;
  }
  const colors = question.answers.map((_, number) => data.series[number % data.series.length]);
  shown.colors = [...colors, shown.quiet];
  const texts = counts[none] ? [...question.answers, "most aren’t asked"] : question.answers;
  return make("div", "chips", ...texts.map((text, code) => {
    const chip = make("button", "chip", swatch(shown.colors[code]), text,
      make("span", "chip-count", counts[code].toLocaleString("en")));
    chip.type = "button";
    chip.addEventListener("click", () => {
      const found = [];
      for (let galaxy = 0; galaxy < many; galaxy += 1) if (codes[galaxy] === code) found.push(galaxy);
      showRegion(found, text);
    });
    return chip;
  }));
};

const colorByShare = (answer) => {
  shown.colors = data.ramps[isDark() ? "dark" : "light"];
  for (let galaxy = 0; galaxy < many; galaxy += 1) {
    codes[galaxy] = Math.round(shares[answer * many + galaxy] / 255 * (shown.colors.length - 1));
  }
  const bar = make("div", "ramp", ...shown.colors.map((color) => {
    const part = make("i");
    part.style.setProperty("--c", color);
    return part;
  }));
  return make("div", "", bar, make("div", "ramp-ends", make("span", "", "0%"), make("span", "", "100%")),
    make("p", "note", "Share of all volunteers."));
};

const recolor = () => {
  shown.quiet = isDark() ? "#3a4252" : "#cfd3da";
  shown.ink = isDark() ? "#ffffff" : "#000000";
  const chosen = select.value;
  const legend = chosen.startsWith("q")
    ? colorByQuestion(questions[Number(chosen.slice(1))]) : colorByShare(Number(chosen));
  find("#map-legend").replaceChildren(legend);
  find("#map-legend-title").textContent = select.selectedOptions[0].textContent;
  draw();
};

const showGalaxy = (galaxy, aloud) => {
  if (galaxy === shown.current) return;
  shown.current = galaxy;
  draw();
  if (galaxy < 0) return;
  const said = saidOf(galaxy);
  const parts = [make("h4", "", ids[galaxy])];
  const picture = pictureCanvas(galaxy, 128, "map-picture");
  if (picture) parts.unshift(picture);
  parts.push(make("ul", "", ...said.map(({ question, answer, share }) => {
    const row = make("li", "", make("span", "", answer), make("span", "number", percent(share)));
    row.title = question;
    return row;
  })));
  const ra = skyRa[galaxy], dec = skyDec[galaxy];
  if (Number.isFinite(ra) && Number.isFinite(dec)) {
    const link = make("a", "", `See ${ra.toFixed(4)}°, ${dec.toFixed(4)}° in the Legacy Surveys`);
    link.href = `https://www.legacysurvey.org/viewer?ra=${ra}&dec=${dec}&layer=ls-dr10&zoom=14`;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    parts.push(link);
  }
  find("#map-galaxy").replaceChildren(...parts);
  if (aloud) status.textContent = [ids[galaxy], ...said.map(({ answer }) => answer)].join(", ");
};

const listed = (galaxy) => {
  const button = make("button", "quiet", ids[galaxy]);
  button.type = "button";
  button.addEventListener("click", () => {
    view.zoom = Math.max(view.zoom, 20);
    moveTo(across[galaxy], down[galaxy]);
    showGalaxy(galaxy, true);
    surface.scrollIntoView({ block: "nearest" });
  });
  const said = saidOf(galaxy).map(({ answer, share }) => `${answer} ${percent(share)}`).join("; ");
  const picture = pictureCanvas(galaxy, data.tile, "") ?? "–";
  return make("tr", "", make("td", "", picture), make("td", "", button), make("td", "", said));
};

const showRegion = (galaxies, name = "") => {
  region = galaxies;
  marked.fill(0);
  for (const galaxy of region) marked[galaxy] = 1;
  shown.anyMarked = region.length > 0;
  const words = `${region.length.toLocaleString("en")} ${region.length === 1 ? "galaxy" : "galaxies"}${name ? `: ${name}` : ""}`;
  find("#map-region").hidden = !region.length;
  find("#map-region-title").textContent = words;
  find("#map-rows").replaceChildren(...region.slice(0, LISTED).map(listed));
  find("#map-more").textContent = region.length > LISTED ? `The first ${LISTED}; the file has all.` : "";
  status.textContent = region.length ? `${words} in the list below the map.` : "No galaxies there.";
  draw();
};

const listView = () => showRegion(within(0, 0, surface.clientWidth, surface.clientHeight), "in view");

// As tables of tags are read again: what a spreadsheet could execute gets an apostrophe.
const guarded = (text) => (/^'*[=+\-@\t\r\n]/.test(text) && !/^'*[+-][\w.+-]*$/.test(text) ? `'${text}` : text);
const field = (value) => {
  const text = guarded(value);
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const degrees = (value) => (Number.isFinite(value) ? value.toFixed(5) : "");

find("#map-csv").addEventListener("click", () => {
  const tag = find("#map-tag").value.trim() || "region";
  const lines = region.map((galaxy) =>
    `${field(ids[galaxy])},${field(tag)},${degrees(skyRa[galaxy])},${degrees(skyDec[galaxy])}\n`);
  const link = make("a");
  link.href = URL.createObjectURL(new Blob(["object_id,tag,ra,dec\n", ...lines], { type: "text/csv" }));
  link.download = `${tag.replace(/[^\w-]+/g, "-")}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
  status.textContent = `${region.length} galaxies are in ${link.download}.`;
});
find("#map-clear").addEventListener("click", () => { showRegion([]); surface.focus(); });
find("#map-view").addEventListener("click", listView);
find("#map-in").addEventListener("click", () => zoomAt(1.6));
find("#map-out").addEventListener("click", () => zoomAt(1 / 1.6));
const wholeMap = () => { view.zoom = 1; moveTo(0.5, 0.5); };
find("#map-all").addEventListener("click", wholeMap);
find("#map-mark").addEventListener("click", () => {
  marking = !marking;
  find("#map-mark").setAttribute("aria-pressed", String(marking));
  surface.classList.toggle("marking", marking);
});
find("#map-pictures").addEventListener("click", () => {
  shown.pictures = !shown.pictures;
  find("#map-pictures").setAttribute("aria-pressed", String(shown.pictures));
  draw();
});
select.addEventListener("change", recolor);

// Fingers and mouse: one moves or marks, two zoom.
const fingers = new Map();
let begun = null;
const at = (event) => {
  const box = surface.getBoundingClientRect();
  return [event.clientX - box.left - surface.clientLeft, event.clientY - box.top - surface.clientTop];
};
const spread = () => {
  const [[x0, y0], [x1, y1]] = [...fingers.values()];
  return { apart: Math.hypot(x1 - x0, y1 - y0), x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
};

surface.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  surface.setPointerCapture(event.pointerId);
  const [x, y] = at(event);
  fingers.set(event.pointerId, [x, y]);
  begun = fingers.size === 1
    ? { x, y, viewX: view.x, viewY: view.y, marks: marking || event.shiftKey, moved: false }
    : { pinch: spread(), moved: true };
});
surface.addEventListener("pointermove", (event) => {
  const [x, y] = at(event);
  if (!fingers.has(event.pointerId)) {
    if (!fingers.size) showGalaxy(nearest(x, y, REACH), false);
    return;
  }
  fingers.set(event.pointerId, [x, y]);
  if (!begun) return;
  if (begun.pinch) {
    const now = spread();
    zoomAt(now.apart / Math.max(begun.pinch.apart, 1), begun.pinch.x, begun.pinch.y);
    moveTo(view.x - (now.x - begun.pinch.x) / scale(), view.y - (now.y - begun.pinch.y) / scale());
    begun.pinch = now;
    return;
  }
  if (Math.hypot(x - begun.x, y - begun.y) > 4) begun.moved = true;
  if (!begun.moved) return;
  if (begun.marks) {
    shown.box = [Math.min(x, begun.x), Math.min(y, begun.y), Math.abs(x - begun.x), Math.abs(y - begun.y)];
    draw();
  } else {
    surface.classList.add("moving");
    moveTo(begun.viewX - (x - begun.x) / scale(), begun.viewY - (y - begun.y) / scale());
  }
});
const release = (event) => {
  if (!fingers.delete(event.pointerId)) return;
  surface.classList.remove("moving");
  const box = shown.box;
  shown.box = null;
  if (event.type === "pointerup" && begun && !begun.pinch) {
    const [x, y] = at(event);
    if (box) showRegion(within(box[0], box[1], box[0] + box[2], box[1] + box[3]));
    else if (!begun.moved) {
      showGalaxy(nearest(x, y, REACH), false);
      showRegion(within(x - REACH, y - REACH, x + REACH, y + REACH));
    }
  }
  begun = null;
  draw();
};
surface.addEventListener("pointerup", release);
surface.addEventListener("pointercancel", release);
surface.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomAt(Math.exp(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) / 300), ...at(event));
}, { passive: false });

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
surface.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const step = STEPS[event.key];
  const part = 0.12 * Math.min(surface.clientWidth, surface.clientHeight) / scale();
  if (step) moveTo(view.x + part * step[0], view.y + part * step[1]);
  else if (event.key === "+" || event.key === "=") zoomAt(1.6);
  else if (event.key === "-") zoomAt(1 / 1.6);
  else if (event.key === "0") wholeMap();
  else if (event.key === "Enter") listView();
  else if (event.key === "Escape") showRegion([]);
  else return;
  event.preventDefault();
  if (event.key !== "Enter" && event.key !== "Escape") {
    showGalaxy(nearest(surface.clientWidth / 2, surface.clientHeight / 2, Infinity), true);
  }
});

load().then(() => {
  recolor();
  for (const sheet of sheets) sheet.addEventListener("load", draw);
  new ResizeObserver(draw).observe(surface);
  new MutationObserver(recolor).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
  surface.dataset.ready = "true";
}).catch((error) => {
  status.classList.remove("hidden");
  status.textContent = `This browser can't unpack the map: ${error.message}. Use a current one.`;
});
