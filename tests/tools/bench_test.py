"""tools/bench: figures, rows, comparison and dispatch on files that were written by hand; then the tool itself on a real benchmark."""

import contextlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

from hongbao_tools.bench import figures, machine, main, programs, run

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "bench")
BUILD = os.environ.get("HONGBAO_BENCH_TEST_BUILD")


def call(*arguments):
    """(exit code, stdout, stderr) of the tool's main."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.main(list(arguments))
    return code, out.getvalue(), err.getvalue()


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return self.path(name)


class FiguresTest(unittest.TestCase):
    def test_one_bad_round_moves_neither_median_nor_spread(self):
        self.assertEqual(figures.median([10, 11, 12, 13, 500]), 12)
        self.assertAlmostEqual(figures.spread([10, 11, 12, 13, 500]), 1 / 12)
        self.assertIsNone(figures.spread([10, 11]))

    def test_a_ratio_says_whether_it_is_noise(self):
        quiet = [99.8, 99.9, 100, 100.1, 100.2]
        self.assertEqual(figures.ratio(quiet, [x * 1.005 for x in quiet]).word, "within the noise")
        slower = figures.ratio(quiet, [x * 1.1 for x in quiet])
        self.assertAlmostEqual(slower.value, 1.1)
        self.assertEqual(slower.word, "slower")
        self.assertEqual(figures.ratio(quiet, [x * 0.9 for x in quiet]).word, "faster")
        noisy = [80, 90, 100, 110, 120]
        ratio = figures.ratio(noisy, [x * 1.1 for x in noisy])
        self.assertEqual(ratio.word, "within the noise")
        self.assertAlmostEqual(ratio.noise, 2 * 2**0.5 * 0.1)
        self.assertEqual(figures.ratio([100], [200]).word, "noise unknown")

    def test_reaches(self):
        pool = "envelope/lucky_pool"
        medians = {("serve/session", "LosingShake/plain/1"): 15.0, ("serve/session", "WinningShake/1"): 60.1,
                   (pool, "claim_by_2_threads/lucky_pool"): 20.0, (pool, "claim_by_2_threads/onetbb"): 40.0,
                   (pool, "claim_by_2_threads/moodycamel"): 30.0, (pool, "claim_by_1_thread/onetbb"): 1.0,
                   ("other", "claim_by_2_threads/onetbb"): 1.0}
        found = figures.reaches(medians)
        self.assertEqual({key[1]: value["met"] for key, value in found.items()},
                         {"LosingShake/plain/1": True, "WinningShake/1": False, "claim_by_2_threads/lucky_pool": True})
        claim = found[(pool, "claim_by_2_threads/lucky_pool")]
        self.assertEqual((claim["peer"], claim["measured"]), ("moodycamel", 1.5))
        self.assertEqual(figures.reach_text(claim), "1.50x the fastest peer (moodycamel), reach 1.0x: met")
        self.assertEqual(figures.reach_text(found[("serve/session", "WinningShake/1")]), "reach 60 ns: MISSED")
        medians[(pool, "claim_by_2_threads/onetbb")] = 19.0
        self.assertFalse(figures.reaches(medians)[(pool, "claim_by_2_threads/lucky_pool")]["met"])
        without_peers = {(pool, "claim_by_2_threads/lucky_pool"): 20.0}
        self.assertEqual(figures.reaches(without_peers), {}, "no peer is installed: nothing to say")

    def test_text(self):
        self.assertEqual([figures.time_text(x) for x in (0.412, 9.996, 1_234, 56_700_000, 3.2e9)],
                         ["0.412 ns", "10 ns", "1.23 us", "56.7 ms", "3.2 s"])
        self.assertEqual([figures.share_text(x) for x in (0.004, 0.31, None)], ["+-0.4 %", "+-31 %", "?"])


class ProgramsTest(unittest.TestCase):
    def test_names_without_how_they_were_measured(self):
        for full, short in (("claim/lucky_pool/manual_time", "claim/lucky_pool"), ("BM_Add/real_time/threads:2", "BM_Add/threads:2"),
                            ("BM_Restart/2000/iterations:1/real_time", "BM_Restart/2000"), ("LosingShake/plain/1", "LosingShake/plain/1")):
            self.assertEqual(programs.short(full), short)

    def test_choose(self):
        rows = ["BM_SustainedGrants/2000000/iterations:1/manual_time", "BM_SustainedGrants/2000/iterations:1/manual_time",
                "BM_PacedGrants/rate:1000/ms:20000/iterations:1/real_time", "BM_Restart/10000000/iterations:1/real_time"]
        self.assertEqual(programs.choose("ledger/sqlite_ledger", rows, None, False), rows[1:2])
        self.assertEqual(programs.choose("ledger/sqlite_ledger", rows, None, True), rows)
        self.assertEqual(programs.choose("ledger/sqlite_ledger", rows, re.compile("ledger Restart"), True), [])
        self.assertEqual(programs.choose("ledger/sqlite_ledger", rows, re.compile("ledger BM_Restart"), True), rows[3:])

    def test_the_filter_means_these_rows_and_no_others(self):
        argument = programs.arguments(["a/1", "b.c/x:2"], 0.1)[0]
        pattern = re.compile(argument.removeprefix("--benchmark_filter="))
        self.assertTrue(pattern.search("a/1") and pattern.search("b.c/x:2"))
        self.assertFalse(pattern.search("a/10") or pattern.search("ba/1") or pattern.search("bXc/x:2"))

    def test_times_are_of_one_item_where_items_are_counted(self):
        rows = [{"name": "a/manual_time", "run_type": "iteration", "real_time": 7.0, "time_unit": "ms", "items_per_second": 5e7},
                {"name": "b", "run_type": "iteration", "real_time": 7.0, "time_unit": "us"},
                {"name": "b_mean", "run_type": "aggregate", "real_time": 9.0, "time_unit": "us"}]
        self.assertEqual(programs.read_times(json.dumps({"benchmarks": rows})), {"a": 20.0, "b": 7000.0})

    def test_what_went_wrong_is_said(self):
        failed = {"benchmarks": [{"name": "a", "error_occurred": True, "error_message": "no disk", "real_time": 0, "time_unit": "ns"}]}
        for text, said in ((json.dumps(failed), "no disk"), ("{", "not understood"), ("{}", "not understood")):
            with self.assertRaisesRegex(programs.CouldNot, said):
                programs.read_times(text)


PRETENDED = """\
#!{python}
import json, os, sys
print("one_benchmark: left out: something", file=sys.stderr)
if "--benchmark_list_tests=true" in sys.argv:
    print("{rows}")
    sys.exit(0)
with open({log!r}, "a") as log:
    log.write(os.path.basename(sys.argv[0])[0])
count = len(open({log!r}).read())
rows = [dict(name=row, run_type="iteration", real_time=10.0 + count, time_unit="ns") for row in "{rows}".split()]
print(json.dumps(dict(benchmarks=rows)))
sys.exit({code})
"""


class RunTest(Folder):
    def pretend(self, name, rows="row", code=0):
        path = self.write(f"build/benchmarks/{name}", PRETENDED.format(python=sys.executable, rows=rows, code=code, log=self.path("log")))
        os.chmod(path, stat.S_IRWXU)

    def run_it(self, *arguments):
        return call("run", "--build", self.path("build"), "--out", self.path("out.json"), *arguments)

    def test_rounds_go_over_all_programs_in_turn(self):
        self.pretend("room/one_benchmark")
        self.pretend("room/room_two_benchmark")
        code, out, err = self.run_it("--repetitions", "3")
        self.assertEqual(code, 0, err)
        with open(self.path("log"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "ororor")
        with open(self.path("out.json"), encoding="utf-8") as file:
            document = json.load(file)
        self.assertEqual([(row["program"], row["samples_ns"], row["median_ns"]) for row in document["rows"]],
                         [("room/one", [11.0, 13.0, 15.0], 13.0), ("room/two", [12.0, 14.0, 16.0], 14.0)])
        self.assertIn("load_before", document)
        self.assertEqual(document["machine"]["cores"], len(os.sched_getaffinity(0)))
        self.assertRegex(out, r"room/one row +13 ns")
        self.assertEqual(err.count("left out: something"), 1, "once, not once a round")
        self.assertIn("not built as released", err)

    def test_filter_and_list(self):
        self.pretend("room/one_benchmark")
        self.pretend("room/two_benchmark")
        code, out, _ = self.run_it("--filter", "two row", "--list")
        self.assertEqual((code, out), (0, "room/two row\n"))
        self.assertFalse(os.path.exists(self.path("log")), "nothing was run")
        code, _, err = self.run_it("--filter", "three")
        self.assertEqual(code, 1)
        self.assertIn("--list", err)

    def test_a_program_that_fails(self):
        self.pretend("room/one_benchmark", code=3)
        code, _, err = self.run_it()
        self.assertEqual(code, 1)
        self.assertRegex(err, "one_benchmark .*ended with 3: one_benchmark: left out")

    def test_wrong_usage(self):
        self.pretend("room/one_benchmark")
        for arguments, said in ((["--repetitions", "0"], "--repetitions"), (["--filter", "("], "--filter"), (["--min-time", "x"], "--min-time")):
            code, _, err = self.run_it(*arguments)
            self.assertEqual((code, said in err), (2, True), err)

    def test_nothing_built_and_nowhere_to_write(self):
        code, _, err = self.run_it()
        self.assertEqual(code, 1)
        self.assertIn("has no benchmarks", err)
        self.pretend("room/one_benchmark")
        code, _, err = call("run", "--build", self.path("build"), "--out", self.path("no", "such.json"))
        self.assertEqual(code, 1)
        self.assertIn("--out", err)

    def test_what_counts_as_released(self):
        options = [{"name": "buildtype", "value": "debugoptimized"}, {"name": "b_sanitize", "value": "none"}, {"name": "x", "value": 1}]
        self.write("build/meson-info/intro-buildoptions.json", options)
        self.assertTrue(machine.as_released(machine.build_options(self.path("build"))))
        options[1]["value"] = "thread"
        self.write("build/meson-info/intro-buildoptions.json", options)
        self.assertFalse(machine.as_released(machine.build_options(self.path("build"))))
        self.assertFalse(machine.as_released(machine.build_options(self.path("nowhere"))))


def measured(cpu="a processor", **rows):
    samples = {("room/program", name): values for name, values in rows.items()}
    return run.document(samples, {"machine": {"cpu": cpu, "cores": 2, "kernel": "Linux", "build": {}}})


class CompareTest(Folder):
    def test_rows_of_both_and_of_one(self):
        a = self.write("a.json", measured(same=[10, 10.1, 10.2], better=[100, 101, 102], gone=[1, 1, 1]))
        b = self.write("b.json", measured(same=[10.05, 10.1, 10.1], better=[93, 94, 95], new=[2, 2, 2]))
        code, out, err = call("compare", a, b)
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"program same +10\.1 ns +10\.1 ns +1\.00x \+-1\.0 % +within the noise")
        self.assertRegex(out, r"program better +101 ns +94 ns +0\.93x \+-1\.5 % +faster")
        self.assertIn("only in A: room/program gone\n", out)
        self.assertIn("only in B: room/program new\n", out)

    def test_different_machines_are_named(self):
        a = self.write("a.json", measured(row=[1, 1, 1]))
        b = self.write("b.json", measured(cpu="another", row=[1, 1, 1]))
        self.assertIn("different processors: a processor and another", call("compare", a, b)[2])

    def test_files_that_are_none_of_ours(self):
        good = self.write("a.json", measured(row=[1, 1, 1]))
        wrong = {**measured(row=[1, 1, 1]), "format": 99}
        for name, content, said in (("not.json", "{", "not JSON"), ("other.json", [], "not written by"), ("new.json", wrong, "format 99"),
                                    ("zero.json", measured(row=[1, 1, 1]) | {"rows": [{"program": "p", "row": "r"}]}, "without times")):
            code, _, err = call("compare", good, self.write(name, content))
            self.assertEqual((code, said in err), (1, True), err)
        self.assertIn("cannot read", call("compare", good, self.path("nowhere"))[2])


class DispatchTest(unittest.TestCase):
    def test_the_build_may_be_named_before_and_behind(self):
        seen = []

        def add_parser(subparsers):
            subparsers.add_parser("other").add_argument("--x")

        other = types.SimpleNamespace(add_parser=add_parser, run=lambda options: seen.append((options.build, options.x)) or 7)
        with mock.patch.object(main, "SUBCOMMANDS", {"other": other, "run": run}):
            self.assertEqual(call("--build", "somewhere", "other", "--x", "1")[0], 7)
            parsed = main.parser().parse_args(["--build", "first", "run"])
            self.assertEqual(parsed.build, "first")
            self.assertEqual(main.parser().parse_args(["run", "--build", "second"]).build, "second")
        self.assertEqual(seen, [("somewhere", "1")])

    def test_usage(self):
        self.assertEqual(call("--help")[0], 0)
        self.assertEqual(call()[0], 2)
        self.assertEqual(call("frob")[0], 2)


@unittest.skipUnless(BUILD, "benchmarks are not built")
class WholeTest(Folder):
    def tool(self, *arguments):
        return subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False)

    def test_measure_twice_and_compare(self):
        for name in ("a.json", "b.json"):
            done = self.tool("run", "--build", BUILD, "--filter", "^envelope/split BM_(Next|Below)$", "--repetitions", "3", "--min-time",
                             "0.001", "--out", self.path(name))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual([line.split()[:2] for line in done.stdout.strip().split("\n")],
                             [["row", "median"], ["envelope/split", "BM_Next"], ["envelope/split", "BM_Below"]])
        with open(self.path("a.json"), encoding="utf-8") as file:
            document = json.load(file)
        self.assertEqual([len(row["samples_ns"]) for row in document["rows"]], [3, 3])
        self.assertIn("buildtype", document["machine"]["build"])
        done = self.tool("compare", self.path("a.json"), self.path("b.json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(re.findall(r"envelope/split BM_\w+ .* \d+\.\d\dx \+-", done.stdout)), 2, done.stdout)


if __name__ == "__main__":
    unittest.main()
