"""--fail-if: what a run must have done, and whether it did; also what is asked of every run (STANDARD). The grammar and the rules are
libhongbao/cli/thresholds.h's; both are held to tests/cli/thresholds_cases.json. Pure."""

import dataclasses
import functools
import math
import re
from fractions import Fraction

from ..common import units
from ..common.command_line import UsageError
from ..common.documents import get, total
from . import hgrm

_LATENCIES = ("p50", "p90", "p99", "p99.9", "p99.99", "max")
_COUNTS = ("missed", "late", "lost", "errors", "refused", "unanswered")
_SHARES = ("rate", "held")
_OTHERS = ("superseded", "wins", "difference")
# What every run has to hold to pass, the gravest first.
STANDARD = "superseded==0,missed<=0.1%,unanswered==0,refused<=1%,held>=99%"
_COUNTED = {"superseded": "sessions ended because their users logged in elsewhere", "missed": "requests missed",
            "unanswered": "requests without an answer", "refused": "requests refused as overloaded", "held": "seconds with the rate held"}
_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_HOLDS = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b}
_EXAMPLE = "it states what has to hold, e.g. 'p99<1ms,missed<0.1%,lost==0'"


@dataclasses.dataclass(frozen=True)
class Threshold:
    expr: str
    key: str
    op: str
    value: float  # ns, a count, or percent
    unit: str     # "ns", "count" or "percent"
    asked_in: str = ""      # the unit it was given in, which the answer has too: "ms", "%", "fen"; "": a count
    standard: bool = False  # nobody has asked for it


def parse_ns(text):
    """'1.5ms', '0' -> whole ns; ValueError otherwise. As libhongbao/cli/flags.h reads a duration."""
    match = re.fullmatch(r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{1,9}))?(ns|us|ms|s|m|h)?", text, re.ASCII)
    if not match or (match[3] is None and text != "0"):
        raise ValueError(text)
    ns = Fraction(match[1].replace(",", "") + "." + (match[2] or "0")) * _NS[match[3] or "ns"]
    if ns.denominator != 1 or ns > 2**63 - 1:
        raise ValueError(text)
    return int(ns)


def _value(part, key, text):
    """(value, unit, the unit it was given in)."""
    if key.removeprefix("service.") in _LATENCIES:
        try:
            return parse_ns(text), "ns", text.lstrip("0123456789.,") or "ms"
        except ValueError:
            raise UsageError(f"'{part}': want a duration with its unit, e.g. 1ms; {_EXAMPLE}") from None
    if text.endswith("%") and (key in _COUNTS or key in _SHARES):
        if not re.fullmatch(r"\d[\d.]{0,16}\d|\d", text[:-1], re.ASCII) or text.count(".") > 1:
            raise UsageError(f"'{part}': want a share, e.g. 99.5%; {_EXAMPLE}")
        return float(text[:-1]), "percent", "%"
    if key in _SHARES:
        of = "seconds, e.g. 99%" if key == "held" else "requests due, e.g. 99.5%"
        raise UsageError(f"'{part}': want a share of the {of}; {_EXAMPLE}")
    try:
        return units.parse_count(text), "count", "fen" if key == "difference" else ""
    except ValueError:
        share = ", or a share of the requests due, e.g. 0.1%" if key in _COUNTS else ""
        raise UsageError(f"'{part}': want a count, e.g. 0 or 10k{share}; {_EXAMPLE}") from None


def parse(text):
    """The thresholds of a comma-separated list; UsageError for what is none."""
    found = []
    for part in (piece.strip() for piece in text.split(",")):
        match = re.fullmatch(r"([^<>=!]*)([<>=!]+)(.*)", part, re.DOTALL)
        if not match or match[2] not in _HOLDS:
            raise UsageError(f"'{part}': want KEY OP VALUE with one of < <= > >= ==; {_EXAMPLE}")
        name, op, value_text = match[1].strip(), match[2], match[3].strip()
        key = "errors" if name == "error" else name
        if key.removeprefix("service.") not in _LATENCIES and key not in (*_COUNTS, *_SHARES, *_OTHERS):
            raise UsageError(f"'{part}': unknown key; there are {' '.join(_LATENCIES)}, the same with service. before them, "
                             f"{' '.join((*_COUNTS, *_SHARES, *_OTHERS))}; {_EXAMPLE}")
        value, unit, asked_in = _value(part, key, value_text)
        found.append(Threshold(name + op + value_text, key, op, value, unit, asked_in))
    return found


def with_standard(asked):
    """The standard conditions whose keys are not among those asked for, then those."""
    keys = {one.key for one in asked}
    return [dataclasses.replace(one, standard=True) for one in parse(STANDARD) if one.key not in keys] + asked


def _whole(key, found):
    """What a share is of: the key of the fact."""
    return "seconds" if key == "held" else "due" if "due" in found or key in ("missed", "late", "rate") else "sent"


def judge(thresholds, facts):
    """[{expr, value, unit, ok, standard, reason}], in the unit that was asked in. `facts`: {key: number}, latencies in ns, and what shares
    are of: "seconds" of "held", "due", or "sent" where nothing is due; what is not there was not measured, and does not hold, but
    standard conditions are left out."""
    judged = []
    for one in thresholds:
        value = facts.get("sent" if one.key == "rate" else one.key)
        if one.unit == "percent" and value is not None:
            whole = facts.get(_whole(one.key, facts))
            value = 100.0 * value / whole if whole else None
        if value is None and one.standard:
            continue
        ok = value is not None and _HOLDS[one.op](value, one.value)
        shown = value / _NS[one.asked_in] if value is not None and one.unit == "ns" else value
        judged.append({"expr": one.expr, "value": shown, "unit": one.asked_in, "ok": ok, "standard": one.standard,
                       "reason": "" if ok else _reason(one, shown, facts)})
    return judged


def number_text(value):
    """Four digits at least, and no more of a fraction than that."""
    if value == math.floor(value):
        return f"{int(value):,}"
    return f"{value:,.{min(max(3 - math.floor(math.log10(abs(value))), 0), 9)}f}"


def value_text(judged):
    """A judged value for people: '0.4127 ms', '1,960', 'not measured'."""
    return "not measured" if judged["value"] is None else f"{number_text(judged['value'])} {judged['unit']}".rstrip()


def _reason(one, value, facts):
    if not one.standard:
        return f"--fail-if {one.expr}: it was {value_text({'value': value, 'unit': one.asked_in})}"
    of = f" of {number_text(facts[_whole(one.key, facts)])} ({value:.1f} %)" if one.unit == "percent" else ""
    return f"{_COUNTED[one.key]}: {number_text(facts[one.key])}{of}; {one.expr} has to hold"


def reasons(judged):
    """What did not hold, in words."""
    return [one["reason"] for one in judged if not one["ok"]]


def _excuse(clients, outages, found):
    """Takes out of the facts what the server's absence explains: `outages`, [(first second, last second)]."""
    out = lambda second: any(first <= second <= last for first, last in outages)  # noqa: E731
    rows = [row for client in clients for row in get(client, "series", []) if out(row.get("unix_s", 0))]
    missed, lost = (sum(row.get(key, 0) for row in rows) for key in ("missed", "lost"))
    not_held = sum(out(second) for client in clients for second in get(client, "rate_held.not_held", []))
    found.update(due=found["due"] - missed, missed=found["missed"] - missed, unanswered=max(found["unanswered"] - lost, 0))
    if "seconds" in found:
        found["seconds"] -= not_held


def facts(clients, money_difference, outages=()):
    """What a run of these clients measured, by key; without what was missed, lost and not held in the outages' seconds."""
    summed = functools.partial(total, clients)
    found = {key: summed(f"requests.{key}") for key in ("due", "sent", "missed", "late", "lost", "refused", "unanswered")}
    failed = sum(sum(get(client, "connections.failed", {}).values()) for client in clients)
    found.update(wins=summed("won.count"), difference=money_difference,
                 superseded=summed("connections.superseded"),
                 errors=summed("requests.lost") + summed("connections.superseded") + failed + sum(summed(f"protocol_errors.{key}") for key in ("malformed", "unexpected", "stamp_mismatch")))
    if any(get(client, "rate_held", None) for client in clients):
        found.update(seconds=summed("rate_held.seconds"), held=summed("rate_held.held"))
    if outages:
        _excuse(clients, outages, found)
    for kind, prefix in (("schedule", ""), ("service", "service.")):
        histogram = hgrm.of_clients(clients, kind)
        if histogram is not None and histogram.count:
            names = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
            found.update({prefix + name: histogram.at_ns(quantile) for name, quantile in names.items()})
            found[prefix + "max"] = histogram.max_ns
    return found
