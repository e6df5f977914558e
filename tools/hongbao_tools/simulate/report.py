"""report.json: put together from the story's measurements and the programs' reports; written whole or not at all."""

import dataclasses
import json
import os
import platform
import time

from ..common.documents import get, total
from ..common.version import VERSION
from . import hgrm, reconcile, thresholds
from . import options as options_module

DISK_FULL_BYTES = 65_536
BACK_S = 4               # by then a client that waits the longest has tried again, and its requests are on time
CONNECTS_PER_S = 10_000  # that the time for all to come back is reckoned by; they are more


def memory(story, users):
    """Bytes per connection: a process's memory with all connected beyond its memory with one user. Kernel memory is both sides'
    together: slab and socket buffers."""
    m = story.memory
    if "kernel_full" not in m:  # it came to an end before all were connected
        return dict.fromkeys(f"{side}_{what}" for side in ("server", "client", "kernel") for what in ("rss_bytes", "base_rss_bytes", "bytes", "bytes_per_connection"))
    server, clients = m["server_full"], sum(m["clients_full"])
    server_base, clients_base = m.get("server_base", 0), m.get("client_base", 0) * len(m["clients_full"])
    kernel = sum(m["kernel_full"]) - sum(m["kernel_before"])
    return {
        "server_rss_bytes": server,
        "client_rss_bytes": clients,
        "server_base_rss_bytes": server_base,
        "client_base_rss_bytes": clients_base,
        "server_bytes_per_connection": round((server - server_base) / users, 1) if server else 0,
        "client_bytes_per_connection": round((clients - clients_base) / users, 1) if clients else 0,
        "kernel_bytes": kernel,
        "kernel_bytes_per_connection": round(kernel / users, 1),
    }


def played(story):
    """(phase, start) of each phase that began, cut to the whole seconds it lasted."""
    for phase, start in zip(story.options.phases, story.phase_starts):
        seconds = min(phase.seconds, int((story.ended_s or time.time()) - start))
        if seconds > 0:
            yield dataclasses.replace(phase, seconds=seconds), start


def cpu(story, phases):
    """Cores used in each phase; the last one's at the top, where it is looked for."""
    per_phase = []
    for phase in phases:
        server, client = story.cpu_between(phase["start_unix_s"], phase["start_unix_s"] + phase["duration_s"])
        per_phase.append({
            "name": phase["name"], "server_cores": round(server, 3), "client_cores": round(client, 3),
            "server_us_per_request": round(server * phase["duration_s"] * 1e6 / phase["answered"], 2) if phase["answered"] else 0,
        })
    last = per_phase[-1] if per_phase else dict.fromkeys(("server_cores", "client_cores", "server_us_per_request"))
    return {**{key: last[key] for key in ("server_cores", "client_cores", "server_us_per_request")}, "phases": per_phase}


def restarts_of(story):
    return story.server.restarts if story.server else []


def ledger(story):
    return {
        "path": story.ledger,
        "grants": story.ledger_now["won"] + story.ledger_now["opened"] if story.ledger_now else None,
        "added": story.ledger_now,
        "restarts": [{"at_unix_s": round(one.at_unix_s, 3), "how": one.how, "recovery_ms": one.recovery_ms, "grants": one.grants}
                     for one in restarts_of(story)],
    }


def marked(phases, restarts):
    """The phases, with the number of restarts in those that had any: their rate is not judged."""
    for phase in phases:
        count = sum(phase["start_unix_s"] <= one.at_unix_s < phase["start_unix_s"] + phase["duration_s"] for one in restarts)
        if count:
            phase["restarts"] = count
    return phases


def outages(restarts, options):
    """[(first second, last second)] in which a killed server explains what was missed: until all have had the time to come back."""
    back_s = BACK_S + options.users / (options.connect_rate or CONNECTS_PER_S)
    return [(int(one.at_unix_s) - 1, int(one.at_unix_s + one.recovery_ms / 1000 + back_s)) for one in restarts if one.how == "SIGKILL"]


def trouble_of(restarts):
    """A server that ends by itself (SIGSEGV, SIGABRT) is mended like one that was killed, but not forgiven."""
    return next((f"server was killed by {one.how}" for one in restarts if one.how != "SIGKILL"), "")


def latencies(clients):
    """The whole run's, over all clients: exact where each tells of its histogram and something was answered, {} otherwise."""
    found = {kind: hgrm.of_clients(clients, kind) for kind in ("schedule", "service")}
    return {kind: histogram.summary_us() for kind, histogram in found.items() if histogram is not None and histogram.count}


def collect(story):
    """(server's report, clients' reports), None for each that left none."""
    return story.server.report() if story.server else None, [client.report() for client in story.clients]


def disk_full(folder, said):
    """Whether the folder's disk takes no more, or one of the texts says that it took no more."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < DISK_FULL_BYTES or any(words in text for text in said for words in
                                                                   ("No space left on device", "disk is full", "no room on the disk"))


def cause(story, trouble, missing):
    """What went wrong, its cause first. `missing`: the names of programs that left no report."""
    said = trouble or (f"no report from {', '.join(missing)}" if missing else "")
    words = [story.server.last_words()] if story.server and said else []
    words += [client.last_words() for client in story.clients] if said else []
    return f"the disk of {story.folder} is full: {said}" if said and disk_full(story.folder, [said, *words]) else said


def unknown_without(document, server, clients, books):
    """Takes out of the document, in place, what only the missing reports could have told: a sum over some of the clients is no sum."""
    def forget(*names):
        for name in names:
            document[name] = dict.fromkeys(document[name])
    if not clients or None in clients:
        forget("requests")
        document["phases"], document["latency_us"] = [], {}
        document["connections"] = {**dict.fromkeys(document["connections"]), "target": document["config"]["users"],
                                   "established": document["config"]["users"] if document["memory"]["server_rss_bytes"] else None}
    if books is None:
        forget("shake", "gifts")
    if books is None or not clients or None in clients:
        forget("money_fen")


def build(story, server, clients, environment, trouble="", interrupted=0):
    """(report.json's document, exit code). `server`, `clients`: as collected."""
    o = story.options
    missing = [p.name for p, r in zip([story.server, *story.clients], [server, *clients]) if p and r is None]
    if not interrupted:
        trouble = cause(story, trouble, missing)
    present = [client for client in clients if client is not None]
    series = reconcile.merged_series(present)
    restarts = restarts_of(story)
    phases = marked([reconcile.merge_phase(start, phase, present, server, series, o.profile is not None) for phase, start in played(story)], restarts)
    found = reconcile.identities(server, clients, story.ledger_now, len(restarts), o.protocol)
    not_judged = reconcile.not_judged(present, len(restarts), o.protocol)
    not_judged += [{"name": f"phase {phase['name']}: requests sent", "why": "the server was killed and came back"} for phase in phases
                   if phase.get("restarts")]
    trouble = trouble or trouble_of(restarts)
    books = reconcile.from_ledger(story.ledger_now) if restarts and story.ledger_now else server
    connected = reconcile.connections(present) if present else {"target": o.users, "established": 0, "failed": {}, "seconds": 0.0}
    money = reconcile.money(books, present)
    judged, failed = [], []
    if not trouble and not interrupted:
        facts = thresholds.facts(present, money["difference"], outages(restarts, o))
        judged = thresholds.judge(thresholds.with_standard(o.fail_if), facts)
        failed = [*filter(None, [reconcile.nothing_measured(present)]), *thresholds.reasons(judged)]
    verdict = reconcile.judge(found, connected, trouble, interrupted, failed)
    document = {
        "schema": 1,
        "version": VERSION,
        "verdict": verdict.text,
        "exit_code": verdict.exit_code,
        "reasons": verdict.reasons,
        "interrupted": bool(interrupted),
        "start_unix_s": int(story.started_s),
        "duration_s": round(time.time() - story.started_s, 1),
        "host": {"name": platform.node(), "kernel": platform.release(), "cores": len(os.sched_getaffinity(0)),
                 "processors": story.processors},
        "config": {
            "users": o.users, "clients": o.clients, "protocol": o.protocol, "workers": o.workers, "seed": o.seed,
            "kill_server_s": o.kill_server, "shake_rate": o.shake_rate, "gift_rate": o.gift_rate, "gift_users": o.gift_users,
            "profile": o.profile, "profile_qps": o.profile_qps, "own_network": o.own_network, "server_flags": o.server_flags, "client_flags": o.client_flags, "monitor": o.monitor,
            "phases": [{"name": phase.name, "qps": phase.qps, "seconds": phase.seconds} for phase in o.phases],
        },
        "command": options_module.command(o),
        "environment": environment,
        "monitor": {"asked_for": o.monitor, "trouble": story.watch.trouble if story.watch else ""},
        "connections": connected,
        "phases": phases,
        "latency_us": latencies(present),
        "thresholds": [_plain(one) for one in judged if not one["standard"]],
        "conditions": [_plain(one) for one in judged if one["standard"]],
        "requests": {key: total(present, f"requests.{key}") for key in ("sent", "answered", "refused", "lost", "repeated", "missed", "late")},
        "shake": {key: get(books, f"shake.{key}") for key in ("issued", "won", "left")},
        "money_fen": money,
        "gifts": reconcile.gifts(books, present),
        "ledger": ledger(story),
        "memory": memory(story, o.users),
        "cpu": cpu(story, phases),
        "identities": [{"name": i.name, "holds": i.holds, "left": i.left, "right": i.right, "of": i.detail} for i in found],
        "not_judged": not_judged,
    }
    unknown_without(document, server, clients, books)
    return document, verdict.exit_code


def _plain(judged):
    return {key: judged[key] for key in ("expr", "value", "unit", "ok")}


def write(path, document):
    temporary = path + ".partial"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
