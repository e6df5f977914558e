// The report: the same charts over a finished run's rows, with the verdict, the command, tables and pictures.
"use strict";

const REPORT = /*REPORT_DATA*/null;

const SHOWN = {pass: "✓ PASS", fail: "✗ FAIL", interrupted: "■ INTERRUPTED"};

function ShowVerdict(summary) {
  const place = document.getElementById("summary");
  const verdict = Element("div", {class: "verdict", "data-verdict": summary.verdict}, Element("strong", {}, SHOWN[summary.verdict] || String(summary.verdict)));
  if ((summary.reasons || []).length > 0) verdict.append(Element("ul", {}, ...summary.reasons.map((reason) => Element("li", {}, String(reason)))));
  place.append(verdict);
  if (summary.command) place.append(Element("div", {class: "command"}, Element("h2", {}, "To repeat it"), Element("pre", {tabindex: "0"}, summary.command)));
  place.hidden = false;
}

function OneTable({caption, head, rows}) {
  const number = (cell) => /^-?[\d,.]+( ?(%|ms|us|s|yuan|fen))?$/.test(String(cell));
  const headed = head.some((cell) => cell !== "");
  const line = (cells) => Element("tr", {}, ...cells.map((cell, i) => Element("td", headed && i > 0 && number(cell) ? {class: "number"} : {}, String(cell))));
  const named = headed ? [Element("thead", {}, Element("tr", {}, ...head.map((cell, i) => Element("th", rows.length > 0 && i > 0 && number(rows[0][i]) ? {scope: "col", class: "number"} : {scope: "col"}, String(cell)))))] : [];
  return Element("div", {class: "scroll", tabindex: "0", role: "group", "aria-label": String(caption)},
    Element("table", {}, Element("caption", {}, String(caption)), ...named, Element("tbody", {}, ...rows.map(line))));
}

function ShowTables(summary) {
  const place = document.getElementById("tables");
  const tables = [...(summary.tables || [])];
  if ((summary.environment || []).length > 0) tables.push({caption: "Environment", head: ["", ""], rows: summary.environment});
  place.append(...tables.map(OneTable));
  for (const {name, data} of summary.images || []) {
    if (!/^data:image\/(png|svg\+xml|jpeg);base64,[A-Za-z0-9+/=]+$/.test(data)) continue;
    const picture = Element("img", {alt: String(name)});
    picture.src = data;
    place.append(Element("figure", {}, picture, Element("figcaption", {}, String(name))));
  }
  place.hidden = tables.length === 0;
}

function ShowReport() {
  const titled = REPORT === null ? "no data: the template of a report" : String(REPORT.title);
  document.title = titled;
  document.getElementById("title").textContent = titled;
  document.getElementById("state").hidden = true;
  document.getElementById("tiles").hidden = true;
  document.getElementById("values").hidden = true;
  if (REPORT === null) return;
  const store = new Store(REPORT.columns, Math.max(1, REPORT.rows.length));
  for (const row of REPORT.rows) store.add(row);
  ShowVerdict(REPORT.summary || {});
  ShowTables(REPORT.summary || {});
  const second = document.getElementById("second");
  second.textContent = store.size === 0 ? "no second was counted" : new Date(store.first() * 1000).toLocaleString("en-GB") + " to " + Format.clock(store.last());
  const known = (column) => store.values.has(column) && store.values.get(column).subarray(0, store.size).some((value) => !Number.isNaN(value));
  for (const chart of CHARTS) chart.series = chart.series.filter(([column]) => known(column));
  const panel = new Panel("report", store, 0);
  panel.everywhere = true;
  panel.finished = true;
  document.documentElement.classList.add("finished");
  panel.schedule();
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    panel.charts.forEach((chart) => chart.restyle());
    panel.drawAll();
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    panel.charts.forEach((chart) => chart.restyle());
  });
  window.hongbao = {store, panel};
}

ShowReport();
document.documentElement.classList.remove("building");
