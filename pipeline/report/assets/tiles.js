// The gallery's tiles: one of them is in the tab order, and the arrow keys go from tile to tile.
const grid = find("#grid");
const groups = all(".group", grid);
const tiles = all(".tile", grid);
const indexOf = (element) => Number(element.dataset.i);
const tileButton = (i) => find(`#galaxy-${i} button`);

let visible = tiles.map(indexOf);
let tabStop = null;
const keepTabStop = (i = tabStop) => {
  tabStop = visible.includes(i) ? i : visible[0] ?? null;
  for (const tile of tiles) find("button", tile).tabIndex = indexOf(tile) === tabStop ? 0 : -1;
};

const inRowBeside = (i, down) => {
  const box = (n) => tileButton(n).getBoundingClientRect();
  const place = visible.indexOf(i), here = box(i);
  const beyond = (down ? visible.slice(place + 1) : visible.slice(0, place).reverse())
    .filter((n) => Math.abs(box(n).top - here.top) > 1);
  if (!beyond.length) return undefined;
  const far = (n) => Math.abs(box(n).left - here.left);
  return beyond
    .filter((n) => Math.abs(box(n).top - box(beyond[0]).top) < 1)
    .reduce((a, b) => (far(b) < far(a) ? b : a));
};
const tileAt = {
  Home: () => visible[0],
  End: () => visible.at(-1),
  ArrowLeft: (i) => visible[visible.indexOf(i) - 1],
  ArrowRight: (i) => visible[visible.indexOf(i) + 1],
  ArrowUp: (i) => inRowBeside(i, false),
  ArrowDown: (i) => inRowBeside(i, true),
};

grid.addEventListener("focusin", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) keepTabStop(indexOf(tile));
});
grid.addEventListener("keydown", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile || !(event.key in tileAt) || !find("#card").hidden || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const next = tileAt[event.key](indexOf(tile));
  if (next !== undefined) tileButton(next).focus();
});
