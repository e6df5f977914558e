"""tools/compare: which figures got better or worse and which stayed within noise, what is said first, and what is refused."""

import contextlib
import copy
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

from hongbao_tools.compare import judge, main, read

TOOL = os.path.join(os.environ["PYTHONPATH"], "compare")


def run_report():
    latency = {"p50": 100.0, "p90": 200.0, "p99": 1_000.0, "p999": 4_000.0, "max": 9_000.0}
    phase = {"name": "30k", "target_qps": 30_000, "start_unix_s": 1_000, "duration_s": 60, "sent": 1_800_000, "answered": 1_800_000, "missed": 0,
             "late": 900, "worst_second_qps": 29_990, "best_second_qps": 30_010, "seconds_within_1_percent": 60,
             "latency_us": {"schedule": latency, "service": dict(latency)}, "wins_per_second": {"min": 199, "max": 201}}
    return {"schema": 1, "verdict": "pass", "interrupted": False, "start_unix_s": 1_000,
            "host": {"name": "x", "kernel": "6.1", "cores": 2, "processors": {"share_pct": 99.0}},
            "environment": [["kernel", "6.1"], ["git commit", "abc"], ["processors' probe", "99 %"]],
            "config": {"users": 1_000_000, "clients": 1, "phases": [{"name": "30k", "qps": 30_000, "seconds": 60}]},
            "phases": [phase, dict(copy.deepcopy(phase), name="60k", target_qps=60_000, sent=3_600_000)],
            "connections": {"target": 10, "established": 10, "seconds": 40.0, "failed": {}},
            "money_fen": {"difference": 0}, "memory": {f"{side}_bytes_per_connection": 100.0 for side in ("server", "client", "kernel")},
            "cpu": {"phases": [{"server_us_per_request": 15.0, "client_cores": 0.5}] * 2},
            "identities": [{"name": "money", "holds": True}]}


def changed(**paths):
    """run_report() with 'phases__1__sent'=... set."""
    report = run_report()
    for path, value in paths.items():
        *way, last = [int(word) if word.isdigit() else word for word in path.split("__")]
        inner = report
        for word in way:
            inner = inner[word]
        inner[last] = value
    return report


class JudgeTest(unittest.TestCase):
    def says(self, noise=None, **paths):
        """{(phase, name): better or worse} of run_report() against the changed one."""
        return {(row.phase, row.name): row.says for row in judge.rows(run_report(), changed(**paths), noise) if row.says != "same"}

    def test_a_run_is_the_same_as_itself(self):
        rows = judge.rows(run_report(), run_report())
        self.assertEqual({row.says for row in rows}, {"same"})
        self.assertGreater(len(rows), 30)
        self.assertEqual(judge.differences(run_report(), run_report()), [])

    def test_each_figure_is_looked_at(self):
        for path, value, row in (
            ("phases__1__sent", 3_500_000, ("60k", "rate")), ("phases__0__seconds_within_1_percent", 50, ("30k", "seconds within 1 %")),
            ("phases__0__late", 180_000, ("30k", "late")), ("phases__0__latency_us__schedule__p50", 210.0, ("30k", "p50")),
            ("phases__0__latency_us__schedule__p99", 1_300.0, ("30k", "p99")), ("phases__1__latency_us__schedule__max", 19_000.0, ("60k", "max")),
            ("phases__1__latency_us__service__p99", 1_300.0, ("60k", "from send p99")), ("phases__0__wins_per_second__min", 180, ("30k", "fewest wins")),
            ("connections__seconds", 60.0, ("", "connect time")), ("connections__failed", {"refused": 1}, ("", "connects failed")),
            ("memory__server_bytes_per_connection", 120.0, ("", "memory, server")), ("memory__client_bytes_per_connection", 120.0, ("", "memory, clients")),
            ("memory__kernel_bytes_per_connection", 120.0, ("", "memory, kernel")), ("money_fen__difference", -1, ("", "money's difference")),
            ("identities__0__holds", False, ("", "broken identities")), ("verdict", "fail", ("", "verdict")),
        ):
            self.assertEqual(self.says(**{path: value}).get(row), "worse", path)
        self.assertEqual(self.says(cpu__phases=[{"server_us_per_request": 20.0, "client_cores": 0.5}, {"server_us_per_request": 10.0, "client_cores": 0.9}]),
                         {("30k", "server's cpu"): "worse", ("60k", "server's cpu"): "better", ("60k", "clients' cpu"): "worse"})

    def test_noise_is_no_news_and_adjustable(self):
        for paths in ({"phases__0__latency_us__schedule__p99": 1_240.0}, {"phases__0__latency_us__schedule__p50": 199.0},  # 99 %, but 0.1 ms
                      {"phases__0__latency_us__schedule__max": 13_000.0}, {"connections__seconds": 49.0}, {"memory__server_bytes_per_connection": 104.0},
                      {"phases__0__seconds_within_1_percent": 58}, {"phases__0__wins_per_second__min": 198}):
            self.assertEqual(self.says(**paths), {}, paths)
        self.assertEqual(self.says({"latency": 10.0}, phases__0__latency_us__schedule__p99=1_240.0), {("30k", "p99"): "worse"})
        self.assertEqual(self.says(phases__0__latency_us__schedule__p99=700.0), {("30k", "p99"): "better"})

    def test_what_one_has_not_is_unknown(self):
        del (left := run_report())["phases"][0]["latency_us"]["schedule"]["p90"]
        rows = {(row.phase, row.name): row.says for row in judge.rows(left, run_report())}
        self.assertEqual(rows["30k", "p90"], "unknown")

    def test_steps_with_other_targets_are_not_compared(self):
        rows = judge.rows(run_report(), changed(phases__1__target_qps=50_000))
        self.assertEqual({row.phase for row in rows}, {"30k", ""})
        page = "\n".join(main.page(run_report(), changed(phases__1__target_qps=50_000), ("a", "b"), rows, []))
        self.assertIn("other targets are not compared", page)

    def test_other_configurations_and_machines_are_named(self):
        found = judge.differences(run_report(), changed(config__users=5, host__kernel="6.12", environment=[["kernel", "6.12"], ["git commit", "def"]],
                                                        interrupted=True, host__processors={"share_pct": 60.0}))
        self.assertEqual(found, ["users: 1,000,000 | 5", "kernel: 6.1 | 6.12", "git commit: abc | def", "B was interrupted",
                                 "what the processors gave before the run: 99 % | 60 %"])


class CommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def run_tool(self, *arguments):
        return subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=60, check=False)

    def test_a_full_disk_is_told(self):
        path = self.file("full.json", json.dumps(run_report()))
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([TOOL, path, path], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (1, "tools/compare: error: cannot write: No space left on device\n"))

    def test_folders_and_files(self):
        self.file("a/report.json", run_report())
        b = self.file("b.json", changed(phases__0__latency_us__schedule__p99=5_000.0, connections__seconds=10.0))
        ran = self.run_tool(os.path.join(self.folder, "a"), b)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertRegex(ran.stdout, r"30k  p99, ms +1\.0 +5\.0 +\+400 % +worse")
        self.assertRegex(ran.stdout, r"(?m)^worse +1\n +30k: p99$")
        self.assertRegex(ran.stdout, r"(?m)^better +1\n +connect time$")
        self.assertRegex(ran.stdout, r"money's difference, fen +0 +0")
        self.assertEqual(self.run_tool(os.path.join(self.folder, "a"), b, "--fail-on-worse").returncode, 3)
        self.assertEqual(self.run_tool(b, b, "--fail-on-worse").returncode, 0)
        self.assertEqual(self.run_tool(os.path.join(self.folder, "a"), b, "--fail-on-worse", "--noise", "latency=500%,max=1").returncode, 0)
        document = json.loads(self.run_tool("--json", os.path.join(self.folder, "a"), b).stdout)
        self.assertEqual((document["worse"], document["better"], document["unknown"]), (1, 1, 0))
        (row,) = [row for row in document["rows"] if row["says"] == "worse"]
        self.assertEqual((row["phase"], row["name"], row["a"], row["b"], row["change_pct"]), ("30k", "p99", 1000.0, 5000.0, 400.0))

    def test_what_is_no_report_is_refused(self):
        good = self.file("good.json", run_report())
        os.makedirs(os.path.join(self.folder, "empty"))
        for path, words in (
            (os.path.join(self.folder, "nowhere"), "No such file"), (os.path.join(self.folder, "empty"), "no report.json in this folder"),
            (self.file("x1", "{"), "this is no JSON"), (self.file("x2", "\0"), "this is no JSON"), (self.file("x3", "[" * 100_000), "this is no JSON"),
            (self.file("x4", "[]"), "no report of tools/simulate"), (self.file("x5", "{}"), "no report of tools/simulate"),
            (self.file("x6", {"asked": {}, "parts": []}), "--ten-billion"), (self.file("x7", {"verdict": "pass"}), "an older report"),
            (self.file("x8", dict(run_report(), schema=2)), "a newer report"), (self.file("x9", {"role": "client", "verdict": "pass"}), "report of one client"),
            (self.file("x10", {key: value for key, value in run_report().items() if key != "phases"}), "'phases' is missing"),
            (self.file("x11", dict(run_report(), cpu=7)), "'cpu' is of another kind"), (self.file("x12", dict(run_report(), phases=[7])), "'phases' is of another"),
            ("/dev/null", "not a regular file"),
        ):
            for pair in ((path, good), (good, path)):
                with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
                    code = main.main(list(pair))
                self.assertEqual((code, out.getvalue()), (1, ""), words)
                self.assertIn("tools/compare: error: " + path, err.getvalue())
                self.assertIn(words, err.getvalue())
                self.assertEqual(err.getvalue().count("\n"), 1)

    def test_wrong_usage(self):
        for arguments in ([], ["a"], ["a", "b", "c"], ["a", "b", "--noise", "latency"], ["a", "b", "--noise", "luck=5"], ["a", "b", "--noise", "cpu=-1"],
                          ["a", "b", "--noise", "cpu=nan"], ["a", "b", "--nope"]):
            ran = self.run_tool(*arguments)
            self.assertEqual((ran.returncode, ran.stdout), (2, ""), arguments)
        self.assertEqual(self.run_tool("--help").returncode, 0)

    def test_any_field_may_be_missing_or_strange(self):
        """A report that was tampered with, or is of another version, is compared as far as it goes, or refused; never a traceback."""
        random.seed(5)

        def places(thing, way=()):
            items = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
            for key, inner in items:
                yield (*way, key)
                yield from places(inner, (*way, key))
        for way in places(run_report()):
            for strange in (None, "x", -1, 1e300, float("nan"), [], {}, [[1]], True, 0):
                report = run_report()
                inner = report
                for key in way[:-1]:
                    inner = inner[key]
                inner[way[-1]] = strange
                try:
                    read.checked("x", report)
                except read.CouldNotRead:
                    continue
                for pair in ((report, run_report()), (run_report(), report)):
                    rows = judge.rows(*pair)
                    different = judge.differences(*pair)
                    self.assertTrue(main.page(*pair, ("a", "b"), rows, different))
                    json.dumps(main.document(("a", "b"), rows, different))


if __name__ == "__main__":
    sys.exit(unittest.main())
