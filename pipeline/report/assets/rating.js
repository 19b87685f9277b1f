// Rate galaxies one after the other: to the server that the page came from, or into a file.
const data = JSON.parse(find("#rating-data").textContent);
const cards = data.cards;
const ratings = new Map();
const buttons = all(".scale button");
const kept = `tuningfork-ratings-${data.key}`;
let place = 0;
let asking = false;

const tell = (text) => { find("#status").textContent = text; };
const send = (path, body) => fetch(path + location.search, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
}).then((answer) => {
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
});

const showRated = () => {
  find("#rated").hidden = !ratings.size;
  find("#done").replaceChildren(...cards.filter((card) => ratings.has(card.id)).reverse().map((card) => {
    const image = make("img");
    image.src = card.picture;
    image.alt = card.id;
    return make("li", "", image, make("b", "", card.id), make("span", "", `rated ${ratings.get(card.id)}`));
  }));
};

const show = () => {
  const card = cards[place];
  for (const button of buttons) {
    button.disabled = !card;
    button.setAttribute("aria-pressed", String(Boolean(card) && ratings.get(card.id) === Number(button.dataset.rating)));
  }
  find("#back").disabled = place === 0;
  find("#forward").disabled = !card;
  find("#picture").hidden = !card;
  if (!card) {
    find("#place").textContent = data.served ? "" : "That was the last one.";
    find("#name").textContent = "";
    if (data.served) more();
    return;
  }
  find("#picture").src = card.picture;
  find("#picture").alt = `Galaxy ${card.id}`;
  find("#name").textContent = card.id;
  find("#place").textContent = `${place + 1} of ${cards.length}; ${data.rated + ratings.size} rated`;
};

const more = () => {
  if (asking) return;
  asking = true;
  tell("Choosing the next ones by your ratings …");
  send("next", {}).then((answer) => {
    cards.push(...answer.cards);
    tell(answer.cards.length ? "" : "There are no more to choose from: finish.");
    asking = false;
    if (answer.cards.length) show();
  }).catch(() => { asking = false; tell("The session has ended. What was rated is kept."); });
};

const keep = () => {
  try { localStorage.setItem(kept, JSON.stringify([...ratings])); } catch { /* storage may be off for local files */ }
};

const rate = (value) => {
  const card = cards[place];
  if (!card) return;
  const before = ratings.get(card.id);
  ratings.set(card.id, value);
  tell(`${card.id} is rated ${value}.`);
  if (data.served) {
    send("ratings", { object_id: card.id, rating: value }).catch(() => {
      if (before === undefined) ratings.delete(card.id); else ratings.set(card.id, before);
      showRated();
      tell(`The rating of ${card.id} was not kept: the session has ended, or can't write.`);
    });
  } else {
    keep();
  }
  place += 1;
  show();
  showRated();
};

const move = (steps) => {
  place = Math.min(Math.max(place + steps, 0), cards.length);
  show();
};

for (const button of buttons) button.addEventListener("click", () => rate(Number(button.dataset.rating)));
find("#back").addEventListener("click", () => move(-1));
find("#forward").addEventListener("click", () => move(1));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (/^[0-5]$/.test(event.key)) rate(Number(event.key));
  else if (event.key === "ArrowLeft") move(-1);
  else if (event.key === "ArrowRight") move(1);
  else return;
  event.preventDefault();
});

if (data.served) {
  find("#finish").addEventListener("click", () => {
    send("finish", {}).then(() => tell("Finished: the command ranks the catalogue now. You can close this page."))
      .catch(() => tell("The session has ended already."));
  });
} else {
  try {
    for (const [id, value] of JSON.parse(localStorage.getItem(kept) ?? "[]")) ratings.set(id, value);
  } catch { /* as above */ }
  place = Math.max(cards.findIndex((card) => !ratings.has(card.id)), 0);
  find("#download").addEventListener("click", () => {
    const lines = [...ratings].map(([id, value]) => JSON.stringify({ object_id: id, rating: value }) + "\n");
    const link = make("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" }));
    link.download = "ratings.jsonl";
    link.click();
    URL.revokeObjectURL(link.href);
    tell(`${ratings.size} ratings are in ratings.jsonl.`);
  });
}
show();
showRated();
