#!/usr/bin/env python3
"""tests/mutants/run.py: plants known money defects one by one and demands that the checkers find each.

A checker that has never failed proves nothing. Every *.mutant file here is a mistake: the prototype's (defect01..08, see the
first line of each) or one that a ledger invites. For each, the sources it touches are compiled from a changed copy, the oracle
and the unit tests of money run, and one of them has to fail. The unchanged copy has to pass first.

  tests/mutants/run.py                    all of them
  tests/mutants/run.py defect05 ledger_   only those whose names begin so
  tests/mutants/run.py --check            compile and run nothing: does each still fit its sources?

Exit 0: all found. 1: one survived, or the unchanged sources fail. 2: usage, or it does not compile. Standard library only; uses
ccache if it is there. A mutant is text: "# why", then for each change "file: PATH", "replace:", lines, "by:", lines, "end".
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
FOLDERS = ["libhongbao", "tests/serve", "tests/ledger", "tests/envelope", "tests/net", "tests/wire"]
LIBRARY = ["", "time", "count", "envelope", "wire", "ring", "net", "ledger", "serve"]  # rooms that are compiled; "": beside them
TESTS = ["tests/serve/oracle_test.cc", "tests/serve/session_test.cc", "tests/serve/session_ledger_test.cc",
         "tests/serve/gifts_test.cc", "tests/serve/gifts_ledger_test.cc", "tests/serve/app_ledger_test.cc",
         "tests/serve/minter_test.cc", "tests/serve/minter_ledger_test.cc", "tests/envelope/gift_book_test.cc",
         "tests/envelope/count_allocations.cc",
         "tests/ledger/writer_test.cc", "tests/ledger/oracle_test.cc", "tests/ledger/faulty_vfs.cc"]
MODULES = ["absl_status", "absl_statusor", "absl_strings", "absl_span", "absl_flat_hash_map", "absl_flat_hash_set",
           "absl_inlined_vector", "absl_time", "gtest", "gmock", "gtest_main", "sqlite3", "liburing"]
ORACLE = "OracleTest.*"
OF_THE_LEDGER = "Oracle.*:WriterTest.*"  # seconds; only a change in libhongbao/ledger can make them fail
# Long, and not about money.
OTHERS = "SessionTest.Defect13_R*:GiftsOfTheirOwn.Defect17*:GiftBook.GiftsOfUpTo*:MinterTest.TheThread*"
SECONDS_MAX = 120  # of one run of all tests; a mutant that hangs is found too


def fail(text):
    print(f"mutants: {text}", file=sys.stderr)
    sys.exit(2)


def read_mutant(path):
    """[(file, old text, new text)]"""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    changes = re.findall(r"^file: (\S+)\nreplace:\n(.*?)^by:\n(.*?)^end\n", text, re.M | re.S)
    if not changes or not text.startswith("# "):
        fail(f"{path}: not a mutant (see run.py --help)")
    return changes


def pkg_config(*arguments):
    done = subprocess.run(["pkg-config", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"pkg-config {' '.join(arguments)}: {done.stderr.strip()}")
    return shlex.split(done.stdout)


def mutate(root, name, changes):
    """{file: (text, changed text)}; exits where a text to replace is not in its file exactly once."""
    texts = {}
    for path, old, new in changes:
        if path not in texts:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                text = file.read()
            texts[path] = (text, text)
        kept, mutated = texts[path]
        if mutated.count(old) != 1:
            fail(f"{name}: its text is not in {path} exactly once any more: adapt the mutant to the source")
        texts[path] = (kept, mutated.replace(old, new))
    return texts


class Bench:
    """A copy of the sources with the objects of the unchanged ones beside it."""

    def __init__(self, folder, jobs):
        self.source = os.path.join(folder, "source")
        self.objects = os.path.join(folder, "objects")
        self.jobs = jobs
        for name in FOLDERS:
            shutil.copytree(os.path.join(ROOT, name), os.path.join(self.source, name))
        for header in glob.glob(os.path.join(ROOT, "tests", "*.h")):
            shutil.copy(header, os.path.join(self.source, "tests"))
        self.compiler = shlex.split(os.environ.get("CXX", "c++"))
        if "ccache" not in self.compiler[0] and shutil.which("ccache"):
            self.compiler.insert(0, "ccache")
        # A copy at another place is the same to ccache.
        self.environment = dict(os.environ, CCACHE_BASEDIR=folder, CCACHE_NOHASHDIR="1")
        self.flags = ["-std=c++20", "-O0", "-D_FILE_OFFSET_BITS=64", "-pthread", "-I.", *pkg_config("--cflags", *MODULES)]
        self.libraries = pkg_config("--libs", *MODULES)
        rooms = [os.path.join(self.source, "libhongbao", room, "*.cc") for room in LIBRARY]
        library = sorted(os.path.relpath(p, self.source) for pattern in rooms for p in glob.glob(pattern))
        self.units = TESTS + library
        self.needs = {}  # unit -> files it reads

    def object_of(self, unit, folder):
        return os.path.join(folder, unit.replace("/", "_")[:-3] + ".o")

    def compile_one(self, unit, folder):
        target = self.object_of(unit, folder)
        done = subprocess.run([*self.compiler, *self.flags, "-MMD", "-c", unit, "-o", target], cwd=self.source,
                              env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(f"{unit} does not compile:\n{done.stderr[:4000]}")
        with open(target[:-2] + ".d", encoding="utf-8") as file:
            words = file.read().replace("\\\n", " ").split()[1:]
        return unit, {os.path.normpath(word) for word in words}

    def compile(self, units, folder):
        os.makedirs(folder, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            return dict(pool.map(lambda unit: self.compile_one(unit, folder), units))

    def run(self, changed, folder):
        """Links `changed` units from `folder`, the others as they are, and runs. Returns the names of the tests that failed."""
        ledger = not changed or any(unit.startswith("libhongbao/ledger/") for unit in changed)
        program = os.path.join(folder, "checks")
        objects = [self.object_of(unit, folder if unit in changed else self.objects) for unit in self.units]
        linked = subprocess.run([*self.compiler, "-o", program, *objects, *self.libraries, "-pthread"], cwd=self.source,
                                env=self.environment, capture_output=True, text=True, check=False)
        if linked.returncode != 0:
            fail(f"does not link:\n{linked.stderr[:4000]}")
        failed = []
        # The oracle by itself: a unit test that aborts takes the others along.
        for which in [ORACLE, f"-{ORACLE}:{OF_THE_LEDGER}:{OTHERS}"] + ([OF_THE_LEDGER] if ledger else []):
            failed += self.run_tests(program, which)
        os.remove(program)
        return failed

    def run_tests(self, program, which):
        # A file, not a pipe: what a death test leaves behind would keep a pipe open.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            try:
                code = subprocess.run([program, f"--gtest_filter={which}"], env=dict(self.environment, HONGBAO_SEEDS="40"),
                                      stdout=output, stderr=subprocess.STDOUT, check=False, timeout=SECONDS_MAX).returncode
            except subprocess.TimeoutExpired:
                code = -1
            output.seek(0)
            text = output.read()
        failed = re.findall(r"^\[  FAILED  \] (\w+\.\w+) \(", text, re.M)
        if code != 0:
            begun = re.findall(r"^\[ RUN      \] (\w+\.\w+)$", text, re.M)
            if begun and f"] {begun[-1]} (" not in text:
                failed.append(begun[-1])  # aborted, or hanging
            elif not failed:
                failed.append("the start of the tests")
        return failed


def look_for(bench, name, changes):
    """The names of the tests that fail with these changes."""
    texts = mutate(bench.source, name, changes)
    folder = os.path.join(bench.objects, name)
    try:
        for path, (_, text) in texts.items():
            with open(os.path.join(bench.source, path), "w", encoding="utf-8") as file:
                file.write(text)
        changed = {unit for unit, needs in bench.needs.items() if needs & texts.keys()}
        bench.compile(changed, folder)
        return bench.run(changed, folder)
    finally:
        for path, (text, _) in texts.items():
            with open(os.path.join(bench.source, path), "w", encoding="utf-8") as file:
                file.write(text)
        shutil.rmtree(folder, ignore_errors=True)


def summary(failed):
    """The oracle first if it is among them, at most three by name."""
    names = sorted(set(failed), key=lambda name: (not name.startswith("OracleTest."), failed.index(name)))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of names; none: all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at a time")
    parser.add_argument("--check", action="store_true", help="only whether each still fits its sources")
    options = parser.parse_args()
    mutants = {os.path.basename(p)[:-len(".mutant")]: read_mutant(p) for p in sorted(glob.glob(os.path.join(HERE, "*.mutant")))}
    chosen = [n for n in mutants if not options.names or any(n.startswith(beginning) for beginning in options.names)]
    if not chosen:
        fail("no mutant of that name")
    if options.check:
        for name in chosen:
            mutate(ROOT, name, mutants[name])
        print(f"{len(chosen)} mutants fit their sources")
        return 0
    begun = time.monotonic()
    survived = []
    with tempfile.TemporaryDirectory(prefix="hongbao-mutants-") as folder:
        bench = Bench(folder, options.jobs)
        bench.needs = bench.compile(bench.units, bench.objects)
        failed = bench.run(set(), bench.objects)
        if failed:
            print(f"the unchanged sources fail: {summary(failed)}")
            return 1
        print(f"passes unchanged  ({time.monotonic() - begun:.0f} s)", flush=True)
        for name in chosen:
            failed = look_for(bench, name, mutants[name])
            if failed:
                print(f"found     {name}  by {summary(failed)}", flush=True)
            else:
                survived.append(name)
                print(f"SURVIVED  {name}", flush=True)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} found  ({time.monotonic() - begun:.0f} s)")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
