// The card of one galaxy: its cutout, its path through the tree and all its answers.
const card = find("#card");
const cardBody = find("#card-body");
let current = null;
let opener = null;

const starts = [];
data.questions.reduce((start, question) => { starts.push(start); return start + question.answers.length; }, 0);
const asked = (galaxy, q) =>
  data.questions[q].answers.reduce((sum, _, j) => sum + galaxy.p[starts[q] + j], 0);

const questionBlock = (galaxy, q, chosen) => {
  const question = data.questions[q];
  const total = asked(galaxy, q);
  const block = make("section", "step", make("h4", "", question.text));
  const agreement = galaxy.agreement[q];
  block.append(make("p", "step-facts",
    `asked with probability ${percent(Math.min(total, 1))}`,
    agreement === null || !(total > 0) ? "" : ` · agreement ${agreement.toFixed(2)}`));
  if (!(total > 0)) return block;
  const list = make("ul", "answers");
  question.answers.forEach((text, j) => {
    const share = galaxy.p[starts[q] + j] / total;
    const fill = make("i", "");
    fill.style.width = `${(100 * share).toFixed(1)}%`;
    const row = make("li", j === chosen ? "chosen" : "",
      make("span", "answer-text", text), make("span", "track", fill), make("span", "number", percent(share)));
    if (j === chosen) row.firstChild.append(make("span", "hidden", " (on the path)"));
    list.append(row);
  });
  block.append(list);
  return block;
};

const factRow = (name, value) => [make("dt", "", name), make("dd", "", value)];

const fillCard = (galaxy, i) => {
  const picture = find(`#galaxy-${i} img`);
  const title = make("h2", "", galaxy.id);
  title.id = "card-title";
  const facts = make("dl", "card-facts");
  const number = (value, digits) => value.toFixed(digits);
  if (galaxy.ra !== null && galaxy.dec !== null) {
    facts.append(...factRow("RA, Dec", `${number(galaxy.ra, 5)}°, ${number(galaxy.dec, 5)}°`));
  }
  if (galaxy.x !== null && galaxy.y !== null) {
    facts.append(...factRow("In the field", `x ${number(galaxy.x, 1)}, y ${number(galaxy.y, 1)}`));
  }
  if (galaxy.radius !== null) facts.append(...factRow("Radius", `${number(galaxy.radius, 1)} pixels`));
  if (galaxy.frame !== null) facts.append(...factRow("Frame", `${Math.round(galaxy.frame)} pixels wide`));

  const deciding = galaxy.path.slice(0, galaxy.deciding);
  const product = deciding.map((step) => step[2].toFixed(2)).join(" × ");
  const verdict = make("div", "verdict",
    make("p", "verdict-class", badgeOf(galaxy), classNameOf(galaxy)),
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
  galaxy.path.forEach(([q, j], n) => {
    path.append(questionBlock(galaxy, q, j));
    if (n === galaxy.deciding - 1 && badges.size) {
      path.append(make("p", "decides", "This decides the class: ", badgeOf(galaxy), make("b", "", classNameOf(galaxy))));
    }
  });
  if (!galaxy.path.length) path.append(make("p", "note", "No answer has any probability."));
  const onPath = new Set(galaxy.path.map((step) => step[0]));
  const others = data.questions.map((_, q) => q).filter((q) => !onPath.has(q));
  const rest = make("details", "rest", make("summary", "", `The other questions (${others.length})`));
  for (const q of others) rest.append(questionBlock(galaxy, q, -1));
  cardBody.replaceChildren(title, make("div", "card-top", shown, make("div", "", verdict, facts)), path, rest);
};

const markCurrent = () => {
  for (const item of [...tiles, ...rings]) item.classList.toggle("current", Number(item.dataset.i) === current);
};

const openCard = (i, from) => {
  if (card.hidden) opener = from ?? document.activeElement;
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
  const target = opener?.isConnected && opener !== document.body ? opener : find(`#galaxy-${last} button`);
  target?.focus({ preventScroll: true });
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
  if (tile) openCard(Number(tile.dataset.i), find("button", tile));
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
