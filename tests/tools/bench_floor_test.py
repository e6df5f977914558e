"""tools/bench floor: its arithmetic, its command line, and one tiny round of all servers to the end."""

import json
import os
import signal
import subprocess
import tempfile
import time
import unittest

from hongbao_tools.bench import floor_figures
from hongbao_tools.common import processes
from hongbao_tools.common.paths import ROOT

TIMEOUT_S = 300


def bench(*arguments):
    return [str(ROOT / "tools/bench"), "floor", *arguments]


def children_of(pid):
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and processes.parent_and_cpu_s(entry)[0] == pid]


class FiguresTest(unittest.TestCase):
    def test_order_rotates(self):
        self.assertEqual([floor_figures.order(["a", "b", "c"], n) for n in range(4)],
                         [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]])

    def test_measurement(self):
        figures = floor_figures.measurement(
            {"answered": 200_000, "cpu_s": 3.0, "seconds": 10.0, "missed": 0, "refused": 0},
            {"answered": 900_000, "cpu_s": 9.0, "seconds": 10.0, "missed": 7, "refused": 9_000},
            {"p50": 100, "p99": 200, "p999": 300})
        self.assertAlmostEqual(figures["us_per_request"], 15.0)
        self.assertAlmostEqual(figures["saturated_per_s"], 90_000)
        self.assertAlmostEqual(figures["saturated_per_cpu_s"], 100_000)
        self.assertAlmostEqual(figures["saturated_refused_pct"], 1.0)
        self.assertAlmostEqual(figures["saturated_cores"], 0.9)

    def runs(self, values):
        """One run per (name, round) with every figure the same."""
        return [{"name": name, "round": number, "figures": {**{key: value for key, _, _ in floor_figures.FIGURES}, "missed": 0,
                                                             "answered_per_s": 100}}
                for name, rounds in values.items() for number, value in enumerate(rounds)]

    def test_ratios_are_of_rounds(self):
        """The machine was three times slower in the last round: that is nobody's."""
        summary = floor_figures.summarize(self.runs({"a": [10, 20, 30], "b": [5, 10, 15]}), ["a", "b"])
        self.assertEqual(summary["a"]["p50_us"], {"median": 20, "least": 10, "most": 30, "ratio": 1.0})
        self.assertEqual(summary["b"]["p50_us"], {"median": 10, "least": 5, "most": 15, "ratio": 0.5})
        self.assertIn("0.50x", "\n".join(floor_figures.table(summary, ["a", "b"])))
        none = floor_figures.summarize(self.runs({"a": [0], "b": [0]}), ["a", "b"])
        self.assertIsNone(none["b"]["p50_us"]["ratio"])

    def test_doubts(self):
        runs = self.runs({"a": [1_000]})
        self.assertEqual(floor_figures.doubts(runs, 100, 10_000), [])
        self.assertIn("did not saturate", floor_figures.doubts(runs, 100, 1_001)[0])
        self.assertIn("was not held", floor_figures.doubts(runs, 200, 10_000)[0])
        runs[0]["figures"]["missed"] = 1
        self.assertIn("was not held", floor_figures.doubts(runs, 100, 10_000)[0])


class BenchFloorTest(unittest.TestCase):
    def test_wrong_usage(self):
        for flags in (["--servers", "nginx"], ["--servers", "floor,floor"], ["--connections", "1q"], ["--connections", "0"],
                      ["--rounds", "0"], ["--seconds", "0"], ["--qps", "0"], ["--saturate", "-1"], ["--nonsense"]):
            with self.subTest(flags=flags):
                done = subprocess.run(bench(*flags), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)

    def test_tiny_round(self):
        with tempfile.TemporaryDirectory(prefix="hongbao-test-") as folder:
            out = os.path.join(folder, "floor.json")
            done = subprocess.run(bench("--connections", "100", "--rounds", "1", "--seconds", "1", "--qps", "500", "--saturate", "20k",
                                        "--out", out), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            if "needs direct descriptors" in done.stderr:
                self.skipTest("the floor needs a kernel with direct descriptors and batched waits")
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(out, encoding="utf-8") as file:
                document = json.load(file)
        self.assertEqual([run["name"] for run in document["runs"]], ["hongbao", "floor", "epoll"])
        for run in document["runs"]:
            figures = run["figures"]
            # The first second has passed and nothing was lost: what was asked for in the second between the samples came back.
            self.assertGreater(figures["answered_per_s"], 0)
            self.assertGreater(figures["saturated_per_s"], figures["answered_per_s"])
            self.assertGreaterEqual(figures["us_per_request"], 0)
            self.assertTrue(0 < figures["p50_us"] <= figures["p99_us"] <= figures["p999_us"], figures)
        servers = document["summaries"][0]["servers"]
        self.assertEqual(servers["hongbao"]["p50_us"]["ratio"], 1.0)
        self.assertGreater(servers["floor"]["p50_us"]["ratio"], 0)
        for _, label, _ in floor_figures.FIGURES:
            self.assertIn(label, done.stdout)

    def test_interrupted(self):
        """Ctrl-C ends what it has started, and says so by its exit code."""
        process = subprocess.Popen(bench("--connections", "10", "--rounds", "1", "--seconds", "60", "--servers", "epoll"),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + TIMEOUT_S
            while len(children := children_of(process.pid)) < 2 or "hongbao-client" not in names_of(children):
                self.assertLess(time.monotonic(), deadline, "server and client were never there")
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=TIMEOUT_S)
            self.assertEqual(process.returncode, 130, said)
            # What was being started just then ends by the death of its parent, a moment later.
            while left := [child for child in children if is_running(child)]:
                self.assertLess(time.monotonic(), deadline, f"still there: {names_of(left)}")
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def is_running(pid):
    """Whether it is there, and not only waiting for somebody to take note of its end."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def names_of(pids):
    names = set()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
                names.add(file.read().strip())
        except OSError:
            pass  # gone meanwhile
    return names


if __name__ == "__main__":
    unittest.main(verbosity=2)
