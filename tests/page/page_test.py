#!/usr/bin/env python3
"""The page in a real browser: the numbers it shows are the programs' own, and it behaves for whoever looks at it.

Headless Chromium through chromedriver; without them the test is skipped (exit 77), and says so.
"""

import csv
import json
import os
import pathlib
import re
import signal
import sys
import tempfile
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end")]
import browser  # noqa: E402
import host  # noqa: E402
import processes  # noqa: E402

SKIPPED = 77
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => { for (const entry of list.getEntries()) shifts.push([entry.value, entry.startTime, ...entry.sources.map((one) => one.node && (one.node.outerHTML || one.node.textContent).slice(0, 60))]); })
  .observe({type: "layout-shift", buffered: true});
"""
SHOWN = """
const cells = {};
for (const cell of document.querySelectorAll("[data-column]")) cells[cell.dataset.column] = cell.textContent;
const tiles = {};
for (const tile of document.querySelectorAll("[data-tile]")) tiles[tile.dataset.tile] = tile.textContent;
return {second: Number(document.getElementById("second").dataset.unixS || 0), cells, tiles};
"""
STATE = "return document.getElementById('state').dataset.state"
SIZE = "return hongbao.store === null ? 0 : hongbao.store.size"


def in_words(column, value):
    if value is None:
        return "–"
    if column.endswith("_fen"):
        return f"{'-' if value < 0 else ''}{abs(value) // 100:,}.{abs(value) % 100:02d}"
    return f"{value:,}"


class PageCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def setUp(self):
        self.browser.cdp("Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        self.browser.open("about:blank")
        self.browser.log("browser")
        self.browser.requests()

    def narrow(self, width):
        self.browser.cdp("Emulation.setDeviceMetricsOverride", {"width": width, "height": 780, "deviceScaleFactor": 1, "mobile": False})

    def check_quiet(self, address):
        """Nothing in the console, and no request but the page's own."""
        self.assertEqual([entry["message"] for entry in self.browser.log("browser")], [])
        asked = [url for url in self.browser.requests() if not url.startswith(("data:", "about:"))]
        for url in asked:
            self.assertRegex(url, "^" + address + r"(|events|v1/history\?after=\d+)$")
        self.assertTrue(asked)

    def check_no_sideways_scroll(self, width):
        self.narrow(width)
        wide = ("[...document.querySelectorAll('body *')].filter((one) => !one.closest('.scroll') && !one.closest('.skip') && "
                "one.getBoundingClientRect().right > innerWidth + 0.5).map((one) => one.outerHTML.slice(0, 90)).slice(0, 5)")
        try:  # the charts follow in one of the next frames
            self.browser.wait(f"return {wide}.length === 0", "nothing is wider than the window")
        except AssertionError:
            self.assertEqual(self.browser.run(f"return {wide}"), [])
        self.assertEqual(self.browser.run("return document.documentElement.scrollWidth"), width)


class RealRunTest(PageCase):
    def start(self, name, binary, flags):
        process = processes.Process(binary, flags, self.folder, name)
        self.addCleanup(process.kill)
        return process.wait_ready()

    def setUp(self):
        super().setUp()
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.server = self.start_server(0)
        self.client = self.start("client", processes.CLIENT, ["--server", f"127.0.0.1:{self.server.port}", "--admin", "127.0.0.1:0", "--users", "500",
                                                            "--qps", "800", "--duration", "300s", "-t", "1"])
        self.ask(self.server, "POST", "/v1/envelopes/shake?rate=100&count=20000")

    def start_server(self, admin_port):
        return self.start("server", processes.SERVER, ["--listen", "127.0.0.1:0", "--admin", f"127.0.0.1:{admin_port}", "-t", "1", "--users-max", "1000"])

    @staticmethod
    def ask(process, method, path):
        return json.loads(process.http(method, path)[1])

    def test_the_numbers_on_the_page_are_the_programs_own(self):
        busy = {"server": "received", "client": "sent"}
        series = {"server": ("received", "won", "connections", "users", "issued"),
                  "client": ("sent", "answered", "target", "missed", "won", "users", "late")}
        for process in (self.server, self.client):
            with self.subTest(process.name):
                address = f"http://127.0.0.1:{process.admin_port}/"
                self.browser.open(address)
                self.browser.wait(f"return hongbao.store !== null && hongbao.store.at('{busy[process.name]}', hongbao.store.size - 1) > 0 && "
                                  "hongbao.store.at('won', hongbao.store.size - 1) > 0", "a busy second")
                shown = self.browser.run(SHOWN)
                history = self.ask(process, "GET", f"/v1/history?after={shown['second'] - 1}")
                row = dict(zip(history["columns"], history["rows"][0]))
                self.assertEqual(row["unix_s"], shown["second"])
                self.assertEqual(shown["cells"], {column: in_words(column, row[column]) for column in shown["cells"]})
                told = next(one for one in self.ask(process, "GET", "/v1/series")["series"] if one["unix_s"] == shown["second"])
                for column in series[process.name]:
                    self.assertEqual(shown["cells"][column], in_words(column, told[column]), column)
                self.assertEqual(shown["tiles"][busy[process.name]], in_words("", row[busy[process.name]]))
                total = "given_total_fen" if process.name == "server" else "got_total_fen"
                self.assertGreater(row[total], 0)
                self.assertEqual(shown["tiles"][total], in_words(total, row[total]))
                self.assertEqual(self.browser.run(STATE), "live")
                self.browser.run("hongbao.panel.everywhere = true; hongbao.panel.changed()")
                self.browser.wait("return hongbao.panel.charts.every((one) => one.graph !== null)", "all charts are drawn")
                self.check_quiet(address)

    def test_a_server_that_is_killed_and_comes_back(self):
        address = f"http://127.0.0.1:{self.server.admin_port}/"
        self.browser.open(address)
        before = self.browser.wait(SIZE, "rows")
        self.check_quiet(address)
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait()
        self.browser.wait(STATE + " === 'reconnecting'", "the page says it reconnects")
        last = self.browser.run("return hongbao.store.last()")
        self.browser.wait(STATE + " === 'ended'", "the page says the process is gone")
        again = self.start_server(self.server.admin_port)
        self.assertEqual(again.admin_port, self.server.admin_port)
        self.browser.wait(STATE + " === 'live'", "the page is back")
        self.browser.wait(f"return hongbao.store.last() > {last} && hongbao.store.size > {before}", "new seconds after the old")


@unittest.skipUnless(os.environ.get("HONGBAO_MONITOR"), "HONGBAO_MONITOR does not name hongbao-monitor")
class MonitorTest(PageCase):
    start = RealRunTest.start

    def test_the_numbers_on_the_monitors_page_are_those_of_its_csv(self):
        with tempfile.TemporaryDirectory() as self.folder:
            path = os.path.join(self.folder, "seconds.csv")
            monitor = self.start("monitor", os.environ["HONGBAO_MONITOR"],
                                 ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--csv", path])
            inlet = re.search(r"listening on ([\d.]+:\d+)", monitor.log()).group(1)
            server = self.start("server", processes.SERVER, ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "-t", "1", "--monitor", inlet])
            self.start("client", processes.CLIENT, ["--server", f"127.0.0.1:{server.port}", "--admin", "127.0.0.1:0", "--users", "500", "--qps",
                                                  "800", "--duration", "300s", "-t", "1", "--monitor", inlet])
            RealRunTest.ask(server, "POST", "/v1/envelopes/shake?rate=100&count=20000")
            address = f"http://127.0.0.1:{monitor.admin_port}/"
            self.browser.open(address)
            for _ in range(3):  # three seconds, not the same
                self.browser.wait("return hongbao.store !== null && ['received', 'sent', 'won', 'got_total_fen', 'p99_us'].every((one) => "
                                  f"hongbao.store.at(one, hongbao.store.size - 1) > 0) && hongbao.store.last() > {getattr(self, 'last', 0)}", "a busy second")
                shown = self.browser.run(SHOWN)
                self.last = shown["second"]
                line = processes.wait_until(lambda: self.line(path, shown["second"]), "the second in the CSV file")
                self.assertEqual(shown["cells"], {name: in_words(name, None if line[name] == "" else int(line[name])) for name in shown["cells"]})
                self.assertEqual(shown["tiles"]["sent"], f"{int(line['sent']):,}")
                self.assertEqual(shown["tiles"]["difference_fen"], in_words("_fen", int(line["difference_fen"])))
            self.check_quiet(address)
            self.doCleanups()  # ends the programs before their folder goes

    @staticmethod
    def line(path, second):
        with open(path, newline="", encoding="utf-8") as file:
            return next((line for line in csv.DictReader(file) if line["unix_s"] == str(second)), None)


class MadeUpRowsTest(PageCase):
    NOW = 1_486_824_000

    def setUp(self):
        super().setUp()
        self.host = host.Host()
        self.addCleanup(self.host.close)

    def test_before_any_data_and_nothing_moves_when_it_comes(self):
        self.browser.cdp("Page.addScriptToEvaluateOnNewDocument", {"source": SHIFTS})
        self.browser.open(self.host.url)
        self.browser.wait(STATE + " === 'live'", "it is connected")
        shown = self.browser.run("return [document.getElementById('second').textContent, document.querySelectorAll('.chart').length, "
                                 "[...document.querySelectorAll('.plot-empty')].filter((one) => one.offsetParent !== null).length]")
        self.assertEqual(shown, ["waiting for the first second", 11, 11])
        self.assertEqual(set(self.browser.run(SHOWN)["tiles"].values()), {"–"})
        for i in range(25):
            values = host.lifelike(i)
            if i % 3 == 0:  # figures of other lengths, a host that falls silent
                values.update(users=7, sent=1, given_total_fen=987_654_321_012_345, difference_fen=-5, silent=2, max_us=None, p50_us=None)
            self.host.publish(self.NOW + i, **values)
            self.browser.wait(f"return hongbao.store !== null && hongbao.store.size === {i + 1}", f"row {i}")
        self.browser.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.assertEqual(self.browser.run("return shifts"), [])
        self.check_quiet(self.host.url)

    def test_silence_and_what_is_in_flight_are_marked(self):
        self.host.publish(self.NOW, **{**host.lifelike(0), "silent": 2, "difference_fen": 179})
        self.browser.open(self.host.url)
        self.browser.wait(SIZE, "the row")
        warned = self.browser.run("return [...document.querySelectorAll('.tile.warn .note')].map((one) => one.textContent)")
        self.assertEqual(warned, ["⚠ 2 silent", "⚠ in flight"])
        self.assertEqual(self.browser.run(SHOWN)["cells"]["difference_fen"], "1.79")

    def test_what_the_stream_misses_comes_from_the_history(self):
        for i in range(5):
            self.host.publish(self.NOW + i, **host.lifelike(i))
        self.browser.open(self.host.url)
        self.browser.wait("return hongbao.store !== null && hongbao.store.size === 5", "what was before")
        with self.host.lock:
            self.host.rows.append(self.host.row(self.NOW + 5, sent=77))  # nobody streams it
        self.browser.run("hongbao.source.close(); hongbao.connect()")
        self.browser.wait("return hongbao.store.size === 6", "the missed one")
        self.host.publish(self.NOW + 6, sent=78)
        self.browser.wait("return hongbao.store.size === 7", "the next")
        self.assertEqual(self.browser.run("return [4, 5, 6].map((i) => hongbao.store.at('sent', i))")[1:], [77, 78])

    def test_amounts_keep_every_fen(self):
        fen = 9_007_199_254_740_991  # the largest whole number a script has
        self.host.publish(self.NOW, given_total_fen=fen, got_total_fen=fen - 1, difference_fen=-1, given_fen=5)
        self.browser.open(self.host.url)
        self.browser.wait(SIZE, "the row")
        cells = self.browser.run(SHOWN)["cells"]
        self.assertEqual([cells[name] for name in ("given_total_fen", "got_total_fen", "difference_fen", "given_fen", "sent")],
                         ["90,071,992,547,409.91", "90,071,992,547,409.90", "-0.01", "0.05", "–"])

    def test_the_keyboard_reaches_and_moves_the_charts(self):
        for i in range(600):
            self.host.publish(self.NOW + i, **host.lifelike(i))
        self.browser.open(self.host.url)
        self.browser.wait("return hongbao.store !== null && hongbao.store.size === 600", "rows")
        self.browser.keys("tab")
        self.assertEqual(self.browser.run("return document.activeElement.className"), "skip")
        self.browser.keys("enter", "tab")  # past the tools, into the charts
        found = self.browser.run("return [document.activeElement.className, document.activeElement.matches(':focus-visible')]")
        self.assertEqual(found, ["plot-box", True])
        window = "return hongbao.panel.window()"
        start = self.browser.run(window)
        self.browser.keys("left")
        moved = self.browser.run(window)
        self.assertLess(moved[1], start[1])
        self.assertAlmostEqual(moved[1] - moved[0], start[1] - start[0])
        self.browser.keys("plus")
        closer = self.browser.run(window)
        self.assertLess(closer[1] - closer[0], moved[1] - moved[0])
        self.browser.keys("end")
        self.assertEqual(self.browser.run(window), start)
        self.browser.run("document.querySelector('#ranges button').focus()")
        self.browser.keys("enter")
        self.assertLess(self.browser.run(window)[1] - self.browser.run(window)[0], 62)
        self.assertEqual(self.browser.run("return document.querySelector('#ranges button').getAttribute('aria-pressed')"), "true")

    def test_a_phone_has_no_sideways_scroll(self):
        for i in range(30):
            self.host.publish(self.NOW + i, **{**host.lifelike(i), "given_total_fen": 987_654_321_012_345, "received": 1_234_567_890})
        self.browser.open(self.host.url)
        self.browser.wait(SIZE, "rows")
        self.browser.run("hongbao.panel.everywhere = true; hongbao.panel.changed()")
        self.browser.wait("return hongbao.panel.charts.every((one) => one.graph !== null)", "all charts are drawn")
        for width in (360, 390, 768):
            self.check_no_sideways_scroll(width)
            # Drawn for the width it has now, not for one on the way there.
            self.browser.wait("return hongbao.panel.charts.every((one) => !one.dirty && one.graph.numRows() >= 30 && "
                              "one.plot.querySelector('canvas').clientWidth === one.plot.clientWidth)", f"charts of {width} px")

    def test_thinning_keeps_every_extreme(self):
        self.browser.open(self.host.url)
        wrong = self.browser.run("""
          const store = new Store(["unix_s", "a", "b"], 10000);
          let x = 1;
          for (let i = 0; i < 5000; ++i) {
            x = (x * 48271) % 2147483647;
            store.add([1000 + i, x % 1000003, i % 7 === 0 ? null : x % 17]);
          }
          const wrong = [];
          for (const [from, to, pixels] of [[1000, 5999, 300], [1000, 1010, 300], [2000, 4000, 7], [900, 7000, 1], [5990, 9000, 50]]) {
            const rows = Thin(store, ["a", "b"], from, to, pixels);
            if (rows.length > 2 * pixels + 8) wrong.push("too many: " + rows.length);
            for (const [name, at] of [["a", 1], ["b", 2]]) {
              const exact = [];
              for (let i = store.lower(from); i < store.size && store.times[i] <= to; ++i) if (!Number.isNaN(store.at(name, i))) exact.push(store.at(name, i));
              const drawn = rows.map((row) => row[at]).filter((value) => value !== null);
              if (Math.max(...exact) > Math.max(...drawn) || Math.min(...exact) < Math.min(...drawn)) wrong.push([from, to, pixels, name]);
            }
            for (let i = 1; i < rows.length; ++i) if (rows[i][0] < rows[i - 1][0]) wrong.push("order");
          }
          return wrong;""")
        self.assertEqual(wrong, [])


class ReportTest(PageCase):
    HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'>"

    def test_a_report_shows_its_data_and_runs_nothing_of_it(self):
        names = host.columns()
        rows = [[1_486_824_000 + i if name == "unix_s" else host.lifelike(i).get(name) for name in names] for i in range(300)]
        picture = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
        data = {"role": "report", "title": "run " + self.HOSTILE, "columns": names, "rows": rows, "summary": {
            "verdict": "fail", "reasons": ["p99<1ms: 9.8 ms", self.HOSTILE], "command": "tools/simulate --users 1M " + self.HOSTILE,
            "environment": [["cores", "2"], [self.HOSTILE, self.HOSTILE]],
            "tables": [{"caption": "Money, yuan", "head": ["", "yuan"], "rows": [["given", "1,234.56"], [self.HOSTILE, "0.00"]]}],
            "images": [{"name": "qps", "data": picture}, {"name": "evil", "data": "https://evil.example/x.png"}]}}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report.html")
            with open(path, "w", encoding="utf-8") as file:
                file.write(host.report_page(data))
            self.browser.open("file://" + path)
            self.browser.wait("return hongbao.panel.charts.every((one) => one.graph !== null)", "all charts are drawn")
            self.assertIsNone(self.browser.run("return window.broken || null"))
            seen = self.browser.run("return [document.querySelector('.verdict strong').textContent, document.querySelectorAll('.verdict li').length, "
                                    "document.querySelector('pre').textContent, document.querySelectorAll('table').length, document.images.length, "
                                    "hongbao.store.size, document.title]")
            self.assertEqual(seen, ["✗ FAIL", 2, data["summary"]["command"], 3, 1, 300, data["title"]])
            self.assertEqual([entry["message"] for entry in self.browser.log("browser")], [])
            self.assertEqual({url.split(":")[0] for url in self.browser.requests()} - {"file", "data", "about"}, set())
            self.check_no_sideways_scroll(360)


if __name__ == "__main__":
    if browser.missing():
        print("skipped: " + browser.missing())
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
