// Drawing: points as pixels, pictures of those that have room, the region that is marked.
const surface = find("#map-canvas");
const pen = surface.getContext("2d", { willReadFrequently: true }); // pixels are written by the processor
const view = { x: 0.5, y: 0.5, zoom: 1 };
const MOST_ZOOM = 400;
const codes = new Uint8Array(many);
const marked = new Uint8Array(many);
const shown = { colors: [], quiet: "", ink: "", pictures: true, anyMarked: false, current: -1, box: null };
let pixels = null;
let roomy = { zoom: 0, galaxies: [] };

const ratio = () => Math.min(window.devicePixelRatio || 1, 2);
const scale = () => 0.94 * Math.min(surface.clientWidth, surface.clientHeight) * view.zoom;
const toScreen = (galaxy) => [
  (across[galaxy] - view.x) * scale() + surface.clientWidth / 2,
  (down[galaxy] - view.y) * scale() + surface.clientHeight / 2,
];
const toMap = (x, y) => [
  view.x + (x - surface.clientWidth / 2) / scale(),
  view.y + (y - surface.clientHeight / 2) / scale(),
];

const word = (color) => {
  const [red, green, blue] = [1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16));
  return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
};

const drawPoints = (wide, high) => {
  if (!pixels || pixels.width !== wide || pixels.height !== high) pixels = pen.createImageData(wide, high);
  const buffer = new Uint32Array(pixels.data.buffer);
  buffer.fill(0);
  const words = shown.colors.map(word);
  const quiet = word(shown.quiet);
  const size = Math.max(1, Math.round(ratio() * Math.min(7, 1.5 * view.zoom ** 0.4)));
  const k = scale() * ratio();
  const left = wide / 2 - view.x * k - size / 2, top = high / 2 - view.y * k - size / 2;
  for (let turn = shown.anyMarked ? 0 : 1; turn < 2; turn += 1) {
    for (let galaxy = 0; galaxy < many; galaxy += 1) {
      if (shown.anyMarked && marked[galaxy] !== turn) continue;
      const x = (across[galaxy] * k + left) | 0, y = (down[galaxy] * k + top) | 0;
      if (x < 0 || y < 0 || x + size > wide || y + size > high) continue;
      const color = turn ? words[codes[galaxy]] : quiet;
      for (let row = 0; row < size; row += 1) {
        const from = (y + row) * wide + x;
        const cut = size > 3 && (row === 0 || row === size - 1) ? 1 : 0;
        for (let column = cut; column < size - cut; column += 1) buffer[from + column] = color;
      }
    }
  }
  pen.putImageData(pixels, 0, 0);
};

// Galaxies whose pictures don't overlap, the earlier ones first: the same wherever the map is moved to.
const side = () => Math.min(64, Math.round(16 * view.zoom ** 0.55));
const withRoom = () => {
  if (roomy.zoom === view.zoom && roomy.size === scale()) return roomy.galaxies;
  const apart = side() * (view.zoom < 8 ? 2 : 1.15) / scale();
  const taken = new Map();
  const galaxies = data.pictured.filter((galaxy) => {
    const column = Math.floor(across[galaxy] / apart), row = Math.floor(down[galaxy] / apart);
    for (let i = column - 1; i <= column + 1; i += 1) {
      for (let j = row - 1; j <= row + 1; j += 1) {
        const other = taken.get(i * 65536 + j);
        if (other !== undefined && Math.abs(across[other] - across[galaxy]) < apart
          && Math.abs(down[other] - down[galaxy]) < apart) return false;
      }
    }
    taken.set(column * 65536 + row, galaxy);
    return true;
  });
  roomy = { zoom: view.zoom, size: scale(), galaxies };
  return galaxies;
};

const drawPictures = () => {
  const size = side();
  pen.lineWidth = 2;
  for (const galaxy of withRoom()) {
    const [x, y] = toScreen(galaxy);
    if (x < -size || y < -size || x > surface.clientWidth + size || y > surface.clientHeight + size) continue;
    if (shown.anyMarked && !marked[galaxy]) continue;
    if (!drawPicture(pen, galaxy, x - size / 2, y - size / 2, size)) continue;
    pen.strokeStyle = shown.colors[codes[galaxy]];
    pen.strokeRect(x - size / 2, y - size / 2, size, size);
  }
};

const paint = () => {
  const wide = Math.round(surface.clientWidth * ratio()), high = Math.round(surface.clientHeight * ratio());
  if (!wide || !high) return;
  if (surface.width !== wide || surface.height !== high) { surface.width = wide; surface.height = high; }
  pen.setTransform(1, 0, 0, 1, 0, 0);
  drawPoints(wide, high);
  pen.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  if (shown.pictures && view.zoom > 1.3) drawPictures();
  pen.strokeStyle = shown.ink;
  pen.lineWidth = 2;
  if (shown.current >= 0) {
    const [x, y] = toScreen(shown.current);
    pen.beginPath();
    pen.arc(x, y, 9, 0, 2 * Math.PI);
    pen.stroke();
  }
  if (shown.box) {
    pen.setLineDash([6, 4]);
    pen.strokeRect(...shown.box);
    pen.setLineDash([]);
  }
};

let waiting = false;
const draw = () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; paint(); });
};

const moveTo = (x, y) => {
  view.x = Math.min(Math.max(x, 0), 1);
  view.y = Math.min(Math.max(y, 0), 1);
  draw();
};

// Zooms such that what is at a place of the screen stays there.
const zoomAt = (factor, x = surface.clientWidth / 2, y = surface.clientHeight / 2) => {
  const [mapX, mapY] = toMap(x, y);
  view.zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
  const [nowX, nowY] = toMap(x, y);
  moveTo(view.x + mapX - nowX, view.y + mapY - nowY);
};

// The galaxy nearest to a place of the screen, and within so many pixels of it; -1 if there is none.
const nearest = (x, y, reach) => {
  const [mapX, mapY] = toMap(x, y);
  let least = (reach / scale()) ** 2, found = -1;
  for (let galaxy = 0; galaxy < many; galaxy += 1) {
    const apart = (across[galaxy] - mapX) ** 2 + (down[galaxy] - mapY) ** 2;
    if (apart < least) { least = apart; found = galaxy; }
  }
  return found;
};

// Galaxies in a rectangle of the screen, those in its middle first.
const within = (left, top, right, bottom) => {
  const [x0, y0] = toMap(left, top), [x1, y1] = toMap(right, bottom);
  const found = [];
  for (let galaxy = 0; galaxy < many; galaxy += 1) {
    const x = across[galaxy], y = down[galaxy];
    if (x >= x0 && x <= x1 && y >= y0 && y <= y1) found.push(galaxy);
  }
  const middleX = (x0 + x1) / 2, middleY = (y0 + y1) / 2;
  const far = (galaxy) => (across[galaxy] - middleX) ** 2 + (down[galaxy] - middleY) ** 2;
  return found.sort((one, other) => far(one) - far(other));
};
