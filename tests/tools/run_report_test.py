"""What tools/simulate leaves in its folder beside report.json: the merged seconds and the plots."""

import os
import re
import shutil
import struct
import sys
import tempfile
import unittest
from unittest import mock

from simulate_lib import plots, seconds

ROOT = os.path.dirname(os.environ["PYTHONPATH"])


def server_report(first=100, count=4):
    return {"series": [{"unix_s": first + i, "connections": 12, "requests": 90 + i, "issued": 3, "won": 2, "won_fen": 200, "opened": 1,
                        "opened_fen": 10, "cpu_pct": 40.6, "rss_bytes": 1_000} for i in range(count)]}


def client_report(first=100, count=4, late=0):
    return {"series": [{"unix_s": first + i, "online": 6, "target": 50, "sent": 45, "answered": 44, "missed": 5, "late": 1, "lost": 0, "won": 1,
                        "won_fen": 100, "nothing": 43, "cap": 0, "overload": 0, "opened_fen": 5, "p50_us": 80.4, "p99_us": 300 + late,
                        "cpu_pct": 10.2, "rss_bytes": 500} for i in range(count)]}


class SecondsTest(unittest.TestCase):
    def test_columns_are_those_of_all_programs(self):
        with open(os.path.join(ROOT, "libhongbao", "admin", "second_row.h"), encoding="utf-8") as file:
            names = re.findall(r'\{Column::k\w+, "(\w+)"\}', file.read())
        self.assertGreater(len(names), 30)
        self.assertEqual(seconds.COLUMNS, names)

    def test_sums_and_worst_of_two_clients(self):
        rows = seconds.from_programs(server_report(), [client_report(), client_report(late=7)])
        self.assertEqual([row["unix_s"] for row in rows], [100, 101, 102, 103])
        last = rows[-1]
        self.assertEqual({name: last[name] for name in ("hosts", "silent", "users", "connections", "target", "sent", "answered", "received", "missed",
                                                        "won", "nothing", "p50_us", "p99_us", "p999_us", "issued", "opened", "server_cpu_pct",
                                                        "client_cpu_pct", "server_rss_bytes", "client_rss_bytes", "rx_packets")},
                         {"hosts": 3, "silent": 0, "users": 12, "connections": 12, "target": 100, "sent": 90, "answered": 88, "received": 93,
                          "missed": 10, "won": 2, "nothing": 86, "p50_us": 80, "p99_us": 307, "p999_us": 0, "issued": 3, "opened": 1,
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


if __name__ == "__main__":
    sys.exit(unittest.main())
