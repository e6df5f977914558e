"""The benchmark programs of a build: which there are, which rows they have, and one run of some of them."""

import glob
import json
import os
import re
import subprocess

# Rows that take from half a minute to many: measured only when asked for.
LONG_ROWS = re.compile(r"^ledger/sqlite_ledger .*(/2000000\b|/10000000\b|ms:20000\b)")
# How Google Benchmark says how it was told to measure; no part of what is measured.
_SUFFIXES = re.compile(r"(/(manual_time|real_time|process_time|iterations:\d+|repeats:\d+|min_time:[\d.]+))+(?=/threads:|$)")
_NS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


class CouldNot(Exception):
    """A program is missing or failed; the text says which, and what to do."""


def short(row):
    return _SUFFIXES.sub("", row)


def find(build):
    """Name ("envelope/lucky_pool") -> path. CouldNot when there is none."""
    found = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(build), "benchmarks", "*", "*_benchmark"))):
        room = os.path.basename(os.path.dirname(path))
        name = os.path.basename(path)[:-len("_benchmark")]
        if os.access(path, os.X_OK) and os.path.isfile(path):
            found[f"{room}/{name.removeprefix(room + '_')}"] = path
    if not found:
        raise CouldNot(f"{build} has no benchmarks: build them (meson setup {build} && ninja -C {build}; needs Google Benchmark), or "
                       "name another build with --build")
    return found


def _run(path, arguments, environment):
    try:
        return subprocess.run([path, *arguments], capture_output=True, text=True, check=True, env=environment)
    except OSError as error:
        raise CouldNot(f"cannot run {path}: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().split("\n") or [""])[-1]
        raise CouldNot(f"{path} {' '.join(arguments)} ended with {error.returncode}: {last}") from None


def rows(path):
    """Its rows' full names."""
    return [line for line in _run(path, ["--benchmark_list_tests=true"], None).stdout.split("\n") if line]


def choose(name, full_names, pattern, with_long):
    """Those of a program's rows that the pattern (searched in "program row") wants."""
    said = {row: f"{name} {short(row)}" for row in full_names}
    return [row for row in full_names if (pattern is None or pattern.search(said[row])) and
            (with_long or not LONG_ROWS.search(said[row]))]


def _filter(full_names):
    return "^(" + "|".join(re.sub(r"([.^$|()\[\]{}*+?\\])", r"\\\1", row) for row in full_names) + ")$"


def arguments(full_names, min_time_s):
    return [f"--benchmark_filter={_filter(full_names)}", f"--benchmark_min_time={min_time_s:g}", "--benchmark_format=json"]


def read_times(text):
    """Short name -> ns of one item (of one pass where the benchmark counts no items). CouldNot when it makes no sense."""
    try:
        document = json.loads(text)
        times = {}
        for row in document["benchmarks"]:
            if row.get("run_type", "iteration") != "iteration":
                continue
            if row.get("error_occurred"):
                raise CouldNot(f"{row['name']}: {row.get('error_message', 'failed')}")
            per_second = row.get("items_per_second", 0)
            times[short(row["name"])] = 1e9 / per_second if per_second > 0 else row["real_time"] * _NS[row["time_unit"]]
        return times
    except (ValueError, KeyError, TypeError) as error:
        raise CouldNot(f"a benchmark's answer is not understood: {error!r}") from None


def measure(path, full_names, min_time_s, folder):
    """(times by short name, what it had to say). Benchmarks that write files do it in `folder`."""
    environment = {"HONGBAO_BENCH_FOLDER": folder, **os.environ}
    done = _run(path, arguments(full_names, min_time_s), environment)
    said = [line for line in done.stderr.split("\n") if line.startswith(os.path.basename(path))]
    return read_times(done.stdout), said
