"""From the reports of a server and its clients to the identities, the figures and the verdict. Pure: documents in, documents out.

The clients' counts are an independent witness: they never see what the server believes it gave.
"""

import dataclasses
from typing import List

from ..common import exit_codes
from ..common.documents import get, total

RATE_TOLERANCE = 0.01  # each phase must reach its target within this


@dataclasses.dataclass
class Identity:
    name: str
    left: int
    right: int
    detail: str

    @property
    def holds(self):
        return self.left == self.right


def server_identities(server, restarted=False):
    """What must hold within the server's own report. `restarted`: it speaks of its last process only, which did not begin with
    nothing; then its own identities, which know what it found, are the judges of its money."""
    s = lambda path: get(server, path)  # noqa: E731
    money = [] if restarted else [
        Identity("shake money: issued = won + left", s("shake.issued_fen"), s("shake.won_fen") + s("shake.left_fen"), "server, fen"),
        Identity("shake envelopes: issued = won + left", s("shake.issued"), s("shake.won") + s("shake.left"), "server"),
        Identity("gift money: sent = opened + left + refunded", s("gifts.sent_fen"),
                 s("gifts.opened_fen") + s("gifts.left_fen") + s("gifts.refunded_fen"), "server, fen"),
        Identity("gift shares: sent = opened + left + refunded", s("gifts.shares"),
                 s("gifts.opened") + s("gifts.left_shares") + s("gifts.refunded_shares"), "server"),
    ]
    return money + [
        Identity("server requests: received = replied + refused + dropped", s("requests.received"),
                 s("requests.replied") + s("requests.refused") + s("requests.dropped"), "server"),
        Identity("connections: accepted = closed + live", s("connections.accepted"), s("connections.closed") + s("connections.live"), "server"),
    ]


def client_identities(clients):
    """What must hold within the clients' own reports."""
    c = lambda path: total(clients, path)  # noqa: E731
    return [
        Identity("client requests: sent = answered + lost", c("requests.sent") - c("requests.outstanding"),
                 c("requests.answered") + c("requests.lost"), "clients"),
        Identity("answers: won + nothing + cap + refused = answered", c("replies.won") + c("replies.nothing") + c("replies.cap") +
                 c("replies.refused"), c("requests.answered"), "clients"),
    ]


def cross_identities(server, clients):
    """What must hold between the two sides when both lived to the end."""
    s = lambda path: get(server, path)  # noqa: E731
    c = lambda path: total(clients, path)  # noqa: E731
    identities = [
        Identity("shake wins: client = server", c("won.count"), s("shake.won"), "envelopes"),
        Identity("shake money: client won = server won", c("won.fen"), s("shake.won_fen"), "fen"),
        Identity("gift opens: client = server", c("gifts.opened"), s("gifts.opened"), "shares"),
        Identity("gift money: client opened = server opened", c("gifts.opened_fen"), s("gifts.opened_fen"), "fen"),
    ]
    if c("requests.lost") == 0 and c("requests.outstanding") == 0 and c("requests.repeated") == 0:
        identities.append(Identity("requests: client sent = server received", c("requests.sent"), s("requests.received"), "requests"))
    return identities


def ledger_identities(ledger, clients):
    """What must hold between the ledger's file (what this run has added to it) and what the clients say they got."""
    c = lambda path: total(clients, path)  # noqa: E731
    l = ledger.get
    return [
        Identity("ledger: shake grants = clients' wins", l("won"), c("won.count"), "envelopes"),
        Identity("ledger: shake grants' money = clients' won", l("won_fen"), c("won.fen"), "fen"),
        Identity("ledger: opened shares = clients' opens", l("opened"), c("gifts.opened"), "shares"),
        Identity("ledger: opened shares' money = clients' opened", l("opened_fen"), c("gifts.opened_fen"), "fen"),
        Identity("ledger: shake money = granted + left", l("shake_issued_fen"), l("won_fen") + l("shake_left_fen"), "ledger, fen"),
        Identity("ledger: gift money = granted + left + refunded", l("gifts_fen"),
                 l("opened_fen") + l("gift_left_fen") + l("refunded_fen"), "ledger, fen"),
    ]


def not_judged(clients, restarts, protocol):
    """[{name, why}]: what could not be held against each other in this run."""
    found = []
    if restarts:
        found.append({"name": "server's counts = clients' counts", "why": f"the counts of {restarts} killed processes died with them; the ledger is "
                      "the judge"})
        found.append({"name": "requests: client sent = server received", "why": "the server was killed"})
        if protocol == 1:
            found.append({"name": "ledger = clients", "why": "protocol 1 has no identity of requests: what was under way at a kill is lost to the "
                          "client"})
    elif total(clients, "requests.repeated"):
        found.append({"name": "requests: client sent = server received",
                      "why": f"{total(clients, 'requests.repeated'):,} requests were sent again after a lost connection"})
    return found


def own_identities(name, report):
    """The identities a program judged itself: they too must hold."""
    judged = get(report, "identities", {})
    if not isinstance(judged, dict):
        return []
    return [Identity(f"{name}: {key}", int(bool(holds)), 1, "its own report") for key, holds in judged.items() if isinstance(holds, bool)]


def identities(server, clients, ledger=None, restarts=0, protocol=2):
    """All that can be judged from the reports there are (None: that program left none). `ledger`: what the run has added to the
    file, or None; `restarts`: how many processes of the server were killed."""
    present = [client for client in clients if client is not None]
    found = []
    if server is not None:
        found += server_identities(server, restarts > 0) + own_identities("server", server)
    if present:
        found += client_identities(present)
    for index, client in enumerate(clients):
        if client is not None:
            found += own_identities(f"client {index}" if len(clients) > 1 else "client", client)
    if server is not None and len(present) == len(clients):
        if restarts == 0:
            found += cross_identities(server, present)
        if ledger is not None and (restarts == 0 or protocol == 2):
            found += ledger_identities(ledger, present)
    return found


def from_ledger(ledger):
    """The ledger's sums in the words of a server's report."""
    l = ledger.get
    return {
        "shake": {"issued": l("shake_issued"), "issued_fen": l("shake_issued_fen"), "won": l("won"), "won_fen": l("won_fen"),
                  "left": l("shake_left"), "left_fen": l("shake_left_fen")},
        "gifts": {"sent": l("gifts"), "sent_fen": l("gifts_fen"), "shares": l("gift_shares"), "opened": l("opened"), "opened_fen": l("opened_fen"),
                  "left_shares": l("gift_left"), "left_fen": l("gift_left_fen"), "refunded_fen": l("refunded_fen"),
                  "refunded_shares": l("gift_shares") - l("opened") - l("gift_left")},
    }


def money(server, clients):
    """The money of both kinds together, in fen. difference: what was given out less what the clients say they got."""
    s = lambda path: get(server, path)  # noqa: E731
    issued = s("shake.issued_fen") + s("gifts.sent_fen")
    left = s("shake.left_fen") + s("gifts.left_fen")
    refunded = s("gifts.refunded_fen")
    received = total(clients, "won.fen") + total(clients, "gifts.opened_fen")
    return {
        "issued": issued,
        "won": s("shake.won_fen") + s("gifts.opened_fen"),
        "left": left,
        "refunded": refunded,
        "received": received,
        "difference": issued - left - refunded - received,
    }


def gifts(server, clients):
    return {
        "sent": get(server, "gifts.sent"),
        "shares": get(server, "gifts.shares"),
        "opened": get(server, "gifts.opened"),
        "refunded": get(server, "gifts.refunded_shares"),
        "left": get(server, "gifts.left_shares"),
        "notices": get(server, "gifts.notices"),
        "client_opened": total(clients, "gifts.opened"),
    }


def merged_series(clients):
    """{unix_s: {field: sum}} over the clients' rows per second; latencies are the worst client's."""
    merged = {}
    for client in clients:
        for row in get(client, "series", []):
            into = merged.setdefault(row.get("unix_s"), {})
            for key, value in row.items():
                if key == "unix_s" or not isinstance(value, (int, float)):
                    continue
                into[key] = max(into.get(key, 0), value) if key.endswith("_us") else into.get(key, 0) + value
    return merged


def _worst(clients_phases, kind):
    """Percentiles of several clients can't be merged exactly: the worst of each is an upper bound."""
    keys = {key for phase in clients_phases for key in get(phase, f"latency_us.{kind}", {})}
    return {key: max(get(phase, f"latency_us.{kind}.{key}") for phase in clients_phases) for key in sorted(keys)}


def merge_phase(start_s, phase, clients, server, series, profile=False):
    """One entry of report.json's phases[], from each client's entry for that phase and the rows per second. `profile`: its rate is not
    one, it was the clients' to follow."""
    own = [entry for client in clients for entry in get(client, "phases", [])
           if entry.get("at_unix_s") == start_s]
    seconds = range(start_s, start_s + phase.seconds)
    sent = [series.get(second, {}).get("sent", 0) for second in seconds]
    server_rows = {row.get("unix_s"): row for row in get(server, "series", [])}
    wins = [server_rows[second].get("won", 0) for second in seconds if second in server_rows]
    counts = {key: sum(entry.get(key, 0) for entry in own) for key in ("sent", "answered", "missed", "late")}
    # Of a profile the clients know what was due in each second; of a step it is the same in all.
    targets = [series.get(second, {}).get("target", 0) if profile else phase.qps for second in seconds]
    if profile:
        counts["due"] = sum(entry.get("due", 0) for entry in own)
    merged = {
        "name": phase.name,
        "target_qps": max(targets) if profile else phase.qps,
        "start_unix_s": start_s,
        "duration_s": phase.seconds,
        **counts,
        "mean_qps": counts["sent"] / phase.seconds,
        # A single client knows its seconds by the intended time; of several, the rows per second are added up.
        "worst_second_qps": own[0].get("worst_second_qps", min(sent)) if len(own) == 1 else min(sent),
        "best_second_qps": own[0].get("best_second_qps", max(sent)) if len(own) == 1 else max(sent),
        "seconds_within_1_percent": sum(abs(count - target) <= RATE_TOLERANCE * target for count, target in zip(sent, targets)),
        "latency_us": {kind: _worst(own, kind) for kind in ("schedule", "service", "winners", "others")
                       if kind in ("schedule", "service") or _worst(own, kind)},
        "wins_per_second": {"min": min(wins), "max": max(wins)} if wins else
                           (own[0].get("wins_per_second", {"min": 0, "max": 0}) if own else {"min": 0, "max": 0}),
    }
    if len(own) > 1:
        merged["latency_of"] = "the worst client, percentile by percentile"
    return merged


def connections(clients):
    failed = {}
    for client in clients:
        for name, count in get(client, "connections.failed", {}).items():
            failed[name] = failed.get(name, 0) + count
    return {
        "target": total(clients, "connections.target"),
        "established": total(clients, "connections.established"),
        "failed": failed,
        "seconds": max([get(client, "connections.seconds", 0.0) for client in clients], default=0.0),
    }


@dataclasses.dataclass
class Verdict:
    exit_code: int
    reasons: List[str]

    @property
    def text(self):
        return "pass" if self.exit_code == exit_codes.DONE else "fail"


def nothing_measured(clients):
    """Why these clients measured nothing; '' when they did."""
    if total(clients, "requests.answered") + total(clients, "gifts.opened") + total(clients, "gifts.empty"):
        return ""
    due = total(clients, "requests.due")
    return "nothing was measured: " + (f"none of {due:,} requests was answered" if due else "no request was due")


def judge(found, connected, trouble, interrupted, failed=()):
    """The verdict. `trouble`: why the run did not go to its end ('' = it did); `interrupted`: the exit code of a signal, or 0;
    `failed`: what every run has to hold and the thresholds of --fail-if, as far as they do not hold, in words."""
    broken = [f"{identity.name}: {identity.left:,} != {identity.right:,} ({identity.detail})" for identity in found if not identity.holds]
    if trouble:
        return Verdict(exit_codes.COULD_NOT, [trouble, *broken])
    if interrupted:
        return Verdict(interrupted, ["interrupted", *broken])
    if broken:
        return Verdict(exit_codes.DOES_NOT_RECONCILE, broken)
    reasons = list(failed)
    if connected["established"] != connected["target"]:
        reasons.append(f"{connected['established']:,} of {connected['target']:,} connections established")
    return Verdict(exit_codes.BAD_VERDICT if failed else exit_codes.COULD_NOT if reasons else exit_codes.DONE, reasons)
