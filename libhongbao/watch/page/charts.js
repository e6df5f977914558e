// The charts that the live page and the report share: rows in typed arrays, one time axis, one chart drawn per frame.
//
// Amounts are whole fen and stay whole: a yuan has two decimals only as text.
"use strict";

const Format = (() => {
  const commas = (text) => text.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const whole = (value) => (value < 0 ? "-" : "") + commas(String(Math.abs(value)));
  const yuan = (fen) => {
    const size = Math.abs(fen);
    const rest = size % 100;
    return (fen < 0 ? "-" : "") + commas(String((size - rest) / 100)) + "." + String(rest).padStart(2, "0");
  };
  const scaled = (value, units, base) => {
    let i = 0;
    let size = Math.abs(value);
    while (size >= base && i + 1 < units.length) {
      size /= base;
      ++i;
    }
    return (value < 0 ? "-" : "") + String(Number(size.toPrecision(3))) + units[i];
  };
  const micros = (us) => us >= 1e6 ? scaled(us / 1e6, [" s"], 1e9) : us >= 1000 ? scaled(us / 1000, [" ms"], 1e9) : us + " µs";
  return {
    whole, yuan, micros,
    percent: (value) => whole(value) + " %",
    bytes: (value) => scaled(value, [" B", " kB", " MB", " GB", " TB"], 1000),
    axis: {
      whole: (value) => scaled(value, ["", "k", "M", "G"], 1000),
      yuan: (fen) => scaled(fen / 100, ["", "k", "M", "G"], 1000),
      micros: (us) => scaled(us, [" µs", " ms", " s"], 1000),
      percent: (value) => scaled(value, [""], 1e9),
      bytes: (value) => scaled(value, [" B", " kB", " MB", " GB", " TB"], 1000),
    },
    clock: (unixS) => new Date(unixS * 1000).toLocaleTimeString("en-GB"),
  };
})();

const BOTH = ["monitor", "report"];  // the pages of several programs

// name -> {title, format, by}: the figures of one second, in their order
const COLUMNS = Object.fromEntries(/*COLUMNS_JSON*/[].filter((one) => one.name !== "unix_s").map((one) => [one.name, one]));

// Drawn in this order, wide ones first: where lines lie on each other each still shows. [column, label, colour, width, dashes]
const CHARTS = [
  {id: "rate", title: "Requests", unit: "per second", format: "whole",
    series: [["target", "target", "grey", 6, null], ["received", "received", "orange", 4, null], ["answered", "answered", "green", 2.2, null],
      ["sent", "sent", "blue", 1.4, [5, 3]]]},
  {id: "wins", title: "Envelopes", unit: "per second", format: "whole",
    series: [["issued", "issued", "orange", 4, null], ["won", "won", "blue", 1.6, null], ["opened", "gift shares", "green", 1.6, [5, 3]]]},
  {id: "latency", title: "Latency", unit: "from the intended time", format: "micros", log: true,
    series: [["max_us", "highest", "grey", 1.6, [2, 3]], ["p999_us", "p99.9", "purple", 1.6, [6, 2]], ["p99_us", "p99", "orange", 2, null], ["p50_us", "p50", "blue", 2, null]]},
  {id: "trouble", title: "Not as planned", unit: "per second", format: "whole",
    series: [["missed", "missed", "orange", 3, null], ["late", "late", "purple", 2, [6, 2]], ["lost", "lost", "blue", 1.6, null], ["refused", "refused", "green", 1.4, [2, 2]]]},
  {id: "users", title: "Users and connections", unit: "now", format: "whole",
    series: [["connections", "connections", "orange", 4, null], ["users", "users", "blue", 1.6, null]]},
  {id: "money", title: "Money", unit: "yuan per second", format: "yuan",
    series: [["given_fen", "given", "orange", 4, null], ["got_fen", "got", "blue", 1.6, null]]},
  {id: "difference", title: "Money given less got", unit: "yuan, in flight", format: "yuan", roles: BOTH,
    series: [["difference_fen", "difference", "purple", 2, null]]},
  {id: "cpu", title: "CPU", unit: "%, 100 = one core", format: "percent",
    series: [["server_cpu_pct", "server", "orange", 2.4, null], ["client_cpu_pct", "clients", "blue", 1.6, [5, 3]]]},
  {id: "memory", title: "Memory", unit: "resident", format: "bytes",
    series: [["server_rss_bytes", "server", "orange", 2.4, null], ["client_rss_bytes", "clients", "blue", 1.6, [5, 3]]]},
  {id: "packets", title: "Network", unit: "packets per second, all interfaces", format: "whole", absent: "tools/nic_monitor has not told of this time",
    series: [["rx_packets", "received", "orange", 4, null], ["tx_packets", "sent", "blue", 1.6, null]]},
  {id: "drops", title: "Network trouble", unit: "per second", format: "whole", absent: "tools/nic_monitor has not told of this time",
    series: [["dropped", "packets dropped", "orange", 3, null], ["retransmitted", "TCP retransmits", "blue", 1.6, [5, 3]]]},
];

const Known = (column, role) => COLUMNS[column] !== undefined && (BOTH.includes(role) || COLUMNS[column].by.includes(role));

const OVERLAP_S = 10;

// Seconds in the order of time, a Float64Array a column (whole numbers up to 2^53 are exact in it; NaN: not known).
class Store {
  constructor(columns, room) {
    this.columns = columns;
    this.room = room;
    this.size = 0;
    this.values = new Map(columns.map((name) => [name, new Float64Array(Math.min(room, 4096))]));
    this.times = this.values.get("unix_s");
  }

  // False: the second is not newer than the last, as when stream and history overlap. One far before it comes from a wall
  // clock that was set back: then what lies ahead of it is forgotten.
  add(row) {
    const time = row[this.columns.indexOf("unix_s")];
    if (!Number.isSafeInteger(time)) return false;
    if (this.size > 0 && time < this.times[this.size - 1] - OVERLAP_S) this.size = this.lower(time);
    if (this.size > 0 && time <= this.times[this.size - 1]) return false;
    if (this.size === this.room) this.forget(this.room >> 3);
    if (this.size === this.times.length) this.grow();
    this.columns.forEach((name, i) => { this.values.get(name)[this.size] = Number.isSafeInteger(row[i]) ? row[i] : NaN; });
    ++this.size;
    return true;
  }

  forget(count) {
    for (const column of this.values.values()) column.copyWithin(0, count, this.size);
    this.size -= count;
  }

  grow() {
    for (const [name, old] of this.values) {
      const column = new Float64Array(Math.min(this.room, old.length * 2));
      column.set(old);
      this.values.set(name, column);
    }
    this.times = this.values.get("unix_s");
  }

  first() { return this.times[0]; }
  last() { return this.times[this.size - 1]; }
  at(name, i) { const column = this.values.get(name); return column === undefined || i < 0 ? NaN : column[i]; }

  // The first index whose time is at or after `time`.
  lower(time) {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < time) low = middle + 1; else high = middle;
    }
    return low;
  }

  nearest(time) {
    const i = this.lower(time);
    return i > 0 && (i === this.size || time - this.times[i - 1] < this.times[i] - time) ? i - 1 : i;
  }
}

// Rows for dygraphs of the seconds from..to: of each pixel's seconds the lowest and the highest of each series, in their order.
function Thin(store, names, from, to, pixels) {
  const begin = Math.max(0, store.lower(from) - 1);
  const end = Math.min(store.size, store.lower(to) + 2);
  const columns = names.map((name) => store.values.get(name));
  const step = Math.max(1, Math.ceil((end - begin) / Math.max(1, pixels)));
  const rows = [];
  const value = (column, i) => column === undefined || Number.isNaN(column[i]) ? null : column[i];
  for (let i = begin - (begin % step); i < end; i += step) {
    const low = Math.max(i, 0);
    const high = Math.min(i + step, store.size);
    if (low > 0 && store.times[low] - store.times[low - 1] > 3) {  // the process was away: no line across
      rows.push([store.times[low - 1] * 1000 + 500, ...columns.map(() => null)]);
    }
    if (high - low < 3) {
      for (let k = low; k < high; ++k) rows.push([store.times[k] * 1000, ...columns.map((column) => value(column, k))]);
      continue;
    }
    const one = [store.times[low] * 1000];
    const two = [store.times[high - 1] * 1000];
    for (const column of columns) {
      let least = -1;
      let most = -1;
      for (let k = low; column !== undefined && k < high; ++k) {
        if (Number.isNaN(column[k])) continue;
        if (least < 0 || column[k] < column[least]) least = k;
        if (most < 0 || column[k] > column[most]) most = k;
      }
      one.push(least < 0 ? null : column[Math.min(least, most)]);
      two.push(least < 0 ? null : column[Math.max(least, most)]);
    }
    rows.push(one, two);
  }
  return rows;
}

const Element = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

// Changes nothing that is so already: a browser would lay it out again.
const Say = (element, text) => { if (element.textContent !== text) element.textContent = text; };

const Colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

// One chart: its head, its legend with the values of the second pointed at, and dygraphs below.
class Chart {
  constructor(definition, role, panel) {
    this.definition = definition;
    this.panel = panel;
    this.series = definition.series.filter(([column]) => Known(column, role));
    this.names = this.series.map(([column]) => column);
    this.log = definition.log === true;
    this.visible = false;
    this.selected = false;
    this.dirty = true;
    this.graph = null;
    this.frames = [];
    this.build();
  }

  build() {
    const {title, unit, id} = this.definition;
    this.root = Element("article", {class: "chart", id: "chart-" + id, "aria-labelledby": "h-" + id});
    const head = Element("div", {class: "chart-head"}, Element("h2", {id: "h-" + id}, title, Element("span", {class: "unit"}, unit)));
    if (this.definition.log) {
      const button = Element("button", {type: "button", "aria-pressed": "true"}, "log scale");
      button.addEventListener("click", () => {
        this.log = !this.log;
        button.setAttribute("aria-pressed", String(this.log));
        this.restyle();
      });
      head.append(button);
    }
    this.legend = Element("ul", {class: "legend"});
    this.cells = this.series.map(([, label]) => {
      const cell = Element("span", {class: "value"}, "–");
      const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      swatch.setAttribute("width", "22");
      swatch.setAttribute("height", "8");
      swatch.setAttribute("aria-hidden", "true");
      swatch.append(document.createElementNS("http://www.w3.org/2000/svg", "line"));
      this.legend.append(Element("li", {}, swatch, Element("span", {class: "label"}, label), cell));
      return cell;
    });
    this.box = Element("div", {class: "plot-box", tabindex: "0", role: "group",
      "aria-label": `${title}, ${unit}: chart. Arrow keys move in time, plus and minus zoom, End follows.`});
    this.plot = Element("div", {class: "plot"});
    this.empty = Element("p", {class: "plot-empty"}, "waiting for the first second");
    this.box.append(this.plot, this.empty);
    this.box.addEventListener("keydown", (event) => this.panel.key(event));
    this.box.addEventListener("mouseleave", () => this.panel.point(null));
    this.root.append(head, this.legend, this.box);
    this.paintLegend();
  }

  paintLegend() {
    this.legend.querySelectorAll("line").forEach((line, i) => {
      const [, , colour, width, dashes] = this.series[i];
      const attributes = {x1: 0, x2: 22, y1: 4, y2: 4, stroke: Colour(colour), "stroke-width": width, "stroke-dasharray": (dashes || []).join(" ")};
      for (const [name, value] of Object.entries(attributes)) line.setAttribute(name, value);
    });
  }

  strokes(dense) {
    const strokes = {};
    for (const [, label, colour, width, dashes] of this.series) {
      strokes[label] = {color: Colour(colour), strokeWidth: dense ? Math.min(width, 2.4) : width, strokePattern: dense ? null : dashes};
    }
    return strokes;
  }

  options() {
    const axis = Format.axis[this.definition.format];
    const full = Dygraph.defaultInteractionModel;
    return {
      labels: ["time", ...this.series.map(([, label]) => label)], series: this.strokes(false), legend: "never", logscale: this.log, includeZero: !this.log,
      axes: {x: {ticker: Dygraph.dateTicker, axisLabelFormatter: (time) => Format.clock(Number(time) / 1000), pixelsPerLabel: 78},
        y: {axisLabelFormatter: (value) => this.tick(axis, value), axisLabelWidth: 56, pixelsPerLabel: this.log ? 24 : 32, includeZero: !this.log}},
      gridLineColor: Colour("grid"), axisLineColor: Colour("line"), highlightCircleSize: 3, xRangePad: 0, yRangePad: 4, rightGap: 6,
      connectSeparatedPoints: false, drawGapEdgePoints: true, animatedZooms: false,
      interactionModel: {mousedown: full.mousedown, dblclick: () => this.panel.follow(), willDestroyContextMyself: true},
      highlightCallback: (event, x) => this.panel.point(x / 1000),
      zoomCallback: (low, high) => this.panel.zoom(low / 1000, high / 1000),
      underlayCallback: (canvas, area, graph) => this.shade(canvas, area, graph),
    };
  }

  // On a log scale only 1, 2 and 5 and their tens are named; the whole numbers of a count have no halves.
  tick(axis, value) {
    if (this.log && !/^[125]0*$/.test(String(Math.round(value)))) return "";
    return this.definition.format === "whole" && !Number.isInteger(value) ? "" : axis(value);
  }

  // The seconds in which a host was silent.
  shade(canvas, area, graph) {
    const store = this.panel.store;
    if (store === null || !store.values.has("silent")) return;
    const [from, to] = graph.xAxisRange();
    canvas.fillStyle = Colour("silent");
    for (let i = store.lower(from / 1000); i < store.size && store.times[i] * 1000 <= to; ++i) {
      if (store.at("silent", i) > 0) {
        const left = graph.toDomXCoord((store.times[i] - 0.5) * 1000);
        canvas.fillRect(left, area.y, graph.toDomXCoord((store.times[i] + 0.5) * 1000) - left, area.h);
      }
    }
  }

  draw() {
    this.dirty = false;
    const store = this.panel.store;
    if (store === null || store.size === 0) return;
    const began = performance.now();
    const [from, to] = this.panel.window();
    const pixels = Math.max(60, this.plot.clientWidth - 62);
    const rows = Thin(store, this.names, from, to, pixels / 2);
    this.drawnTo = to;
    this.pixelSeconds = (to - from) / pixels;
    const known = rows.some((row) => row.some((value, i) => i > 0 && value !== null));
    this.empty.hidden = known;
    Say(this.empty, this.panel.role === "monitor" && this.definition.absent || "no values in this time");
    const data = known || rows.length > 0 ? rows : [[from * 1000, ...this.names.map(() => null)]];
    const dense = rows.length > 200;  // dashes would be dots of a pixel, and cost the most of the drawing
    const view = {file: data, series: this.strokes(dense), dateWindow: [from * 1000, to * 1000], valueRange: this.range(rows)};
    if (this.graph === null) {
      this.graph = new Dygraph(this.plot, data, {...this.options(), ...view});
    } else {
      this.graph.updateOptions(view);
    }
    this.showPoint();
    this.frames.push(performance.now() - began);
    if (this.frames.length > 1000) this.frames.shift();
  }

  // From 0 up to a little above the highest, at least to 1 so that a line of zeros has an axis; log: whole tens of what there is.
  range(rows) {
    let low = Infinity;
    let high = -Infinity;
    for (const row of rows) {
      for (let i = 1; i < row.length; ++i) {
        if (row[i] !== null && (!this.log || row[i] > 0)) {
          low = Math.min(low, row[i]);
          high = Math.max(high, row[i]);
        }
      }
    }
    if (high === -Infinity) return this.log ? [10, 1000] : [0, 1];
    if (this.log) return [Math.pow(10, Math.floor(Math.log10(low))), Math.pow(10, Math.ceil(Math.log10(high * 1.05)))];
    const least = this.definition.format === "yuan" ? 100 : this.definition.format === "whole" ? 4 : 1;
    return [low < 0 ? low * 1.05 : 0, Math.max(high * 1.08, least)];
  }

  restyle() {
    this.paintLegend();
    if (this.graph !== null) {
      this.graph.updateOptions(this.options(), true);
      this.panel.touch(this);
    }
  }

  // Of the time shown.
  highest(name) {
    const {store} = this.panel;
    const [from, to] = this.panel.window();
    let most = NaN;
    for (let i = store.lower(from); i < store.size && store.times[i] <= to; ++i) {
      const value = store.at(name, i);
      if (Number.isNaN(most) || value > most) most = value;
    }
    return most;
  }

  // The values of the second pointed at, the latest if none is.
  showPoint() {
    const {store, pointed} = this.panel;
    if (store === null || store.size === 0) return;
    const i = pointed === null ? store.size - 1 : store.nearest(pointed);
    const format = Format[this.definition.format];
    const peak = pointed === null && this.panel.finished;  // the last second of a run that has ended says nothing
    this.names.forEach((name, k) => {
      const value = peak ? this.highest(name) : store.at(name, i);
      Say(this.cells[k], Number.isNaN(value) ? "–" : (peak ? "max " : "") + format(value));
    });
    if (this.graph === null) return;
    if (pointed === null) {
      if (this.selected) this.graph.clearSelection();
      this.selected = false;
      return;
    }
    let low = 0;
    let high = this.graph.numRows() - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.graph.getValue(middle, 0) < pointed * 1000) low = middle + 1; else high = middle;
    }
    this.selected = true;
    this.graph.setSelection(low);
  }
}

// All charts, the time they show, and who is drawn next.
class Panel {
  constructor(role, store, secondsAtFirst) {
    this.role = role;
    this.store = store;
    this.span = secondsAtFirst;  // seconds shown; 0: all there are
    this.fixed = null;           // [from, to]: zoomed by hand; null: the latest
    this.pointed = null;
    this.waiting = false;
    this.turn = -1;
    this.pointing = false;
    this.everywhere = false;  // charts out of sight are drawn too
    this.finished = false;    // no new second will come
    this.charts = CHARTS.filter((definition) => definition.roles === undefined || definition.roles.includes(role))
      .map((definition) => new Chart(definition, role, this)).filter((chart) => chart.series.length > 0);
    const place = document.getElementById("charts");
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const chart = this.charts.find((one) => one.root === entry.target);
        chart.visible = entry.isIntersecting;
      }
      this.schedule();
    }, {rootMargin: "120px"});
    for (const chart of this.charts) {
      place.append(chart.root);
      seen.observe(chart.root);
    }
    this.buttons();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.charts.forEach((chart) => chart.restyle()));
    const sized = new ResizeObserver((entries) => {
      for (const entry of entries) {
        const chart = this.charts.find((one) => one.plot === entry.target);
        chart.dirty = true;
        if (chart.graph !== null) chart.graph.resize();
      }
      this.schedule();
    });
    for (const chart of this.charts) sized.observe(chart.plot);
  }

  buttons() {
    const group = document.getElementById("ranges");
    this.rangeButtons = [[60, "1 min"], [300, "5 min"], [3600, "1 h"], [0, "all"]].map(([span, label]) => {
      const button = Element("button", {type: "button", "aria-pressed": String(span === this.span)}, label);
      button.addEventListener("click", () => { this.span = span; this.follow(); });
      group.append(button);
      return [span, button];
    });
  }

  window() {
    if (this.fixed !== null) return this.fixed;
    const to = this.store.last();
    const from = this.span === 0 ? Math.min(this.store.first(), to - 10) : to - this.span;
    return [from, to + Math.max(0.5, (to - from) / 200)];
  }

  follow() { this.fixed = null; this.changed(); }

  zoom(from, to) {
    const middle = (from + to) / 2;
    const half = Math.max(5, (to - from) / 2);
    this.fixed = [middle - half, middle + half];
    this.changed();
  }

  key(event) {
    if (this.store === null || this.store.size === 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const [from, to] = this.window();
    const part = (to - from) / 5;
    const moves = {ArrowLeft: [-part, -part], ArrowRight: [part, part], "+": [part, -part], "=": [part, -part], "-": [-part, part]};
    if (event.key === "End" || event.key === "Escape") this.follow();
    else if (event.key === "Home") this.zoom(this.store.first(), this.store.first() + to - from);
    else if (moves[event.key]) this.zoom(from + moves[event.key][0], to + moves[event.key][1]);
    else return;
    event.preventDefault();
  }

  point(time) {
    this.pointed = time;
    if (this.pointing) return;
    this.pointing = true;
    const waiting = this.charts.filter((chart) => chart.visible);
    const some = () => {  // two charts a frame: the eye does not see the others follow
      for (const chart of waiting.splice(0, 2)) chart.showPoint();
      this.pointing = waiting.length > 0;
      if (this.pointing) requestAnimationFrame(some);
    };
    requestAnimationFrame(some);
  }

  touch(chart) { chart.dirty = true; this.schedule(); }

  changed() {
    for (const [span, button] of this.rangeButtons) button.setAttribute("aria-pressed", String(this.fixed === null && span === this.span));
    for (const chart of this.charts) chart.dirty = true;
    this.schedule();
  }

  schedule() {
    if (this.waiting || this.store === null || this.store.size === 0) return;
    let next;
    for (let i = 1; i <= this.charts.length && next === undefined; ++i) {  // in turn: a hand that keeps panning moves all of them
      const chart = this.charts[(this.turn + i) % this.charts.length];
      if (chart.dirty && (chart.visible || this.everywhere)) next = chart;
    }
    if (next === undefined) return;
    this.turn = this.charts.indexOf(next);
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      next.draw();
      this.schedule();
    });
  }

  // A new second: what it would move by less than half a pixel is drawn with a later one; the figures change at once.
  arrived() {
    for (const chart of this.charts) {
      if (chart.graph === null || this.fixed === null && this.window()[1] - chart.drawnTo >= chart.pixelSeconds / 2) chart.dirty = true;
      else if (chart.visible) chart.showPoint();
    }
    this.schedule();
  }

  drawAll() { for (const chart of this.charts) chart.draw(); }
}

// The values of one second in words.
function FillTable(role, store, i) {
  const body = document.getElementById("values-body");
  if (body.childElementCount === 0) {
    for (const column of Object.keys(COLUMNS).filter((name) => Known(name, role))) {
      body.append(Element("tr", {}, Element("th", {scope: "row"}, COLUMNS[column].title), Element("td", {}, column),
        Element("td", {class: "number", "data-column": column}, "–")));
    }
  }
  if (i < 0) return;
  for (const cell of body.querySelectorAll("[data-column]")) {
    const value = store.at(cell.dataset.column, i);
    const format = COLUMNS[cell.dataset.column].format;
    Say(cell, Number.isNaN(value) ? "–" : format === "yuan" ? Format.yuan(value) : Format.whole(value));
  }
}
