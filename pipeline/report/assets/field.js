// The field: rings that open cards, a tooltip, class codes and zoom.
const tip = find("#tip");
const stage = find(".field-stage");

const showTip = (ring) => {
  const galaxy = data.galaxies[indexOf(ring)];
  const picture = find(`#galaxy-${ring.dataset.i} img`);
  const words = make("div", "", make("b", "", galaxy.id),
    make("p", "", badgeOf(galaxy.class), classNameOf(galaxy.class)), make("p", "", `${percent(galaxy.confidence)} confidence`));
  if (picture) {
    const image = make("img");
    image.src = picture.src;
    image.width = image.height = 72;
    image.alt = "";
    tip.replaceChildren(image, words);
  } else {
    tip.replaceChildren(words);
  }
  tip.hidden = false;
  const around = ring.querySelector(".line").getBoundingClientRect();
  const box = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, around.left + around.width / 2 - box.width / 2), innerWidth - box.width - 8);
  const above = around.top - box.height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : around.bottom + 8}px`;
};
const hideTip = () => { tip.hidden = true; };

// One ring is in the tab order; the arrow keys go to the nearest in their direction.
const focusRing = (ring) => {
  for (const other of rings) other.tabIndex = -1;
  ring.tabIndex = 0;
  ring.focus();
};
const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const nearest = (from, [dx, dy]) => {
  const here = data.galaxies[indexOf(from)];
  let best = null, bestCost = Infinity;
  for (const ring of rings) {
    if (ring === from || ring.classList.contains("off")) continue;
    const there = data.galaxies[indexOf(ring)];
    const along = (there.x - here.x) * dx + (there.y - here.y) * dy;
    const across = Math.abs((there.x - here.x) * dy) + Math.abs((there.y - here.y) * dx);
    if (along <= 0) continue;
    const cost = along + 2 * across;
    if (cost < bestCost) { bestCost = cost; best = ring; }
  }
  return best;
};

if (stage && rings.length) {
  rings.reduce((a, b) => (indexOf(b) < indexOf(a) ? b : a)).tabIndex = 0;
  for (const ring of rings) {
    ring.addEventListener("pointerenter", () => showTip(ring));
    ring.addEventListener("pointerleave", hideTip);
    ring.addEventListener("focus", () => showTip(ring));
    ring.addEventListener("blur", hideTip);
    ring.addEventListener("click", () => { hideTip(); openCard(indexOf(ring), ring); });
    ring.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        hideTip();
        openCard(indexOf(ring), ring);
      } else if (card.hidden && directions[event.key]) {
        event.preventDefault();
        const target = nearest(ring, directions[event.key]);
        if (target) focusRing(target);
      }
    });
  }
  document.addEventListener("scroll", hideTip, { passive: true, capture: true });
}

if (stage) {
  const labels = find("#labels");
  const applyLabels = () => stage.classList.toggle("plain", !labels.checked);
  labels.addEventListener("change", applyLabels);
  applyLabels();
  const scroller = find(".field-scroll");
  for (const button of all("[data-zoom]")) {
    button.addEventListener("click", () => {
      const x = (scroller.scrollLeft + scroller.clientWidth / 2) / scroller.scrollWidth;
      const y = (scroller.scrollTop + scroller.clientHeight / 2) / scroller.scrollHeight;
      stage.style.width = `${100 * Number(button.dataset.zoom)}%`;
      stage.dataset.zoomed = button.dataset.zoom;
      scroller.scrollLeft = x * scroller.scrollWidth - scroller.clientWidth / 2;
      scroller.scrollTop = y * scroller.scrollHeight - scroller.clientHeight / 2;
      for (const other of all("[data-zoom]")) other.setAttribute("aria-pressed", String(other === button));
    });
  }
}
