"""tools/bench run: every benchmark, round by round, so that a noisy minute falls on all of them; medians, spreads, reaches."""

import argparse
import json
import os
import re
import shlex
import sys
import time

from ..common import command_line, exit_codes, streams, units
from . import figures, machine, programs

FORMAT = 1
BUSY_SHARE = 0.25  # of the machine's cores, before we begin


def add_parser(subparsers):
    parser = subparsers.add_parser(
        "run", help="measure, write JSON, print a table", description="Measures the benchmarks of a build in rounds.",
        epilog="""notes:
  Times are of one item where the benchmark counts items, else of one pass. Spread: half the
  distance of the quartiles.""")
    add = parser.add_argument
    add("--filter", metavar="RE", help='only rows in whose "program row" this is found, for example "lucky_pool claim"')
    add("--repetitions", metavar="N", help="rounds (default 5)")
    add("--min-time", metavar="SECONDS", default="0.1", help="at least this long for a row in a round (default 0.1)")
    add("--list", action="store_true", help="print the rows and measure nothing")
    add("--long", action="store_true", help="also the rows that take minutes (the ledger's with millions of grants)")
    add("--out", "-o", metavar="FILE", help="where to write the JSON (default: bench-<UTC time>.json)")
    # Without it here, what was given, or defaulted, before the subcommand stays.
    add("--build", metavar="DIR", default=argparse.SUPPRESS, help="the build to measure (default: build/)")
    return parser


def _say(text):
    streams.say(f"tools/bench: {text}")


def _settings(options):
    """(pattern, repetitions, seconds) or UsageError."""
    try:
        pattern = None if options.filter is None else re.compile(options.filter)
    except re.error as error:
        raise command_line.UsageError(f"--filter: {error}") from None
    try:
        seconds = float(options.min_time)
    except ValueError:
        seconds = -1
    if not 0 < seconds <= 60:
        raise command_line.UsageError(f"--min-time: seconds from above 0 to 60, not {options.min_time}")
    return pattern, command_line.count(options, "repetitions", 5, 1, 1_000), seconds


def _plan(build, pattern, with_long):
    """[(program, path, full row names)]; CouldNot when nothing is chosen."""
    plan = []
    for name, path in programs.find(build).items():
        chosen = programs.choose(name, programs.rows(path), pattern, with_long)
        if chosen:
            plan.append((name, path, chosen))
    if not plan:
        raise programs.CouldNot("no row matches --filter; --list prints them all")
    return plan


def _measure(plan, repetitions, seconds, folder):
    """(program, short row) -> samples in ns, in the order of the plan."""
    samples = {}
    for round_number in range(repetitions):
        for name, path, full_names in plan:
            times, said = programs.measure(path, full_names, seconds, folder)
            for line in said if round_number == 0 else []:
                streams.say(line)
            for full in full_names:
                row = programs.short(full)
                if row not in times:
                    raise programs.CouldNot(f"{path} did not run {row}")
                samples.setdefault((name, row), []).append(times[row])
        _say(f"round {round_number + 1} of {repetitions}, load {machine.load()}")
    return samples


def document(samples, about):
    """What is written: `about` (command, machine, ...) and a row for each key of `samples`."""
    medians = {key: figures.median(values) for key, values in samples.items()}
    reached = figures.reaches(medians)
    rows = []
    for (program, row), values in samples.items():
        one = {"program": program, "row": row, "median_ns": medians[(program, row)], "spread": figures.spread(values),
               "samples_ns": values}
        if (program, row) in reached:
            one["reach"] = reached[(program, row)]
        rows.append(one)
    return {"tool": "tools/bench", "format": FORMAT, **about, "rows": rows}


def table(rows):
    """Lines for people."""
    names = [f"{row['program']} {row['row']}" for row in rows]
    width = max(len(name) for name in names)
    lines = [f"{'row':<{width}}  {'median':>8}  {'spread':>8}"]
    for name, row in zip(names, rows):
        reach = figures.reach_text(row["reach"]) if "reach" in row else ""
        lines.append(f"{name:<{width}}  {figures.time_text(row['median_ns']):>8}  {figures.share_text(row['spread']):>8}  {reach}".rstrip())
    return lines


def _about(build, repetitions, seconds):
    """How and where it was measured; says what speaks against the figures."""
    about = {"command": shlex.join(["tools/bench", *sys.argv[1:]]), "unix_s": int(time.time()), "repetitions": repetitions,
             "min_time_s": seconds, "machine": machine.describe(build), "load_before": machine.load()}
    if about["load_before"] > BUSY_SHARE * about["machine"]["cores"]:
        _say(f"the machine is busy (load {about['load_before']}, {about['machine']['cores']} cores): take no figure of this for good")
    if not machine.as_released(about["machine"]["build"]):
        _say(f"{build} is not built as released: {about['machine']['build'] or 'unknown options'}")
    return about


def run(options):
    pattern, repetitions, seconds = _settings(options)
    build = os.path.abspath(options.build)
    try:
        plan = _plan(build, pattern, options.long)
        if options.list:
            print("\n".join(f"{name} {programs.short(row)}" for name, _, rows in plan for row in rows))
            return exit_codes.DONE
        about = _about(build, repetitions, seconds)
        out = options.out or time.strftime("bench-%Y%m%d-%H%M%S.json", time.gmtime())
        with open(out, "a", encoding="utf-8"):  # before the minutes of work, not after
            pass
        samples = _measure(plan, repetitions, seconds, build)
        written = document(samples, {**about, "load_after": machine.load()})
        with open(out, "w", encoding="utf-8") as file:
            json.dump(written, file, indent=1)
            file.write("\n")
    except programs.CouldNot as error:
        _say(str(error))
        return exit_codes.COULD_NOT
    except OSError as error:
        _say(f"cannot write {error.filename}: {error.strerror}; choose another file with --out")
        return exit_codes.COULD_NOT
    print("\n".join(table(written["rows"])))
    _say(f"{units.short(len(written['rows']))} rows, {repetitions} rounds, written to {out}")
    return exit_codes.DONE
