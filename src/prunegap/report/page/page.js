// Everything that is shown is written with textContent: no string of a study is ever parsed as HTML.
const data = JSON.parse(document.getElementById("study-data").textContent);

function settings() {
  const chooser = document.getElementById("setting");
  chooser?.addEventListener("change", () => {
    for (const section of all(".setting")) {
      section.hidden = chooser.value !== "" && section.dataset.setting !== chooser.value;
    }
  });
}

// One epsilon a setting: sliders, the guide in the picture of widths and the strong curve of success move together.
function reading(section) {
  const block = data.blocks.find((one) => one.name === section.dataset.setting);
  const sliders = all("input.epsilon", section);
  if (!block || !sliders.length) return;
  const guides = all("svg[data-guides]", section).map((svg) => {
    const places = svg.dataset.guides.split(" ").map(Number);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const box = svg.viewBox.baseVal;
    line.setAttribute("class", "guide");
    line.setAttribute("y1", 40);
    line.setAttribute("y2", box.height - 56);
    svg.append(line);
    return { svg, places, line };
  });
  const curves = all(".curve", section);
  const told = (statistic) => (statistic ? statistic.text : "–");
  function show(index) {
    const epsilon = String(block.epsilons[index]);
    const parts = block.granularities.map((name) => `${name} ${told(block.widths[name][index])}`);
    if (block.ratios[index]) parts.push(`neuron / weight ${told(block.ratios[index])}`);
    for (const slider of sliders) {
      slider.value = index;
      slider.setAttribute("aria-valuetext", `ε = ${epsilon}`);
      slider.closest(".reading").querySelector("output").textContent = epsilon;
      slider.closest(".reading").querySelector(".readout").textContent = parts.join(" · ");
    }
    for (const { places, line } of guides) {
      line.setAttribute("x1", places[index]);
      line.setAttribute("x2", places[index]);
    }
    for (const curve of curves) {
      const isStrong = curve.classList.contains(`e${index}`);
      curve.classList.toggle("strong", isStrong);
      if (isStrong) curve.parentNode.append(curve);
    }
  }
  for (const slider of sliders) slider.addEventListener("input", () => show(Number(slider.value)));
  for (const figure of new Set(guides.map(({ svg }) => svg.closest("figure")))) {
    figure.addEventListener("pointermove", (event) => {
      const seen = guides.find(({ svg }) => figure.contains(svg) && svg.getBoundingClientRect().width > 0);
      if (!seen || !figure.querySelector(".epsilon")) return;
      const box = seen.svg.getBoundingClientRect();
      if (event.clientY < box.top || event.clientY > box.bottom) return;
      const x = ((event.clientX - box.left) / box.width) * seen.svg.viewBox.baseVal.width;
      const away = seen.places.map((place) => Math.abs(place - x));
      const nearest = away.indexOf(Math.min(...away));
      if (nearest !== Number(sliders[0].value)) show(nearest);
    });
  }
  show(Number(sliders[0].value));
}

// The table: an index into the rows, filtered, sorted and cut into pages; only one page is ever in the document.
function table() {
  const PAGE = 25;
  const at = Object.fromEntries(data.columns.map((name, i) => [name, i]));
  const raw = (row, name) => (name in data.names ? data.names[name][row[at[name]]] : row[at[name]]);
  const status = (row) => {
    if (row[at.upper] === null) return "censored";
    return row[at.upper] - row[at.lower] === 1 ? "closed" : "open";
  };
  const width = (row) => {
    const low = row[at.lower] + 1;
    if (row[at.upper] === null) return `${low} or more`;
    return row[at.upper] === low ? String(low) : `${low}–${row[at.upper]}`;
  };
  // A column in which all cells agree is told once, in the caption, unless it is a measurement.
  const agreed = [];
  function isTold(column) {
    const values = new Set(data.rows.map(column.key));
    if (values.size !== 1 || !(column.constant || column.long)) return true;
    if (column.constant) agreed.push(column.constant([...values][0]));
    return false;
  }
  // A bound is rounded upwards, or it would claim more than is proven.
  function bound(value) {
    if (value === null || value === 0) return value === null ? "–" : "0";
    const unit = 10 ** (Math.floor(Math.log10(value)) - 5);
    return (Math.ceil(value / unit) * unit).toPrecision(6);
  }
  const columns = [
    { name: "d", key: (row) => raw(row, "dimension"), filter: "dimension", constant: (value) => `d = ${value}` },
    { name: "ε", key: (row) => raw(row, "epsilon"), filter: "error allowed, ε" },
    { name: "granularity", key: (row) => raw(row, "granularity"), filter: "granularity" },
    { name: "readout", key: (row) => raw(row, "readout"), filter: "readout", constant: (value) => `${value} readout` },
    { name: "init", key: (row) => raw(row, "init"), filter: "init", constant: (value) => `${value} init` },
    { name: "seed", key: (row) => raw(row, "seed"), filter: "seed" },
    { name: "minimal width", key: (row) => row[at.lower], show: width },
    { name: "status", key: status, filter: "status" },
    { name: "error of the ticket, at most", key: (row) => row[at.error_upper] ?? Infinity,
      show: (row) => bound(row[at.error_upper]) },
    { name: "seconds", key: (row) => row[at.seconds], show: (row) => row[at.seconds].toFixed(2) },
    { name: "why not closed", key: (row) => raw(row, "reason"), long: true },
  ].filter(isTold);
  const node = document.getElementById("table");
  const form = document.getElementById("filters");
  const count = document.getElementById("count");
  const pages = document.getElementById("pages");
  const body = node.tBodies[0];
  let sorted = { column: null, sign: 1 };
  let page = 0;
  let chosen = data.rows;
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

  function draw() {
    const last = Math.max(0, Math.ceil(chosen.length / PAGE) - 1);
    page = Math.min(Math.max(page, 0), last);
    const shown = chosen.slice(page * PAGE, (page + 1) * PAGE);
    body.replaceChildren(...shown.map((row) => {
      const line = make("tr");
      line.append(...columns.map((column) => {
        const words = column.show ? column.show(row) : column.key(row);
        return make("td", words, column.long ? { class: "long" } : {});
      }));
      return line;
    }));
    const of = `${chosen.length.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} cells`;
    count.textContent = chosen.length === data.rows.length ? `All ${of.split(" of ")[1]}.` : `${of} match.`;
    document.getElementById("place").textContent = `Page ${page + 1} of ${last + 1}`;
    pages.hidden = last === 0;
    for (const button of all("button", pages)) {
      button.disabled = ["first", "previous"].includes(button.value) ? page === 0 : page === last;
    }
  }
  function choose() {
    const wanted = all("select", form).filter((select) => select.value !== "");
    chosen = data.rows.filter((row) =>
      wanted.every((select) => String(columns[select.dataset.column].key(row)) === select.value));
    if (sorted.column !== null) {
      const { key } = columns[sorted.column];
      chosen = [...chosen].sort((a, b) => sorted.sign * compare(key(a), key(b)));
    }
    page = 0;
    draw();
  }
  const heads = columns.map((column, i) => {
    const head = make("th", undefined, { scope: "col" });
    const button = make("button", column.name, { type: "button" });
    button.addEventListener("click", () => {
      sorted = { column: i, sign: sorted.column === i ? -sorted.sign : 1 };
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sorted.sign > 0 ? "ascending" : "descending");
      choose();
    });
    head.append(button);
    return head;
  });
  node.tHead.rows[0].append(...heads);
  columns.forEach((column, i) => {
    if (!column.filter) return;
    const values = [...new Set(data.rows.map(column.key))].sort(compare);
    if (values.length < 2) return;
    const select = make("select", undefined, { "data-column": i });
    select.append(make("option", "any", { value: "" }), ...values.map((value) => make("option", value, { value })));
    const label = make("label", column.filter);
    label.append(select);
    form.append(label);
  });
  if (form.childElementCount) {
    form.append(make("button", "Clear", { type: "reset" }));
    form.hidden = false;
  }
  form.addEventListener("change", choose);
  form.addEventListener("reset", () => setTimeout(choose));
  form.addEventListener("submit", (event) => event.preventDefault());
  pages.addEventListener("click", (event) => {
    const moves = { first: -Infinity, previous: page - 1, next: page + 1, last: Infinity };
    if (event.target.value in moves) {
      page = moves[event.target.value];
      draw();
    }
  });
  if (agreed.length) node.caption.textContent += ` All of them: ${agreed.join(", ")}.`;
  node.hidden = data.rows.length === 0;
  choose();
}

colours();
settings();
all(".setting").forEach(reading);
table();
copying();
