"""What tools/simulate leaves in its folder beside report.json: the merged seconds, the plots, latency.hgrm, report.html; and what
--fail-if makes of a run."""

import html.parser
import json
import os
import re
import shlex
import shutil
import struct
import sys
import tempfile
import unittest
from unittest import mock

from hongbao_tools.common.command_line import UsageError
from hongbao_tools.simulate import environment, hgrm, html_report, options, plots, reconcile, seconds, thresholds

ROOT = os.path.dirname(os.environ["PYTHONPATH"])


def server_report(first=100, count=4):
    return {"series": [{"unix_s": first + i, "connections": 12, "received": 90 + i, "issued": 3, "won": 2, "opened": 1,
                        "given_fen": 210, "server_cpu_pct": 41, "server_rss_bytes": 1_000} for i in range(count)]}


def client_report(first=100, count=4, late=0):
    return {"series": [{"unix_s": first + i, "users": 6, "target": 50, "sent": 45, "answered": 44, "missed": 5, "late": 1, "lost": 0, "won": 1,
                        "nothing": 43, "cap": 0, "refused": 0, "got_fen": 105, "p50_us": 80, "p99_us": 300 + late,
                        "client_cpu_pct": 10, "client_rss_bytes": 500, "rx_packets": 7} for i in range(count)]}


class SecondsTest(unittest.TestCase):
    def test_sums_and_worst_of_two_clients(self):
        rows = seconds.from_programs(server_report(), [client_report(), client_report(late=7)])
        self.assertEqual([row["unix_s"] for row in rows], [100, 101, 102, 103])
        last = rows[-1]
        self.assertEqual({name: last[name] for name in ("hosts", "silent", "users", "connections", "target", "sent", "answered", "received", "missed",
                                                        "won", "nothing", "p50_us", "p99_us", "p999_us", "issued", "opened", "server_cpu_pct",
                                                        "client_cpu_pct", "server_rss_bytes", "client_rss_bytes", "rx_packets")},
                         {"hosts": 3, "silent": 0, "users": 12, "connections": 12, "target": 100, "sent": 90, "answered": 88, "received": 93,
                          "missed": 10, "won": 2, "nothing": 86, "p50_us": 80, "p99_us": 307, "p999_us": None, "issued": 3, "opened": 1,
                          "server_cpu_pct": 41, "client_cpu_pct": 20, "server_rss_bytes": 1_000, "client_rss_bytes": 1_000, "rx_packets": None})
        self.assertEqual([(row["given_fen"], row["got_fen"], row["given_total_fen"], row["got_total_fen"], row["difference_fen"]) for row in rows[:2]],
                         [(210, 210, 210, 210, 0), (210, 210, 420, 420, 0)])

    def test_who_has_no_row_is_silent_and_its_columns_unknown(self):
        rows = seconds.from_programs(server_report(count=1), [client_report(first=101, count=1)])
        self.assertEqual([(row["hosts"], row["silent"], row["received"], row["sent"]) for row in rows], [(1, 1, 90, None), (1, 1, None, 45)])
        self.assertEqual([row["difference_fen"] for row in rows], [210, None])
        self.assertEqual(seconds.from_programs(None, [None]), [])

    def test_after_a_restart_the_difference_is_unknown(self):
        rows = seconds.from_programs(server_report(), [client_report()], restarts=[101.5])
        self.assertEqual([row["difference_fen"] is None for row in rows], [False, True, True, True])

    def test_the_monitors_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "monitor.csv")
            self.assertEqual(seconds.from_monitor(path), [])
            with open(path, "w", encoding="utf-8") as file:
                file.write(",".join([*seconds.COLUMNS, "new_one"]) + "\n")
                for second in (102, 100):
                    file.write(",".join({"unix_s": str(second), "sent": "7", "rx_packets": "9"}.get(name, "") for name in seconds.COLUMNS) + ",1\n")
                file.write("103,1")  # killed while it wrote
            rows = seconds.from_monitor(path)
            self.assertEqual([(row["unix_s"], row["sent"], row["won"]) for row in rows], [(100, 7, None), (102, 7, None)])
            with open(path, "wb") as file:
                file.write(b"\xff\x00 no csv\n1,2\n")
            self.assertEqual(seconds.from_monitor(path), [])
        merged = seconds.merged(rows, seconds.from_programs(server_report(count=2), []))
        self.assertEqual([(row["unix_s"], row["sent"], row["received"], row["rx_packets"]) for row in merged],
                         [(100, 7, 90, 9), (101, None, 91, None), (102, 7, None, 9)])


PHASES = [{"name": "a", "start_unix_s": 100, "duration_s": 2}, {"name": "b", "start_unix_s": 102, "duration_s": 2}]


def blocks(script):
    """{title of a line: its data} of a gnuplot script."""
    data = dict(re.findall(r"^(\$\w+) << EOD\n(.*?)^EOD$", script, re.MULTILINE | re.DOTALL))
    return {title: data[name] for name, title in re.findall(r'(\$panel\w+) using 1:2 with steps .* title "([^"]*)"', script)}


class PlotsTest(unittest.TestCase):
    def setUp(self):
        self.rows = seconds.from_programs(server_report(), [client_report(), client_report()])

    def script(self, name, rows=None):
        plot = next(plot for plot in plots.PLOTS if plot.name == name)
        return plots.script(plot, self.rows if rows is None else rows, PHASES, "/tmp/it's.png", "two\nusers")

    def test_each_series_is_drawn_from_its_own_data(self):
        """The prototype's plot showed one side's figures under both sides' names."""
        both = blocks(self.script("plot-qps.png"))
        self.assertEqual(both["clients: sent"], "0 90\n1 90\n2 90\n3 90\n4 90\n")
        self.assertEqual(both["server: received"], "0 90\n1 91\n2 92\n3 93\n4 93\n")
        self.assertEqual(both["target"], "0 100\n1 100\n2 100\n3 100\n4 100\n")
        money = blocks(self.script("plot-money.png"))
        self.assertEqual([money[title].splitlines()[0] for title in money], ["0 2.1", "0 2.1", "0 0"])
        for plot in plots.PLOTS:
            lines = [line for panel in plot.panels for line in panel.lines]
            row = {name: number for number, name in enumerate(seconds.COLUMNS, 1)}
            self.assertEqual(len({line.value(row) for line in lines}), len(lines), plot.name)  # no column twice

    def test_the_text_says_what_is_shown(self):
        text = self.script("plot-qps.png")
        for words in ('"Requests of both sides   (two users)"', 'ylabel "requests/s"', "seconds since the first request", 'label "a" at 0', 'label "b" at 2',
                      "arrow from 4,", "output '/tmp/it''s.png'"):
            self.assertIn(words, text)

    def test_gaps_break_the_line(self):
        rows = [{"unix_s": second, "received": value} for second, value in ((100, 5), (101, None), (102, 7), (105, 8))]
        self.assertEqual(plots.points(rows, lambda row: row["received"], 100), ["0 5", "1 5", "", "2 7", "3 7", "", "5 8", "6 8"])
        self.assertEqual(plots.points([], lambda row: 1, 0), [])

    def test_before_the_load_little_is_drawn(self):
        rows = [{"unix_s": second, "received": 1} for second in range(50, 103)]
        self.assertEqual((len(plots.drawn(rows, PHASES)[0]), plots.drawn(rows, PHASES)[1]), (6, 100))
        self.assertEqual(plots.drawn(rows[:5], PHASES)[0], rows[:5])  # interrupted while it connected
        self.assertEqual(plots.drawn(rows, []), (rows, 50))

    def test_nothing_to_draw(self):
        self.assertIsNone(self.script("plot-qps.png", []))
        self.assertIsNone(self.script("plot-qps.png", [{"unix_s": 100}]))

    def test_tics_are_round(self):
        self.assertEqual(plots.tics(0, 1_080), '"0" 0, "200" 200, "400" 400, "600" 600, "800" 800, "1,000" 1000')
        self.assertEqual(plots.tics(-0.03, 0.08), '"-0.02" -0.02, "0.00" 0, "0.02" 0.02, "0.04" 0.04, "0.06" 0.06, "0.08" 0.08')

    def test_without_gnuplot_a_word_and_no_error(self):
        with mock.patch.object(plots.shutil, "which", return_value=None):
            made, said = plots.draw("/nonexistent", self.rows, PHASES)
        self.assertEqual(made, [])
        self.assertIn("gnuplot-nox", said)

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot here")
    def test_real_pictures(self):
        one_row, all_zero = self.rows[:1], [dict(row, given_fen=0, got_fen=0, difference_fen=0) for row in self.rows]
        for rows, phases in ((self.rows, PHASES), (one_row, PHASES), (all_zero, []), (self.rows[:1] + self.rows[3:], PHASES)):
            with tempfile.TemporaryDirectory() as folder:
                made, said = plots.draw(folder, rows, phases)
                self.assertEqual((made, said), ([plot.name for plot in plots.PLOTS], ""))
                for plot in plots.PLOTS:
                    with open(os.path.join(folder, plot.name), "rb") as file:
                        content = file.read()
                    self.assertEqual(content[:8], b"\x89PNG\r\n\x1a\n")
                    self.assertEqual(struct.unpack(">II", content[16:24]), (1200, plots._places(len(plot.panels))[0]))
        with tempfile.TemporaryDirectory() as folder:
            made, said = plots.draw(folder, [], PHASES)
            self.assertEqual((made, os.listdir(folder)), ([], []))
            self.assertIn("nothing was counted", said)
            made, said = plots.draw(os.path.join(folder, "gone"), self.rows, PHASES)
            self.assertEqual(made, [])
            self.assertIn("gnuplot ended with", said)


def told(buckets, mean_us, max_us):
    return {"histogram_ns": {"schedule": buckets}, "latency_us": {"schedule": {"count": sum(n for _, n in buckets), "mean": mean_us, "max": max_us}}}


class HgrmTest(unittest.TestCase):
    def test_buckets_are_those_of_the_programs(self):
        with open(os.path.join(ROOT, "libhongbao", "count", "histogram.h"), encoding="utf-8") as file:
            text = file.read()
        self.assertIn(f"kSubBucketBits = {hgrm.SUB_BUCKET_BITS};", text)
        self.assertIn(f"kValueBits = {hgrm.VALUE_BITS};", text)
        for high, low in ((0, 0), (255, 255), (257, 256), (259, 258), (511, 510), (515, 512), (hgrm.HIGHEST_NS, (255 << 34))):
            self.assertEqual(hgrm.low_ns(high), low)

    def test_two_clients_percentiles_are_exact(self):
        """90 fast answers on one, 10 slow ones on the other: the p90 is the fast ones', where the worst client's would be the slow ones'."""
        both = hgrm.of_clients([told([[100, 80], [1023, 10]], 0.2, 0.9), told([[1023, 5], [99_999, 5]], 50, 90)], "schedule")
        self.assertEqual((both.count, both.max_ns), (100, 90_000))
        self.assertEqual([both.at_ns(q) for q in (0, 0.8, 0.81, 0.95, 0.96, 1)], [100, 100, 1023, 1023, 90_000, 90_000])
        self.assertAlmostEqual(both.mean_ns, (0.2 * 90 + 50 * 10) * 1000 / 100)
        self.assertEqual(both.summary_us()["p90"], 1.023)

    def test_a_client_without_a_histogram_makes_none(self):
        self.assertIsNone(hgrm.of_clients([told([[100, 1]], 0.1, 0.1), {"latency_us": {}}], "schedule"))
        self.assertIsNone(hgrm.of_clients([], "schedule"))
        empty = hgrm.of_clients([told([], 0, 0)], "schedule")
        self.assertEqual((empty.count, empty.at_ns(0.5), empty.mean_ns), (0, 0, 0))
        self.assertIn("Total count    =            0]", hgrm.text(empty))

    def test_text(self):
        lines = hgrm.text(hgrm.Histogram({255: 2, 511: 1, 1023: 1}, 1_500, 900)).splitlines()
        self.assertEqual(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)")
        self.assertEqual(lines[2], "       0.255 0.000000000000          2           1.00")
        self.assertEqual(lines[-4], "       0.900 1.000000000000          4")
        self.assertEqual(lines[-2], "#[Max     =        0.900, Total count    =            4]")


def run_report(**changed):
    phase = {"name": "<b>&'\"</script>", "target_qps": 90, "duration_s": 4, "start_unix_s": 100, "sent": 360, "answered": 360, "missed": 0, "late": 1,
             "worst_second_qps": 90, "best_second_qps": 90, "seconds_within_1_percent": 4, "wins_per_second": {"min": 1, "max": 2},
             "latency_us": {"schedule": {"p50": 90, "p90": 100, "p99": 110, "p999": 120, "max": 130}, "service": {}}}
    return {"interrupted": False, "verdict": "fail", "reasons": ["one\u2028<i>"], "command": "tools/simulate --x 'a b'", "environment": [["kernel", "6.1"]],
            "phases": [phase], "latency_us": {}, "money_fen": {"issued": 100, "received": 99, "left": 0, "refunded": 0, "difference": 1},
            "shake": {"issued": 1, "won": 1, "left": 0}, "gifts": {"shares": 0, "opened": 0, "left": 0},
            "memory": {f"{side}_{what}": 5 for side in ("server", "client", "kernel") for what in ("rss_bytes", "bytes_per_connection", "bytes")},
            "cpu": {"phases": [{"name": "a", "server_cores": 0.5, "server_us_per_request": 10, "client_cores": 0.1}]},
            "connections": {"established": 12, "target": 12, "seconds": 0.5, "failed": {}}, "identities": [{"name": "money", "holds": False, "left": 1, "right": 2,
            "of": "fen"}], "not_judged": [{"name": "x", "why": "killed"}], "ledger": {"restarts": []},
            "thresholds": [{"expr": "p99<1ms", "value": None, "unit": "us", "ok": False}], **changed}


class HtmlTest(unittest.TestCase):
    def data(self, **changed):
        return html_report.document(html_report.summary(run_report(**changed)), seconds.from_programs(server_report(), [client_report()]), "two <users>")

    def test_the_template_gets_data_that_html_cannot_trip_over(self):
        filled = html_report.fill("<script>const data = /*REPORT_DATA*/null;</script>", self.data())
        text = re.fullmatch(r"<script>const data = (.*);</script>", filled).group(1)
        self.assertNotRegex(text, r"[<>&\u2028\u2029]")
        back = json.loads(text)
        self.assertEqual((back["role"], back["columns"], len(back["rows"])), ("report", seconds.COLUMNS, 4))
        self.assertEqual(back["rows"][0][back["columns"].index("received")], 90)
        self.assertEqual(back["summary"]["reasons"], ["one\u2028<i>"])
        self.assertEqual(back["summary"]["verdict"], "fail")
        for wrong in ("no marker", html_report.MARKER * 2):
            with self.assertRaises(ValueError):
                html_report.fill(wrong, self.data())

    def test_the_tables_hold_strings_and_every_identity(self):
        tables = {table["caption"]: table for table in html_report.summary(run_report())["tables"]}
        for table in tables.values():
            for row in table["rows"]:
                self.assertEqual(len(row), len(table["head"]), table["caption"])
                self.assertTrue(all(isinstance(cell, str) for cell in row), row)
        self.assertEqual(tables["Identities"]["rows"], [["money", "1", "2", "fen", "BROKEN"], ["x", "", "", "killed", "not judged"]])
        self.assertEqual(tables["--fail-if"]["rows"], [["p99<1ms", "not measured", "FAILED"]])
        self.assertEqual(tables["Phases"]["rows"][0][-2:], ["4 of 4", "1-2"])

    def test_interrupted_is_a_verdict_of_its_own(self):
        self.assertEqual(self.data(interrupted=True)["summary"]["verdict"], "interrupted")

    def test_without_a_template_there_are_tables(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report.html")
            self.assertIn("tables only", html_report.write(path, folder, self.data()))
            with open(path, encoding="utf-8") as file:
                text = file.read()
            tags = []
            parser = html.parser.HTMLParser()
            parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
            parser.feed(text)
            self.assertEqual({tag for tag, _ in tags} & {"b", "i", "users", "script", "link", "img"}, set())
            self.assertFalse(any(name in attributes for _, attributes in tags for name in ("src", "href")))
            self.assertIn("FAIL", text)
            os.makedirs(os.path.join(folder, os.path.dirname(html_report.TEMPLATE)))
            with open(os.path.join(folder, html_report.TEMPLATE), "w", encoding="utf-8") as file:
                file.write("<script>x=/*REPORT_DATA*/null</script>")
            self.assertEqual(html_report.write(path, folder, self.data()), "")
            with open(path, encoding="utf-8") as file:
                self.assertTrue(file.read().startswith('<script>x={"role":"report"'))
            self.assertEqual(sorted(os.listdir(folder)), ["libhongbao", "report.html"])


class CommandAndEnvironmentTest(unittest.TestCase):
    def test_the_command_asks_for_the_same_again(self):
        for arguments in ([], ["--users", "7k", "--qps", "900", "--kill-server", "5s", "--own-network", "--connect-rate", "1k"],
                          ["--phases", "a b=10:5s,1k:2m", "--clients", "2", "--protocol", "1", "--ledger", "none", "--fail-if", "p99<1ms,missed<0.1%",
                           "--server-flags=--pin 0 --x 'a b'", "--seed", "7"],
                          ["--profile", "0s:0,5s:2k", "--qps", "3k", "--duration", "20s", "--no-monitor"]):
            o = options.parse(arguments)
            words = shlex.split(options.command(o))
            self.assertEqual(words[0], "tools/simulate")
            self.assertEqual(options.parse(words[1:]), o)

    def test_the_environment_is_told_in_words(self):
        found = dict(environment.gather("/nonexistent", {"share_pct": 99.0, "stalls_over_1ms": 1, "longest_stall_us": 1500}))
        self.assertIn("Linux", found["kernel"])
        self.assertIn("99 % of the processors' time", found["processors' probe"])
        self.assertNotIn("hongbao-server", found)  # there is none
        self.assertTrue(all(isinstance(value, str) and value for value in found.values()))
        self.assertEqual(environment.commit("/nonexistent"), "")


class ThresholdsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(ROOT, "tests", "cli", "thresholds_cases.json"), encoding="utf-8") as file:
            cls.cases = json.load(file)

    def test_the_same_is_accepted_as_by_the_programs(self):
        for case in self.cases["accepted"]:
            found = [{"expr": one.expr, "key": one.key, "op": one.op, "value": one.value, "unit": one.unit} for one in thresholds.parse(case["text"])]
            self.assertEqual(found, case["conditions"])

    def test_the_same_is_refused(self):
        for text in self.cases["refused"]:
            with self.assertRaises(UsageError, msg=text):
                thresholds.parse(text)
        with self.assertRaisesRegex(UsageError, "--fail-if: 'p98<1ms': unknown key"):
            options.parse(["--fail-if", "p98<1ms"])

    def test_the_same_is_judged(self):
        for case in self.cases["judged"]:
            (judged,) = thresholds.judge(thresholds.parse(case["text"]), self.cases["facts"])
            self.assertEqual(judged["ok"], case["ok"], case)
            if case["value"] is None:
                self.assertIsNone(judged["value"])
            else:
                self.assertAlmostEqual(judged["value"], case["value"], places=9, msg=case)

    def test_the_same_is_asked_of_every_run(self):
        self.assertEqual(self.cases["standard"], thresholds.STANDARD)
        for case in self.cases["reasons"]:
            judged = thresholds.judge(thresholds.with_standard(thresholds.parse(case["asked"])), case["facts"])
            self.assertEqual(thresholds.reasons(judged), case["says"])

    def test_facts_are_over_all_clients(self):
        client = {"requests": {"due": 50, "sent": 45, "missed": 5, "late": 1, "lost": 2, "refused": 3, "unanswered": 4}, "won": {"count": 6},
                  "connections": {"failed": {"refused": 1}}, "protocol_errors": {"malformed": 1, "unexpected": 0, "stamp_mismatch": 0},
                  **told([[100, 80], [1023, 20]], 0.2, 0.9)}
        client["rate_held"] = {"seconds": 5, "held": 4, "not_held": [1]}
        client["connections"]["superseded"] = 3
        facts = thresholds.facts([client, client], -7)
        self.assertEqual(facts, {"due": 100, "sent": 90, "missed": 10, "late": 2, "lost": 4, "refused": 6, "unanswered": 8, "wins": 12, "difference": -7,
                                 "errors": 14, "superseded": 6, "seconds": 10, "held": 8, "p50": 100, "p90": 900, "p99": 900, "p99.9": 900, "p99.99": 900, "max": 900})
        del client["histogram_ns"]
        self.assertNotIn("p50", thresholds.facts([client], 0))

    def test_the_exit_code(self):
        judged = thresholds.judge(thresholds.parse("missed==0,p99<1ms"), {"missed": 9})
        self.assertEqual(thresholds.reasons(judged), ["--fail-if missed==0: it was 9", "--fail-if p99<1ms: it was not measured"])
        connected = {"established": 1, "target": 1}
        broken = reconcile.Identity("x", 1, 2, "")
        judge = lambda *arguments: reconcile.judge(*arguments).exit_code  # noqa: E731
        self.assertEqual([judge([], connected, "", 0, ["x"]), judge([broken], connected, "", 0, ["x"]), judge([], connected, "died", 0, ["x"]),
                          judge([], connected, "", 130, ["x"]), judge([], connected, "", 0, [])], [3, 4, 1, 130, 0])


if __name__ == "__main__":
    sys.exit(unittest.main())
