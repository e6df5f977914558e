"""--fail-if: what a run must have done, and whether it did. The grammar is libhongbao/admin/thresholds.h's; both are held to
tests/admin/thresholds_cases.json. Pure."""

import dataclasses
import re
from fractions import Fraction

from . import hgrm, reconcile, units
from .command_line import UsageError

_LATENCIES = ("p50", "p90", "p99", "p99.9", "p99.99", "max")
_COUNTS = ("missed", "late", "lost", "errors", "refused", "unanswered")
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


def parse_ns(text):
    """'1.5ms', '0' -> whole ns; ValueError otherwise. As libhongbao/admin/flags.h reads a duration."""
    match = re.fullmatch(r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{1,9}))?(ns|us|ms|s|m|h)?", text, re.ASCII)
    if not match or (match[3] is None and text != "0"):
        raise ValueError(text)
    ns = Fraction(match[1].replace(",", "") + "." + (match[2] or "0")) * _NS[match[3] or "ns"]
    if ns.denominator != 1 or ns > 2**63 - 1:
        raise ValueError(text)
    return int(ns)


def _value(part, key, text):
    """(value, unit)."""
    if key.removeprefix("service.") in _LATENCIES:
        try:
            return parse_ns(text), "ns"
        except ValueError:
            raise UsageError(f"'{part}': want a duration with its unit, e.g. 1ms; {_EXAMPLE}") from None
    if text.endswith("%") and (key in _COUNTS or key == "rate"):
        if not re.fullmatch(r"\d[\d.]{0,16}\d|\d", text[:-1], re.ASCII) or text.count(".") > 1:
            raise UsageError(f"'{part}': want a share, e.g. 99.5%; {_EXAMPLE}")
        return float(text[:-1]), "percent"
    if key == "rate":
        raise UsageError(f"'{part}': want a share of the requests due, e.g. 99.5%; {_EXAMPLE}")
    try:
        return units.parse_count(text), "count"
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
        if key.removeprefix("service.") not in _LATENCIES and key not in (*_COUNTS, "rate", "wins", "difference"):
            raise UsageError(f"'{part}': unknown key; there are {' '.join(_LATENCIES)}, the same with service. before them, "
                             f"{' '.join(_COUNTS)} rate wins difference; {_EXAMPLE}")
        value, unit = _value(part, key, value_text)
        found.append(Threshold(name + op + value_text, key, op, value, unit))
    return found


def judge(thresholds, facts):
    """[{expr, value, unit, ok}], latencies in us. `facts`: {key: number}, latencies in ns, and "due" and "sent"; what is not there was
    not measured, and does not hold."""
    judged = []
    for one in thresholds:
        value = facts.get("sent" if one.key == "rate" else one.key)
        if one.unit == "percent" and value is not None:
            value = 100.0 * value / facts["due"] if facts.get("due") else None
        ok = value is not None and _HOLDS[one.op](value, one.value)
        unit = {"ns": "us", "percent": "%"}.get(one.unit, "fen" if one.key == "difference" else "")
        judged.append({"expr": one.expr, "value": value / 1000 if value is not None and one.unit == "ns" else value, "unit": unit, "ok": ok})
    return judged


def reasons(judged):
    """What did not hold, in words."""
    return [f"--fail-if {one['expr']}: " + ("it was not measured" if one["value"] is None else f"it was {one['value']:,.6g} {one['unit']}".rstrip())
            for one in judged if not one["ok"]]


def facts(clients, money_difference):
    """What a run of these clients measured, by key."""
    total = lambda path: reconcile.total(clients, path)  # noqa: E731
    found = {key: total(f"requests.{key}") for key in ("due", "sent", "missed", "late", "lost", "refused", "unanswered")}
    failed = sum(sum(reconcile.get(client, "connections.failed", {}).values()) for client in clients)
    found.update(wins=total("won.count"), difference=money_difference,
                 errors=total("requests.lost") + failed + sum(total(f"protocol_errors.{key}") for key in ("malformed", "unexpected", "stamp_mismatch")))
    for kind, prefix in (("schedule", ""), ("service", "service.")):
        histogram = hgrm.of_clients(clients, kind)
        if histogram is not None and histogram.count:
            names = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
            found.update({prefix + name: histogram.at_ns(quantile) for name, quantile in names.items()})
            found[prefix + "max"] = histogram.max_ns
    return found
