// The live page: new seconds by server-sent events, missed ones from the history, and how the connection stands.
"use strict";

const PAGE = /*PAGE*/null;
const SECONDS_KEPT = 2 * 3600;
const GONE_AFTER_MS = 6000;
// A proxy may serve the page below a prefix, with or without a slash at its end.
const BASE = location.pathname.replace(/\/?$/, "/");

// [column or null, name, format, wide]
const TILES = {
  server: [["users", "Users"], ["connections", "Connections"], ["received", "Requests received"], ["won", "Won"], ["issued", "Envelopes issued"],
    ["refused", "Refused"], ["given_total_fen", "Given since the start, yuan", true], ["server_cpu_pct", "CPU of the server"], ["server_rss_bytes", "Memory"]],
  client: [["users", "Users"], ["target", "Requests due"], ["sent", "Sent"], ["answered", "Answered"], ["missed", "Missed"], ["won", "Won"],
    ["p50_us", "Latency p50"], ["p99_us", "Latency p99"], ["got_total_fen", "Got since the start, yuan", true], ["client_cpu_pct", "CPU of the client"]],
  monitor: [["hosts", "Hosts"], ["users", "Users"], ["sent", "Sent"], ["received", "Received"], ["answered", "Answered"], ["missed", "Missed"],
    ["won", "Won"], ["p99_us", "Latency p99"], ["given_total_fen", "Given, yuan", true], ["got_total_fen", "Got, yuan", true],
    ["difference_fen", "Difference, yuan", true]],
};
const NOTES = {sent: "clients, per second", received: "server, per second", users: "now", connections: "now", hosts: "in this second", p50_us: "since it was due", p99_us: "since it was due",
  given_total_fen: "by the server", got_total_fen: "by the clients", difference_fen: "given less got", server_cpu_pct: "100 = one core",
  client_cpu_pct: "100 = one core", server_rss_bytes: "resident"};

class Tiles {
  constructor(role) {
    const place = document.getElementById("tiles");
    this.tiles = (TILES[role] || TILES.monitor).map(([column, name, wide]) => {
      const value = Element("span", {class: "value", "data-tile": column}, "–");
      const note = Element("span", {class: "note"}, NOTES[column] || "per second");
      const root = Element("div", {class: wide ? "tile wide" : "tile"}, Element("span", {class: "name"}, name), value, note);
      place.append(root);
      return {column, value, note, root};
    });
  }

  show(store) {
    const i = store.size - 1;
    for (const {column, value, note, root} of this.tiles) {
      const now = store.at(column, i);
      Say(value, Number.isNaN(now) ? "–" : Format[COLUMNS[column].format](now));
      let warning = "";
      if (column === "hosts" && store.at("silent", i) > 0) warning = `⚠ ${store.at("silent", i)} silent`;
      if (column === "difference_fen" && now !== 0 && !Number.isNaN(now)) warning = "⚠ in flight";
      if (["missed", "refused"].includes(column) && now > 0) warning = "⚠ per second";
      root.classList.toggle("warn", warning !== "");
      Say(note, warning || NOTES[column] || "per second");
    }
  }
}

class Live {
  constructor() {
    this.role = PAGE.role;
    this.store = null;
    this.panel = new Panel(PAGE.role, null, 300);
    this.tiles = new Tiles(PAGE.role);
    this.lostSince = performance.now();
    this.lastRow = performance.now();
    this.retry = null;
    FillTable(PAGE.role, null, -1);
    document.title = PAGE.title;
    document.getElementById("title").textContent = PAGE.title;
    this.connect();
    setInterval(() => this.look(), 1000);
  }

  connect() {
    this.retry = null;
    this.source = new EventSource(BASE + "events");
    this.source.onopen = () => { this.lostSince = null; this.lastRow = performance.now(); this.catchUp(); };
    this.source.onmessage = (event) => this.take([JSON.parse(event.data)]);
    this.source.onerror = () => {
      this.lostSince = this.lostSince === null ? performance.now() : this.lostSince;
      if (this.source.readyState === EventSource.CLOSED && this.retry === null) {  // refused, and the browser does not come back by itself
        this.retry = setTimeout(() => this.connect(), 2000);
      }
      this.look();
    };
  }

  // What came before the stream, or between two of them. What the stream brings meanwhile waits: seconds go in in their order.
  async catchUp() {
    this.waiting = [];
    try {
      const after = this.store !== null && this.store.size > 0 ? this.store.last() : 0;
      const history = await (await fetch(BASE + "v1/history?after=" + after)).json();
      if (history.role !== PAGE.role) {  // another program has this port now
        location.reload();
        return;
      }
      if (this.store === null || this.store.columns.join() !== history.columns.join()) {
        this.store = new Store(history.columns, SECONDS_KEPT);
        this.panel.store = this.store;
      }
      document.title = history.title;
      document.getElementById("title").textContent = history.title;
      const rows = history.rows.concat(this.waiting);
      this.waiting = null;
      this.take(rows);
    } catch (error) {  // the stream's own error tells when the process is gone; else the next opening asks again
      this.waiting = null;
      if (this.store === null) {
        this.source.close();
        this.retry = setTimeout(() => this.connect(), 2000);
      }
    }
    this.look();
  }

  take(rows) {
    if (this.waiting) {
      this.waiting.push(...rows);
      return;
    }
    if (this.store === null) return;
    let added = 0;
    for (const row of rows) added += this.store.add(row) ? 1 : 0;
    if (added === 0) return;
    this.lastRow = performance.now();
    const i = this.store.size - 1;
    this.tiles.show(this.store);
    document.getElementById("second").textContent = "second " + Format.clock(this.store.last());
    document.getElementById("second").dataset.unixS = String(this.store.last());
    document.getElementById("values-caption").textContent = "Values of second " + Format.clock(this.store.last());
    FillTable(this.role, this.store, i);
    this.panel.arrived();
    this.look();
  }

  look() {
    const now = performance.now();
    const idle = Math.floor((now - this.lastRow) / 1000);
    if (this.lostSince !== null) {
      const gone = now - this.lostSince > GONE_AFTER_MS;
      this.say(gone ? "ended" : this.store === null ? "loading" : "reconnecting", gone ? "ended: the process has gone" : this.store === null ? "connecting" : "reconnecting");
    } else if (this.store !== null && this.store.size > 0 && idle > 4) {
      this.say("stalled", "connected, no new second");
    } else {
      this.say("live", "live");
    }
  }

  say(state, text) {
    const place = document.getElementById("state");
    if (place.dataset.state === state) return;  // said once: a reader is not told each second
    place.dataset.state = state;
    document.getElementById("state-text").textContent = text;
  }
}

window.hongbao = new Live();
document.documentElement.classList.remove("building");
