// Which galaxies are visible and in what order: one filter for the gallery and, where there is one, the field.
const rings = all(".ring");
const chips = all(".chip");
const search = find("#search"), sort = find("#sort"), least = find("#least");
const question = find("#question"), answer = find("#answer"), differ = find("#differ"), unfamiliar = find("#unfamiliar");
const chosenClasses = new Set();
const chosenQuestion = () => (question.value === "" ? null : Number(question.value));
const chosenAnswer = () => (answer.value === "" ? null : Number(answer.value));

// In a question: the agreement that the network expects of the volunteers; those who aren't asked come last.
const sureOf = (galaxy) => {
  const q = chosenQuestion();
  return q === null || !usuallyAsked(galaxy.p, q) ? -1 : galaxy.agreement[q] ?? -1;
};
const compare = {
  sure: (a, b) => b.confidence - a.confidence,
  unsure: (a, b) => a.confidence - b.confidence,
  answer: (a, b) => sureOf(b) - sureOf(a),
  id: (a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }),
  worst: (a, b) => b.rmse - a.rmse,
  best: (a, b) => a.rmse - b.rmse,
  near: (a, b) => (b.alike.similarity ?? 9) - (a.alike.similarity ?? 9),
};
const usualSort = sort.options[0].value;

const order = () => {
  const byClass = sort.value === "class";
  grid.classList.toggle("flat", !byClass);
  const tileOf = new Map(tiles.map((tile) => [indexOf(tile), tile]));
  const sorted = tiles.map(indexOf).sort((a, b) => {
    const first = data.galaxies[a], second = data.galaxies[b];
    return (byClass ? first.class - second.class || compare.sure(first, second) : compare[sort.value](first, second)) || a - b;
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

// What a tile says about the chosen question.
const tellAnswer = (tile, q) => {
  const button = find("button", tile), line = find(".tile-answer", tile), { p } = data.galaxies[indexOf(tile)];
  button.dataset.label ??= button.getAttribute("aria-label");
  const j = q === null ? -1 : mostProbable(p, q);
  const words = j < 0 ? "" : `${data.questions[q].answers[j]} ${percent(p[starts[q] + j] / asked(p, q))}`;
  line.hidden = q === null;
  line.textContent = words || "not asked";
  button.setAttribute("aria-label", words ? `${button.dataset.label}; ${words}` : button.dataset.label);
};

const applyFilter = () => {
  const text = search.value.trim().toLowerCase();
  const floor = Number(least.value) / 100;
  const q = chosenQuestion(), j = chosenAnswer();
  const answers = (galaxy) =>
    q === null || (usuallyAsked(galaxy.p, q) && (j === null || mostProbable(galaxy.p, q) === j));
  const matches = (galaxy) =>
    (!chosenClasses.size || chosenClasses.has(galaxy.class)) &&
    galaxy.confidence >= floor &&
    answers(galaxy) &&
    (!differ?.checked || disagree(galaxy, q)) &&
    (!unfamiliar?.checked || galaxy.outOfPlace > 1) &&
    (!text || galaxy.id.toLowerCase().includes(text));
  const keep = data.galaxies.map(matches);
  const classesLeft = new Set();
  visible = [];
  for (const row of grid.children) {
    if (!row.classList.contains("tile")) continue;
    const i = indexOf(row);
    row.hidden = !keep[i];
    tellAnswer(row, q);
    if (keep[i]) { visible.push(i); classesLeft.add(data.galaxies[i].class); }
  }
  for (const group of groups) group.hidden = !classesLeft.has(Number(group.dataset.class));
  for (const ring of rings) ring.classList.toggle("off", !keep[indexOf(ring)]);
  for (const chip of chips) {
    const on = chip.dataset.class === "all" ? !chosenClasses.size : chosenClasses.has(Number(chip.dataset.class));
    chip.setAttribute("aria-pressed", String(on));
  }
  find("#least-value").textContent = `${least.value}%`;
  find("#matches").textContent = visible.length === data.galaxies.length
    ? `${visible.length} ${visible.length === 1 ? "galaxy" : "galaxies"}` : `${visible.length} of ${data.galaxies.length}`;
  if (data.galaxies.length) find("#empty").hidden = visible.length > 0;
  keepTabStop();
};

const offerAnswers = () => {
  const q = chosenQuestion();
  const texts = q === null ? [] : data.questions[q].answers;
  answer.replaceChildren(new Option("any answer", ""), ...texts.map((text, j) => new Option(text, String(j))));
  answer.disabled = q === null;
  const bySureness = find('option[value="answer"]', sort);
  bySureness.disabled = q === null;
  if (q === null && sort.value === "answer") sort.value = usualSort;
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
answer.addEventListener("change", applyFilter);
differ?.addEventListener("change", applyFilter);
unfamiliar?.addEventListener("change", applyFilter);
sort.addEventListener("change", () => { order(); applyFilter(); });
question.addEventListener("change", () => { offerAnswers(); order(); applyFilter(); });
find("#reset").addEventListener("click", () => {
  chosenClasses.clear();
  search.value = question.value = "";
  least.value = "0";
  sort.value = usualSort;
  if (differ) differ.checked = false;
  if (unfamiliar) unfamiliar.checked = false;
  offerAnswers();
  order();
  applyFilter();
});
// A browser may bring back what was typed before the page was loaded again; the answers it can't know.
offerAnswers();
order();
applyFilter();
