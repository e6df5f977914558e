"""tools/compare from the command line to the exit code."""

import json
import os
import sys
import time

from ..common import command_line, exit_codes, streams, units
from ..common.command_line import UsageError
from . import judge, read

_DEFAULTS = ", ".join(f"{name} {amount:g}" for name, amount in judge.NOISE.items())


def _parser():
    parser = command_line.Parser(
        prog="tools/compare",
        description="Puts two runs of tools/simulate side by side and says what got better, what got worse, and what is within noise. Says\n"
        "first in what they were not the same run: of another configuration or machine, figures differ for reasons of their own.",
        epilog=f"""notes:
  Noise, in percent:
  {_DEFAULTS}.
  rate: requests sent of those due, even: seconds within 1 % of the target, and late: of the
  requests sent, those that left late, in points; the others are a change relative to A's figure:
  latency: percentiles, cpu: time a request, memory: bytes a connection. Noise always: latencies
  within 0.1 ms, maxima within 5 ms, connect times within 0.2 s, 0.5 us a request, 1 MB a process
  and 16 B a connection, one win a second. Never noise: failed connects, the money's difference,
  broken identities, the verdict.

examples:
  tools/compare hongbao-20261128-101500 hongbao-20261128-113000
  tools/compare before/report.json after/report.json --noise latency=10,cpu=5 --fail-on-worse

exit codes:
  0    compared
  1    a report could not be read, or the comparison not be written
  2    wrong usage
  3    with --fail-on-worse: something got worse""")
    parser.add_argument("a", metavar="A", help="the earlier run: its folder, or its report.json")
    parser.add_argument("b", metavar="B", help="the later run")
    parser.add_argument("--noise", metavar="WHAT=PERCENT,...", action="append", default=[], help="other limits than those below")
    parser.add_argument("--json", action="store_true", help="the comparison as one JSON document on stdout")
    parser.add_argument("--fail-on-worse", action="store_true", help="exit code 3 when something got worse")
    return parser


def parse_noise(text):
    """{"latency": 10.0, ...}; UsageError for what cannot be one."""
    found = {}
    for item in text.split(","):
        name, _, amount = item.partition("=")
        if name not in judge.NOISE:
            raise UsageError(f"--noise: '{item}': there are {' '.join(judge.NOISE)}")
        if not amount.rstrip("%").replace(".", "", 1).isdecimal() or len(amount) > 12:
            raise UsageError(f"--noise: '{item}' is not a percentage; write it like {name}=10")
        found[name] = float(amount.rstrip("%"))
    return found


def _parse(arguments):
    values = _parser().parse_args(arguments)
    values.noise = {name: amount for text in values.noise for name, amount in parse_noise(text).items()}
    return values


def _when(report):
    start = read.value(report, "start_unix_s")
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(start))
    except (TypeError, ValueError, OverflowError, OSError):
        return "at an unknown time"


def figure(row, number):
    """As people read it: us as ms, the verdict as a word."""
    if number is None:
        return "-"
    if row.name == "verdict":
        return "pass" if number else "fail"
    if row.unit == "us":
        return units.ms(number)
    return f"{number:,.0f}" if number == int(number) and row.kind not in judge.POINTS else f"{number:,.2f}"


def _change(row):
    if row.says == "unknown":
        return "", "not in both"
    percent = row.change_pct
    text = "" if percent is None or row.name == "verdict" else f"{percent:+,.0f} %" if abs(percent) >= 0.5 else "="
    if row.kind in judge.POINTS:
        text = f"{row.b - row.a:+.2f}" if abs(row.b - row.a) >= 0.005 else "="
    return text, "" if row.says == "same" else row.says


def _name(row):
    unit = {"us": "ms"}.get(row.unit, row.unit)
    return (f"{row.phase}  " if row.phase else "") + row.name + (f", {unit}" if unit else "")


def page(a, b, names, rows, different):
    """The lines for people."""
    out = []
    for letter, name, report in (("A", names[0], a), ("B", names[1], b)):
        steps = ", ".join(f"{target:,.0f}/s for {seconds:,.0f} s" for _, target, seconds in judge.phases_of(report) if target and seconds)
        users = read.value(report, "config", "users")
        out.append(f"{letter:<10} {name}  {_when(report)}  {report['verdict']}  {f'{users:,.0f} users, ' if users else ''}{steps or 'no load'}")
    out += [f"{'not the same' if i == 0 else '':<12} {words}" for i, words in enumerate(different)]
    if any(left != right for (_, left, _), (_, right, _) in zip(judge.phases_of(a), judge.phases_of(b))) or len(a["phases"]) != len(b["phases"]):
        out.append(f"{'':<12} steps of load with other targets are not compared")
    width = max(len(_name(row)) for row in rows)
    out.append(f"{'':<{width}} {'A':>10} {'B':>10}   change")
    for row in rows:
        change, says = _change(row)
        out.append(f"{_name(row):<{width}} {figure(row, row.a):>10} {figure(row, row.b):>10}   {change:<9} {says}".rstrip())
    for word in ("worse", "better"):
        out.append(f"{word:<10} {sum(row.says == word for row in rows)}")
        for phase in dict.fromkeys(row.phase for row in rows if row.says == word):
            found = ", ".join(row.name for row in rows if row.says == word and row.phase == phase)
            out.append(f"{'':<10} {phase + ': ' if phase else ''}{found}")
    out.append(f"{'the same':<10} {sum(row.says == 'same' for row in rows)}, within noise (--help names the limits)")
    return out


def document(names, rows, different):
    return {"a": names[0], "b": names[1], "not_the_same": different,
            "rows": [{"phase": row.phase, "name": row.name, "unit": row.unit, "a": row.a, "b": row.b, "change_pct": row.change_pct, "noise_pct": row.noise,
                      "says": row.says} for row in rows],
            **{word: sum(row.says == word for row in rows) for word in ("worse", "better", "same", "unknown")}}


def main(arguments):
    options, code = command_line.read("tools/compare", _parse, arguments)
    if options is None:
        return code
    try:
        a, b = read.report(options.a), read.report(options.b)
    except read.CouldNotRead as error:
        streams.say(f"tools/compare: error: {error}")
        return exit_codes.COULD_NOT
    rows, different, names = judge.rows(a, b, options.noise), judge.differences(a, b), (options.a, options.b)
    try:
        print(json.dumps(document(names, rows, different)) if options.json else "\n".join(page(a, b, names, rows, different)), flush=True)
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads on; no traceback at the end either
    except OSError as error:
        streams.say(f"tools/compare: error: cannot write: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would try once more at its end
        return exit_codes.COULD_NOT
    return exit_codes.BAD_VERDICT if options.fail_on_worse and any(row.says == "worse" for row in rows) else exit_codes.DONE
