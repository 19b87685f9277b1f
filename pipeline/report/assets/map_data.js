// The galaxies of a map: what was packed into the page, and what is said of each.
const data = JSON.parse(find("#map-data").textContent);
const many = data.count;

const unpacked = async (text) => {
  const letters = atob(text);
  const packed = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place += 1) packed[place] = letters.charCodeAt(place);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
};

const sheets = data.sheets.map((uri) => {
  const image = new Image();
  image.src = uri;
  return image;
});
const pictureOf = new Map(data.pictured.map((galaxy, number) => [galaxy, number]));

let start = 0;
const questions = data.questions.map(({ text, answers }) => {
  const question = { text, answers, start };
  start += answers.length;
  return question;
});

let ids, across, down, skyRa, skyDec, shares;
const load = async () => {
  const [names, places, sky, packedShares] = await Promise.all(
    [data.ids, data.places, data.sky, data.shares].map(unpacked));
  ids = JSON.parse(new TextDecoder().decode(names));
  across = Float32Array.from(new Uint16Array(places, 0, many), (value) => value / 65535);
  down = Float32Array.from(new Uint16Array(places, 2 * many, many), (value) => value / 65535);
  skyRa = new Float32Array(sky, 0, many);
  skyDec = new Float32Array(sky, 4 * many, many);
  shares = new Uint8Array(packedShares);
};

// The place of a question's most frequent answer, and its share of those asked; null where most aren't asked.
const ASKED = 127;
const mostFrequent = (question, galaxy) => {
  let total = 0, most = -1, best = 0;
  for (let answer = 0; answer < question.answers.length; answer += 1) {
    const share = shares[(question.start + answer) * many + galaxy];
    total += share;
    if (share > most) { most = share; best = answer; }
  }
  return total > ASKED ? { answer: best, share: most / total } : null;
};

const saidOf = (galaxy) => questions.flatMap((question) => {
  const said = mostFrequent(question, galaxy);
  return said ? [{ question: question.text, answer: question.answers[said.answer], share: said.share }] : [];
});

// Draws a galaxy's picture; false if it has none, or none yet.
const drawPicture = (context, galaxy, left, top, size) => {
  const number = pictureOf.get(galaxy);
  if (number === undefined) return false;
  const sheet = sheets[Math.floor(number / data.sheetTiles)];
  if (!sheet.complete || !sheet.naturalWidth) return false;
  const across = sheet.naturalWidth / data.tile;
  const place = number % data.sheetTiles;
  context.drawImage(sheet, (place % across) * data.tile, Math.floor(place / across) * data.tile,
    data.tile, data.tile, left, top, size, size);
  return true;
};

const pictureCanvas = (galaxy, size, className) => {
  const canvas = make("canvas", className);
  canvas.width = canvas.height = size;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Galaxy ${ids[galaxy]}`);
  return drawPicture(canvas.getContext("2d"), galaxy, 0, 0, size) ? canvas : null;
};
