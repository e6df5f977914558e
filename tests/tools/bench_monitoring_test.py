"""tools/bench monitoring: its arithmetic, its command line, and one tiny round to the end."""

import json
import os
import subprocess
import tempfile
import unittest

from hongbao_tools.bench import monitoring, watchers
from hongbao_tools.common import processes
from hongbao_tools.common.paths import ROOT

TIMEOUT_S = 300


def bench(*arguments):
    return subprocess.run([str(ROOT / "tools/bench"), "monitoring", *arguments], capture_output=True, text=True,
                          timeout=TIMEOUT_S, check=False)


class FiguresTest(unittest.TestCase):
    def test_a_part_is_what_happened_between_two_samples(self):
        before = {"at_s": 10.0, "threads": {"1": 5_000, "2": 1_000_000}, "answered": 100, "missed": 3}
        after = {"at_s": 12.0, "threads": {"1": 105_000, "2": 1_800_000, "3": 100_000}, "answered": 1_100, "missed": 4}
        part = monitoring.part_of(before, after, workers={"2"})
        self.assertAlmostEqual(part["us_per_request"], 1.0)
        self.assertAlmostEqual(part["beside_share"], 0.2)
        self.assertAlmostEqual(part["beside_ms_per_s"], 0.1)
        self.assertEqual(part["missed"], 1)
        with self.assertRaises(processes.Died):
            monitoring.part_of(before, {**after, "answered": 100}, {"2"})

    def test_drift_is_nobodys_and_is_told_as_noise(self):
        def part(us, beside):
            return {"us_per_request": us, "beside_share": beside, "beside_ms_per_s": beside * 500, "missed": 0}
        rounds = [{"before": part(10, 0.001), "watched": part(11.11, 0.003), "after": part(12, 0.001)}] * 3
        summary = monitoring.summarize(rounds)
        self.assertAlmostEqual(summary["cost"], 0.01)
        self.assertAlmostEqual(summary["noise"], 0.2)
        self.assertAlmostEqual(summary["beside_cost"], 0.002)
        wanted = {"qps": 60_000, "connections": 2_000, "rounds": 3, "seconds": 5}
        text = monitoring.table(summary, wanted)
        self.assertIn("+0.200% by the threads beside the workers; +1.00% of the whole server, noise 20.00%", text)
        self.assertNotIn("doubt", text)
        rounds[0]["watched"]["missed"] = 1
        self.assertIn("doubt", monitoring.table(monitoring.summarize(rounds), wanted))

    def test_a_server_that_nobody_watched_is_an_error(self):
        monitor = os.path.join(os.environ["HONGBAO_BUILD_DIR"], "tools/monitor/hongbao-monitor")
        with tempfile.TemporaryDirectory() as folder:
            with watchers.Watched("127.0.0.1:1", [monitor, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], folder) as watched:
                pass
        with self.assertRaises(processes.Died):
            watched.check(1)


class CommandTest(unittest.TestCase):
    def test_wrong_flags(self):
        for flags in (["--qps", "many"], ["--connections", "0"], ["--rounds", "0"], ["--seconds", "9999"]):
            done = bench(*flags)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(flags[0], done.stderr)

    def test_a_file_that_cannot_be_written_is_told_beforehand(self):
        done = bench("--out", "/no/such/folder/out.json")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "tools/bench monitoring: cannot write /no/such/folder/out.json: No such file or directory; choose another "
                         "file with --out\n")

    def test_one_tiny_round(self):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "out.json")
            done = bench("--connections", "50", "--qps", "500", "--rounds", "1", "--seconds", "2", "--workers", "1", "--out", out)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("500/s over 50 connections", done.stdout)
            with open(out, encoding="utf-8") as file:
                one, = json.load(file)["rounds"]
            # Whatever the machine does: who is asked does more beside the workers than who is not.
            self.assertGreater(one["watched"]["beside_share"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
