// Choosing protocols, metrics and scales, values on hover and by arrow keys, and links that keep the choice.
// Everything it shows is in the page already; without it the page shows its tables and first charts.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const filter = document.getElementById("filter");
  const boxes = all("input", filter);
  const cards = all(".card").filter((card) => card.querySelector(".view"));

  // State in the fragment: #anchor;off=a,b;card=subject|metric|scale. Names are encoded one by one, so that theirs
  // may hold the signs between them; what is unknown is passed over.
  const decoded = (text) => {
    try { return decodeURIComponent(text); } catch { return text; }
  };
  function remember() {
    const off = boxes.filter((box) => !box.checked).map((box) => encodeURIComponent(box.value));
    const chosen = cards.filter((card) => card.dataset.chosen)
      .map((card) => `${encodeURIComponent(card.id)}=${encodeURIComponent(card.dataset.chosen)}`);
    const state = [...(off.length ? [`off=${off.join(",")}`] : []), ...chosen];
    history.replaceState(null, "", "#" + [location.hash.slice(1).split(";")[0], ...state].join(";"));
  }

  function applyFilter() {
    const off = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
    for (const one of all("[data-protocol]")) one.classList.toggle("off", off.has(one.dataset.protocol));
  }

  // Views of a card are chosen by metric and scale.
  function offer(card) {
    const views = all(".view", card);
    const more = card.querySelector("details.more");
    if (more) {
      more.before(...all(".view", more));
      more.remove();
    }
    const choice = card.querySelector(".choice");
    const names = { subject: "of", metric: "show", scale: "scale" };
    const selects = Object.keys(names).map((what) => {
      const values = [...new Set(views.map((view) => view.dataset[what]))].filter((value) => value);
      if (values.length < 2) return null;
      const label = document.createElement("label");
      label.append(names[what]);
      const select = document.createElement("select");
      for (const value of values) select.add(new Option(value, value));
      select.addEventListener("change", () => { show(); card.dataset.chosen = key(); remember(); });
      label.append(select);
      choice.append(label);
      return select;
    });
    const wanted = () => selects.map((select) => (select ? select.value : null));
    const key = () => wanted().map((value) => value ?? "").join("|");
    // Not every subject has every metric: what is chosen last to the left counts first.
    function show() {
      const want = wanted();
      const fits = (view, most) => Object.keys(names)
        .every((what, index) => index >= most || want[index] === null || view.dataset[what] === want[index]);
      const chosen = [3, 2, 1, 0].map((most) => views.find((view) => fits(view, most))).find((view) => view);
      for (const view of views) view.hidden = view !== chosen;
      selects.forEach((select, index) => { if (select) select.value = chosen.dataset[Object.keys(names)[index]]; });
    }
    card.choose = (text) => {
      text.split("|").forEach((value, index) => {
        const select = selects[index];
        if (select && [...select.options].some((option) => option.value === value)) select.value = value;
      });
      card.dataset.chosen = key();
      show();
    };
    show();
  }

  // The nearest mark of a picture says what it stands for, to the pointer and to arrow keys.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  let lit = null;
  function light(mark) {
    if (lit) lit.classList.remove("lit");
    lit = mark;
    tip.hidden = !mark;
    if (!mark) return;
    mark.classList.add("lit");
    tip.textContent = mark.querySelector("title").textContent;
    const box = mark.getBoundingClientRect();
    const width = tip.offsetWidth;
    const left = Math.min(Math.max(8, box.left + box.width / 2 - width / 2), document.documentElement.clientWidth - width - 8);
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${box.top + scrollY - tip.offsetHeight - 8}px`;
  }
  const marks = (chart) => all(".m, .bar, .place", chart).filter((mark) => !mark.closest(".off"));
  function nearest(chart, event) {
    let best = null, least = 40;
    for (const mark of marks(chart)) {
      const box = mark.getBoundingClientRect();
      const dx = Math.max(box.left - event.clientX, 0, event.clientX - box.right);
      const dy = Math.max(box.top - event.clientY, 0, event.clientY - box.bottom);
      const distance = Math.hypot(dx, dy);
      if (distance < least) { best = mark; least = distance; }
    }
    return best;
  }
  for (const chart of all("svg.chart")) {
    chart.setAttribute("tabindex", "0");
    chart.addEventListener("pointermove", (event) => light(nearest(chart, event)));
    chart.addEventListener("pointerleave", () => light(null));
    chart.addEventListener("blur", () => light(null));
    chart.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return light(null);
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const here = marks(chart);
      if (!here.length) return;
      const at = here.indexOf(lit);
      light(here[at < 0 ? (step > 0 ? 0 : here.length - 1) : (at + step + here.length) % here.length]);
    });
  }

  if (boxes.length > 1) filter.hidden = false;
  cards.forEach(offer);
  filter.addEventListener("change", () => { applyFilter(); remember(); });
  filter.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("filter-all").addEventListener("click", () => {
    for (const box of boxes) box.checked = true;
    applyFilter();
    remember();
  });

  function restore() {
    const [anchor, ...state] = location.hash.slice(1).split(";");
    for (const part of state) {
      const at = part.indexOf("=");
      const name = decoded(part.slice(0, at)), value = part.slice(at + 1);
      if (name === "off") {
        const off = new Set(value.split(",").map(decoded));
        for (const box of boxes) box.checked = !off.has(box.value);
      }
      const card = cards.find((one) => one.id === name);
      if (card) card.choose(decoded(value));
    }
    applyFilter();
    const target = document.getElementById(decoded(anchor));
    if (target && state.length) target.scrollIntoView();
  }
  addEventListener("hashchange", restore);
  restore();
})();
