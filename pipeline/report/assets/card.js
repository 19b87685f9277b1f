// The card of one galaxy: its cutout, its path through the tree and all its answers.
const card = find("#card");
const cardBody = find("#card-body");
let current = null;
let opener = null;
let openedWith = null;

// Bounds of the share among those who are asked, as the bars show it.
const boundsOf = (galaxy, q, j, total) => galaxy.low &&
  [galaxy.low, galaxy.high].map((bounds) => Math.min(1, bounds[starts[q] + j] / total));
const whisker = (low, high) => {
  const line = make("b", "whisker");
  line.style.left = `${(100 * low).toFixed(1)}%`;
  line.style.right = `${(100 * (1 - high)).toFixed(1)}%`;
  return line;
};

const notGalaxy = {
  star: "a star", blend: "stars that overlap", trail: "a trail across the frame",
  saturated: "light of a saturated star", empty: "nothing in the middle",
};

// What to know before the answers are believed.
const warningsOf = (galaxy) => {
  const warnings = [], times = (value) => value.toFixed(1);
  if (galaxy.rejection) warnings.push(`Most likely no galaxy: ${notGalaxy[galaxy.rejection] ?? galaxy.rejection}.`);
  if (galaxy.outOfPlace > 1) {
    warnings.push(`Unlike the pictures the network was trained on (${times(galaxy.outOfPlace)} times as far as is ` +
      "usual): take the answers with care.");
  }
  const [smallest, largest] = data.usualFrames ?? [0, Infinity];
  if (galaxy.frameRatio < smallest || galaxy.frameRatio > largest) {
    warnings.push(`${galaxy.frameRatio < smallest ? "Smaller" : "Larger"} in its frame than nearly all pictures the ` +
      `network was trained on (${galaxy.frameRatio.toPrecision(2)} times their median).`);
  }
  return warnings.map((text) => make("p", "warning", text));
};

const answerRow = (galaxy, q, j, onPath) => {
  const question = data.questions[q];
  const row = make("li", onPath ? "chosen" : "", make("span", "answer-text", question.answers[j]));
  if (onPath) row.firstChild.append(make("span", "hidden", " (on the path)"));
  const bars = make("span", "pair"), numbers = make("span", "number");
  for (const [kind, p] of [["network", galaxy.p], ["votes", galaxy.votes]]) {
    if (!p) continue;
    const total = asked(p, q);
    const share = total > 0 ? p[starts[q] + j] / total : 0;
    const fill = make("i", kind);
    fill.style.width = `${(100 * share).toFixed(1)}%`;
    const within = kind === "network" && total > 0 ? boundsOf(galaxy, q, j, total) : null;
    bars.append(make("span", "track", fill, ...(within ? [whisker(...within)] : [])));
    const most = kind === "votes" && mostProbable(p, q) === j;
    numbers.append(make("span", most ? "most" : "", total > 0 ? percent(share) : "–"));
    if (galaxy.votes) numbers.lastChild.prepend(make("span", "hidden", kind === "votes" ? "volunteers " : "network "));
    if (within) numbers.lastChild.append(make("span", "hidden", ` (90% between ${within.map(percent).join(" and ")})`));
  }
  row.append(bars, numbers);
  return row;
};

const inVolunteers = (worth) => {
  const number = worth.toFixed(worth < 9.95 ? 1 : 0);
  return `${number} ${number === "1.0" ? "volunteer" : "volunteers"}`;
};

const questionBlock = (galaxy, q, chosen) => {
  const total = asked(galaxy.p, q);
  const block = make("section", "step", make("h4", "", data.questions[q].text));
  const agreement = galaxy.agreement[q];
  block.append(make("p", "step-facts",
    `asked with probability ${percent(Math.min(total, 1))}`,
    galaxy.votes ? `, of ${percent(Math.min(asked(galaxy.votes, q), 1))} of the volunteers` : "",
    agreement === null || !(total > 0) ? "" : ` · agreement ${agreement.toFixed(2)}`,
    galaxy.volunteers && total > 0 ? ` · worth ${inVolunteers(galaxy.volunteers[q])}` : ""));
  if (galaxy.votes && disagree(galaxy, q)) block.append(make("p", "differs", "≠ Network and volunteers choose differently"));
  if (!(total > 0) && !(galaxy.votes && asked(galaxy.votes, q) > 0)) return block;
  const list = make("ul", "answers");
  data.questions[q].answers.forEach((_, j) => list.append(answerRow(galaxy, q, j, j === chosen)));
  block.append(list);
  return block;
};

const factRow = (name, value) => [make("dt", "", name), make("dd", "", value)];

// Where other surveys show this place; nothing is loaded before a link is followed.
const viewersOf = ({ ra, dec }) => [
  ["SDSS", `https://skyserver.sdss.org/dr18/VisualTools/navi?ra=${ra}&dec=${dec}&scale=0.4`],
  ["Legacy Surveys", `https://www.legacysurvey.org/viewer?ra=${ra}&dec=${dec}&layer=ls-dr10&zoom=14`],
].map(([name, address]) => {
  const link = make("a", "", name);
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
});

const alikeRows = ({ similarity, word, shared, tags }) => [
  ...factRow(similarity === null ? "In this search" : "Similarity", word),
  ...(shared.length ? factRow("Shares with the examples", shared.join("; ")) : []),
  ...(tags.length ? factRow("Tags", tags.join(", ")) : []),
];

const fillCard = (galaxy, i) => {
  const picture = find(`#galaxy-${i} img`);
  const title = make("h2", "", galaxy.id);
  title.id = "card-title";
  const facts = make("dl", "card-facts");
  const number = (value, digits) => value.toFixed(digits);
  if (galaxy.ra !== null && galaxy.dec !== null) {
    facts.append(...factRow("RA, Dec", `${number(galaxy.ra, 5)}°, ${number(galaxy.dec, 5)}°`),
      ...factRow("See it in", make("span", "viewers", ...viewersOf(galaxy))));
  }
  if (galaxy.alike) facts.prepend(...alikeRows(galaxy.alike));
  if (galaxy.x !== null && galaxy.y !== null) {
    facts.append(...factRow("In the field", `x ${number(galaxy.x, 1)}, y ${number(galaxy.y, 1)}`));
  }
  if (galaxy.radius !== null) facts.append(...factRow("Radius", `${number(galaxy.radius, 1)} pixels`));
  if (galaxy.frame !== null) facts.append(...factRow("Frame", `${Math.round(galaxy.frame)} pixels wide`));

  if (galaxy.votes) {
    const word = make("span", "voted", badgeOf(galaxy.votesClass), classNameOf(galaxy.votesClass));
    facts.append(...factRow("Volunteers’ class", word), ...factRow("RMSE over all answers", galaxy.rmse.toFixed(3)));
  }

  const deciding = galaxy.path.slice(0, galaxy.deciding);
  const product = deciding.map((step) => step[2].toFixed(2)).join(" × ");
  const verdict = make("div", "verdict",
    make("p", "verdict-class", badgeOf(galaxy.class), classNameOf(galaxy.class)),
    make("p", "verdict-number", percent(galaxy.confidence), make("small", "", " confidence")));
  if (deciding.length > 1) verdict.append(make("p", "verdict-sum", `${product} = ${galaxy.confidence.toFixed(2)}`));

  let shown;
  if (picture) {
    shown = make("img", "cutout");
    shown.src = picture.src;
    shown.width = shown.height = 256;
    shown.alt = `Cutout of ${galaxy.id}`;
  } else {
    shown = make("div", "cutout missing", "no cutout");
  }
  const path = make("div", "path", make("h3", "", "Path through the questions"));
  const key = (className, text) => make("span", "", make("i", className), text);
  const keys = [
    ...(galaxy.votes ? [key("network", "network"), key("votes", "volunteers")] : []),
    ...(galaxy.low ? [make("span", "", make("i", "reach", whisker(0, 1)), "where 90% of shares are")] : []),
  ];
  if (keys.length) path.append(make("p", "whose", ...keys));
  galaxy.path.forEach(([q, j], n) => {
    path.append(questionBlock(galaxy, q, j));
    if (n === galaxy.deciding - 1) {
      path.append(make("p", "decides", "This decides the class: ", badgeOf(galaxy.class), make("b", "", classNameOf(galaxy.class))));
    }
  });
  if (!galaxy.path.length) path.append(make("p", "note", "No answer has any probability."));
  const onPath = new Set(galaxy.path.map((step) => step[0]));
  const others = data.questions.map((_, q) => q).filter((q) => !onPath.has(q));
  const rest = make("details", "rest", make("summary", "", `The other questions (${others.length})`));
  for (const q of others) rest.append(questionBlock(galaxy, q, -1));
  cardBody.replaceChildren(title, make("div", "card-top", shown, make("div", "", verdict, facts)), ...warningsOf(galaxy), path, rest);
};

const markCurrent = () => {
  for (const item of [...tiles, ...rings]) item.classList.toggle("current", indexOf(item) === current);
};

const openCard = (i, from) => {
  if (card.hidden) { opener = from ?? document.activeElement; openedWith = i; }
  current = i;
  fillCard(data.galaxies[i], i);
  const place = visible.indexOf(i);
  find("#place").textContent = place < 0 ? "" : `${place + 1} of ${visible.length}`;
  find("#previous").disabled = visible.length < 2;
  find("#next").disabled = visible.length < 2;
  if (card.hidden) { card.hidden = false; cardBody.focus({ preventScroll: true }); }
  cardBody.scrollTop = 0;
  document.body.classList.add("card-open");
  markCurrent();
  try { history.replaceState(null, "", `#galaxy=${encodeURIComponent(data.galaxies[i].id)}`); } catch { /* local files */ }
};

const closeCard = () => {
  if (card.hidden) return;
  card.hidden = true;
  document.body.classList.remove("card-open");
  const last = current;
  current = null;
  markCurrent();
  try { history.replaceState(null, "", location.pathname + location.search); } catch { /* local files */ }
  // Where it was opened; once the arrows have gone on, the tile of the galaxy seen last.
  const back = last === openedWith && opener?.isConnected && opener !== document.body ? opener : tileButton(last);
  back?.focus({ preventScroll: true });
};

const move = (step) => {
  if (!visible.length) return;
  const place = visible.indexOf(current);
  const next = place < 0 ? 0 : (place + step + visible.length) % visible.length;
  openCard(visible[next]);
  find(`#galaxy-${visible[next]}`).scrollIntoView({ block: "nearest" });
};

grid.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) openCard(indexOf(tile), find("button", tile));
});
find("#close").addEventListener("click", closeCard);
find("#previous").addEventListener("click", () => move(-1));
find("#next").addEventListener("click", () => move(1));
document.addEventListener("keydown", (event) => {
  if (card.hidden || event.altKey || event.ctrlKey || event.metaKey) return;
  const typing = event.target.matches?.("input, select");
  if (event.key === "Escape") closeCard();
  else if (!typing && event.key === "ArrowLeft") move(-1);
  else if (!typing && event.key === "ArrowRight") move(1);
  else return;
  event.preventDefault();
});

const openFromAddress = () => {
  const match = /^#galaxy=(.+)$/.exec(location.hash);
  if (!match) return;
  let id;
  try { id = decodeURIComponent(match[1]); } catch { return; }
  const i = data.galaxies.findIndex((galaxy) => galaxy.id === id);
  if (i >= 0) openCard(i);
};
window.addEventListener("hashchange", openFromAddress);
openFromAddress();
