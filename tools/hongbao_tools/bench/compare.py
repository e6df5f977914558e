"""tools/bench compare: two measurements row by row, and whether what differs is more than noise."""

import json

from ..common import exit_codes, streams
from . import figures
from .run import FORMAT



class Unreadable(Exception):
    """Not a file of tools/bench run's; the text says why."""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        "compare", help="compare two measurements", description="Divides the medians of B by those of A: below 1 is faster.",
        epilog=f"""notes:
  The noise is two standard errors or so, from the spread of both; with fewer than
  {figures.SAMPLES_FOR_NOISE} rounds it is unknown.""")
    parser.add_argument("first", metavar="A", help="JSON of tools/bench run: before")
    parser.add_argument("second", metavar="B", help="JSON of tools/bench run: after")
    return parser


def read(path):
    """The document; Unreadable for anything else."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise Unreadable(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise Unreadable(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("tool") != "tools/bench":
        raise Unreadable(f"{path} was not written by tools/bench run")
    if document.get("format") != FORMAT:
        raise Unreadable(f"{path} has format {document.get('format')}, this tool reads {FORMAT}: measure again")
    for row in document.get("rows", ()):
        if not row.get("samples_ns") or min(row["samples_ns"]) <= 0:
            raise Unreadable(f"{path} has a row without times: {row.get('program')} {row.get('row')}")
    return document


def _samples(document):
    return {f"{row['program']} {row['row']}": row["samples_ns"] for row in document["rows"]}


def warnings(first, second):
    """What makes the two hard to compare."""
    out = []
    for key, what in (("cpu", "processors"), ("cores", "numbers of cores"), ("kernel", "kernels"), ("build", "builds")):
        a, b = (document.get("machine", {}).get(key) for document in (first, second))
        if a != b:
            out.append(f"different {what}: {a} and {b}")
    return out


def lines(first, second):
    """One line a row that both have, and one for what only one has."""
    before, after = _samples(first), _samples(second)
    both = [name for name in before if name in after]
    width = max(map(len, both), default=3)
    out = [f"{'row':<{width}}  {'A':>8}  {'B':>8}  B / A"]
    for name in both:
        ratio = figures.ratio(before[name], after[name])
        out.append(f"{name:<{width}}  {figures.time_text(figures.median(before[name])):>8}  "
                   f"{figures.time_text(figures.median(after[name])):>8}  {ratio.value:.2f}x {figures.share_text(ratio.noise):<8} {ratio.word}")
    for label, names in (("A", before.keys() - after.keys()), ("B", after.keys() - before.keys())):
        if names:
            out.append(f"only in {label}: {', '.join(sorted(names))}")
    return out


def run(options):
    try:
        first, second = read(options.first), read(options.second)
    except Unreadable as error:
        streams.say(f"tools/bench: {error}")
        return exit_codes.COULD_NOT
    for warning in warnings(first, second):
        streams.say(f"tools/bench: {warning}")
    print("\n".join(lines(first, second)))
    return exit_codes.DONE
