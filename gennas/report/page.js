"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (name) => document.getElementById(name);
  const shown = (value) => Number.isInteger(value) && Math.abs(value) < 1e6 ? String(value) : String(Number(value.toPrecision(4)));

  // Everything from the data is text: nothing of it is ever parsed as HTML.
  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const valuesOf = (arch) => {
    const list = make("dl", undefined, "values");
    for (const [name, value] of Object.entries(arch.values)) {
      if (value === null) continue;
      const line = make("div");
      line.append(make("dt", name), make("dd", shown(value)));
      list.append(line);
    }
    return list;
  };
  const drawingOf = (arch) => {
    const uri = data.drawings[arch.key];
    if (!uri) return null;
    const image = make("img", undefined, "drawing");
    image.src = uri;
    image.alt = `Drawing of arch ${arch.key}`;
    return image;
  };

  const choose = (row, isScrolling) => {
    const arch = data.archs[row];
    if (!arch) return;
    byId("chosen-drawing").replaceChildren(...[drawingOf(arch)].filter(Boolean));
    byId("chosen-key").textContent = arch.key;
    byId("chosen-values").replaceChildren(...valuesOf(arch).children);
    byId("chosen-message").textContent = arch.message;
    byId("chosen-what").textContent = arch.trained ? "Export its network" : "Draw it (no network was trained)";
    byId("chosen-command").textContent = arch.command;
    byId("said").textContent = `Evaluation ${row} is selected: ${arch.key}`;
    for (const line of document.querySelectorAll("#table tr.picked")) line.classList.remove("picked");
    const line = document.querySelector(`#table tr[data-row="${row}"]`);
    if (line) line.classList.add("picked");
    if (isScrolling) byId("chosen").scrollIntoView({ block: "nearest" });
  };

  const preview = byId("preview");
  const showPreview = (row, event) => {
    const arch = data.archs[row];
    if (!arch) return;
    const by = [arch.by, arch.state].filter(Boolean).join(", ");
    preview.replaceChildren(...[drawingOf(arch), make("div", `#${row} ${by}`), valuesOf(arch)].filter(Boolean));
    preview.hidden = false;
    const { width, height } = preview.getBoundingClientRect();
    const left = event.clientX + 18 + width > innerWidth ? event.clientX - 18 - width : event.clientX + 18;
    const top = Math.min(event.clientY + 12, innerHeight - height - 8);
    preview.style.left = `${Math.max(4, left)}px`;
    preview.style.top = `${Math.max(4, top)}px`;
  };

  const plots = [];
  const draw = (element) => {
    if (element.dataset.drawn) return;
    element.dataset.drawn = "yes";
    const figure = data.figures[element.id];
    Plotly.newPlot(element, figure.data, { ...figure.layout, dragmode: false }, {
      displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: "reset", showTips: false,
    });
    plots.push(element);
    element.on("plotly_click", (event) => {
      const row = event.points[0].customdata;
      if (row !== undefined) choose(row, true);
    });
    element.on("plotly_hover", (event) => {
      const row = event.points[0].customdata;
      if (row !== undefined && event.event && matchMedia("(hover: hover)").matches) showPreview(row, event.event);
    });
    element.on("plotly_unhover", () => { preview.hidden = true; });
  };
  const all = [...document.querySelectorAll(".plot")];
  const drawAll = () => all.forEach(draw);
  if ("IntersectionObserver" in window) {
    const watcher = new IntersectionObserver((seen) => {
      for (const one of seen) if (one.isIntersecting) { watcher.unobserve(one.target); draw(one.target); }
    }, { rootMargin: "300px" });
    all.forEach((one) => watcher.observe(one));
    // The rest while nobody waits, so that a jump finds it drawn.
    const idle = window.requestIdleCallback || ((work) => setTimeout(work, 200));
    const next = () => { const one = all.find((each) => !each.dataset.drawn); if (one) { draw(one); idle(next); } };
    addEventListener("load", () => idle(next));
  } else {
    drawAll();
  }

  // Paper has a width of its own, whatever that of the screen is.
  const wide = 640;
  addEventListener("beforeprint", () => {
    drawAll();
    for (const one of plots) Plotly.relayout(one, { width: wide });
    for (const one of document.querySelectorAll("details:not([open])")) { one.open = true; one.dataset.closed = "yes"; }
  });
  addEventListener("afterprint", () => {
    for (const one of plots) Plotly.relayout(one, { width: null, autosize: true });
    for (const one of document.querySelectorAll("details[data-closed]")) { one.open = false; delete one.dataset.closed; }
  });

  const table = byId("table"), body = table.tBodies[0], rows = [...body.rows];
  const filter = () => {
    const text = byId("filter-text").value.trim().toLowerCase();
    const origin = byId("filter-origin").value, state = byId("filter-state").value, front = byId("filter-front").checked;
    let count = 0;
    for (const row of rows) {
      const arch = data.archs[row.dataset.row];
      const fits = (!text || arch.key.toLowerCase().includes(text)) && (!origin || arch.by === origin)
        && (!state || arch.state === state) && (!front || "front" in row.dataset);
      row.hidden = !fits;
      count += fits;
    }
    byId("filter-count").textContent = count === rows.length ? `${count} archs` : `${count} of ${rows.length} archs`;
  };
  for (const name of ["filter-text", "filter-origin", "filter-state", "filter-front"]) byId(name).addEventListener("input", filter);

  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.firstElementChild.addEventListener("click", () => {
    const isUp = heading.getAttribute("aria-sort") !== "ascending";
    const isNumber = heading.dataset.kind === "number";
    const valueOf = (row) => row.cells[column].dataset.value;
    const ordered = [...body.rows].sort((one, other) => {
      const [a, b] = [valueOf(one), valueOf(other)];
      // What is not known stays at the end.
      if (a === "" || b === "") return (a === "") - (b === "");
      return (isUp ? 1 : -1) * (isNumber ? Number(a) - Number(b) : a.localeCompare(b));
    });
    body.append(...ordered);
    for (const one of headings) one.setAttribute("aria-sort", one === heading ? (isUp ? "ascending" : "descending") : "none");
  }));
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !String(getSelection())) choose(row.dataset.row, Boolean(event.target.closest(".pick")));
  });
  for (const one of document.querySelectorAll(".select")) one.addEventListener("click", () => choose(one.dataset.row, true));

  const copied = async (text, code) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* a page from a file may not */ }
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const code = byId(button.dataset.copy);
      button.textContent = (await copied(code.textContent, code)) ? "Copied" : "Press Ctrl+C";
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  }
})();
