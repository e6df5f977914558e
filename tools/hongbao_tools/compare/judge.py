"""Two reports in, rows of figures out, each with what became of it: better, worse, or nothing that could be told from noise. Pure."""

import dataclasses
from typing import Optional

from .read import value

# What two runs of the same on the same machine may differ by and still be the same. Relative ones in percent of A's figure, points in
# the figure's own percent; both it and the floor below must be exceeded.
NOISE = {"rate": 0.5, "even": 5.0, "late": 1.0, "latency": 25.0, "max": 100.0, "wins": 5.0, "connect": 25.0, "cpu": 15.0, "memory": 5.0}
POINTS = {"rate", "even", "late"}
FLOORS = {"latency": 100.0, "max": 5_000.0, "connect": 0.2, "cpu": 0.5, "memory": 16.0, "wins": 1.0}  # us, us, s, us, bytes, a second
MEMORY_FLOOR_BYTES = 1e6  # of a whole process: allocators and page tables are not even between runs


@dataclasses.dataclass(frozen=True)
class Row:
    phase: str          # "" for what is of the whole run
    name: str
    unit: str
    a: Optional[float]
    b: Optional[float]
    kind: str           # in NOISE, or "exact": any change counts
    more_is_better: bool = False
    noise: float = 0.0  # see NOISE
    floor: float = 0.0  # see FLOORS

    @property
    def says(self):
        """"better", "worse", "same" (equal or within noise), "unknown"."""
        if self.a is None or self.b is None:
            return "unknown"
        gain = (self.b - self.a) if self.more_is_better else (self.a - self.b)
        return "same" if self.within_noise() else "better" if gain > 0 else "worse"

    def within_noise(self):
        difference = abs(self.b - self.a)
        if self.kind == "exact" or difference == 0:
            return difference == 0
        limit = self.noise if self.kind in POINTS else self.noise / 100 * abs(self.a)
        return difference <= max(limit, self.floor)

    @property
    def change_pct(self):
        return 100 * (self.b - self.a) / self.a if self.a and self.b is not None and self.kind not in POINTS else None


def _share(phase, part, whole):
    total = value(phase, *whole)
    return 100 * part / total if part is not None and total else None


def _due(phase):
    target, seconds = value(phase, "target_qps"), value(phase, "duration_s")
    due = value(phase, "due")  # of a profile
    return {"due": due} if due else {"due": target * seconds} if target and seconds else {}


def _phase_figures(phase, cpu):
    """[(name, unit, value, kind, more is better)] of one phase; `cpu`: its entry in cpu.phases."""
    sent = value(phase, "sent")
    found = [("rate", "% of due", _share(_due(phase), sent, ["due"]), "rate", True),
             ("seconds within 1 %", "%", _share(phase, value(phase, "seconds_within_1_percent"), ["duration_s"]), "even", True),
             ("late", "% of sent", _share(phase, value(phase, "late"), ["sent"]), "late", False)]
    for kind, prefix in (("schedule", ""), ("service", "from send ")):
        for key, name in (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max")):
            if prefix and key not in ("p50", "p99"):
                continue  # beside those from the intended time they say little more
            found.append((prefix + name, "us", value(phase, "latency_us", kind, key), "max" if key == "max" else "latency", False))
    found.append(("fewest wins", "/s", value(phase, "wins_per_second", "min"), "wins", True))
    found.append(("server's cpu", "us/request", value(cpu, "server_us_per_request"), "cpu", False))
    cores, seconds = value(cpu, "client_cores"), value(phase, "duration_s")
    found.append(("clients' cpu", "us/request", cores * seconds * 1e6 / sent if cores is not None and seconds and sent else None, "cpu", False))
    return found


def _whole_figures(report):
    broken = sum(not identity.get("holds") for identity in report["identities"])
    connected = report["connections"]
    failed = connected.get("failed")
    difference = value(report, "money_fen", "difference")
    figures = [
        ("connect time", "s", value(connected, "seconds"), "connect", False),
        ("connects failed", "", sum(n for n in failed.values() if isinstance(n, int)) if isinstance(failed, dict) else None, "exact", False),
        ("memory, server", "B/connection", value(report, "memory", "server_bytes_per_connection"), "memory", False),
        ("memory, clients", "B/connection", value(report, "memory", "client_bytes_per_connection"), "memory", False),
        ("memory, kernel", "B/connection", value(report, "memory", "kernel_bytes_per_connection"), "memory", False),
        ("money's difference", "fen", abs(difference) if difference is not None else None, "exact", False),
        ("broken identities", "", broken, "exact", False),
        ("verdict", "", {"pass": 1, "fail": 0}.get(report["verdict"]), "exact", True),
    ]
    return figures


def phases_of(report):
    """[(name, target, seconds)], as far as they were played."""
    return [(str(phase.get("name")), value(phase, "target_qps"), value(phase, "duration_s")) for phase in report["phases"]]


def _cpu(report, number):
    entries = report["cpu"].get("phases")
    return entries[number] if isinstance(entries, list) and number < len(entries) else {}


def rows(a, b, noise=None):
    """All rows; phases are put side by side in their order, as long as their targets are the same."""
    noise = {**NOISE, **(noise or {})}
    made, users = [], [value(report, "config", "users") or 1 for report in (a, b)]
    floors = {**FLOORS, "memory": FLOORS["memory"] + MEMORY_FLOOR_BYTES / max(min(users), 1)}

    def add(phase, of_a, of_b):
        for (name, unit, left, kind, more), (_, _, right, _, _) in zip(of_a, of_b):
            if left is not None or right is not None:
                made.append(Row(phase, name, unit, left, right, kind, more, noise.get(kind, 0.0), floors.get(kind, 0.0)))
    for number, (left, right) in enumerate(zip(a["phases"], b["phases"])):
        if value(left, "target_qps") != value(right, "target_qps"):
            break
        add(str(left.get("name")), _phase_figures(left, _cpu(a, number)), _phase_figures(right, _cpu(b, number)))
    add("", _whole_figures(a), _whole_figures(b))
    return made


def _pairs(report):
    """{name: text} of the machine and what ran on it."""
    host = report.get("host") if isinstance(report.get("host"), dict) else {}
    found = {"host": host.get("name"), "kernel": host.get("kernel"), "cores": host.get("cores")}
    environment = report.get("environment")
    for pair in environment if isinstance(environment, list) else []:
        if isinstance(pair, list) and len(pair) == 2 and pair[0] not in ("host", "kernel", "processors' probe", "memory available before"):
            found[str(pair[0])] = pair[1]
    return found


def differences(a, b):
    """["users: 20,000 | 2,000", ...]: what was not the same to begin with, configuration first."""
    out = []
    for left, right in ((a["config"], b["config"]), (_pairs(a), _pairs(b))):
        for name in [*left, *(name for name in right if name not in left)]:
            if name in left and name in right and left[name] != right[name]:  # an older report need not have all
                out.append(f"{name}: {_text(left[name])} | {_text(right[name])}")
    for name, report in (("A", a), ("B", b)):
        if report.get("interrupted"):
            out.append(f"{name} was interrupted")
    shares = [value(report, "host", "processors", "share_pct") for report in (a, b)]
    if None not in shares and abs(shares[0] - shares[1]) > 10:
        out.append(f"what the processors gave before the run: {shares[0]:.0f} % | {shares[1]:.0f} %")
    return out


def _text(thing):
    if isinstance(thing, list) and all(isinstance(one, dict) and {"qps", "seconds"} <= set(one) for one in thing) and thing:
        return ",".join(f"{one['qps']}:{one['seconds']}s" for one in thing)
    return f"{thing:,}" if isinstance(thing, int) and not isinstance(thing, bool) else str(thing) or "none"
