"""tools/bench monitoring: what being watched costs the server: hongbao-server under one steady rate, unwatched and watched in turn.

Watched: a hongbao-monitor takes its counter records, a page's stream of events is open, and /metrics is scraped once a second.
Unwatched: nobody takes, streams or asks. Each round is unwatched, watched, unwatched, so that what drifts cancels out; the second
unwatched part against the first is the noise. Two figures: the processor time of the whole server for each request, in which what
monitoring does to caches is contained and so is everything else that moves; and the time of the threads beside the workers, which
do all that is done once a second: as a share of the whole, it is the cost itself and hardly noisy.
"""

import os
import time

from ..common import command_line, processes
from ..common.streams import say
from ..ledger import files
from . import experiment, figures, floor_run, watchers

WARM_S = 2.5  # after each change of what is watched: the server tries to reach its monitor each second
PARTS = ("before", "watched", "after")


def add_parser(subparsers):
    parser = subparsers.add_parser("monitoring", help="hongbao-server watched and unwatched", description=__doc__)
    parser.add_argument("--connections", metavar="N", default="2k", help="(default: %(default)s)")
    parser.add_argument("--qps", metavar="N", default="60k", help="requests/s (default: %(default)s)")
    parser.add_argument("--rounds", metavar="N", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--seconds", metavar="N", type=int, default=5, help="of each of a round's three parts (default: %(default)s)")
    parser.add_argument("--workers", metavar="N", type=int, default=os.cpu_count(), help="of the server (default: %(default)s)")
    parser.add_argument("--out", "-o", metavar="FILE", help="write everything measured to this JSON file")
    parser.set_defaults(run=run)


def _check(options):
    """The options with their units settled; UsageError for what cannot be."""
    highest = {"connections": 1_000_000, "qps": 10**7, "rounds": 1000, "seconds": 1000, "workers": 1000}
    return {name: command_line.count(options, name, None, 1, high) for name, high in highest.items()}


def part_of(before, after, workers):
    """What happened between two samples of ({thread: ns}, answered): us of the server per request, and of it beside the workers."""
    spent = {thread: ns - before["threads"].get(thread, 0) for thread, ns in after["threads"].items()}
    beside = sum(ns for thread, ns in spent.items() if thread not in workers)
    answered = after["answered"] - before["answered"]
    if answered <= 0:
        raise processes.Died("nothing was answered")
    return {"us_per_request": sum(spent.values()) / 1e3 / answered, "beside_share": beside / sum(spent.values()),
            "beside_ms_per_s": beside / 1e6 / (after["at_s"] - before["at_s"]), "missed": after["missed"] - before["missed"]}


def summarize(rounds):
    """Medians over the rounds: how much more a watched part costs than the mean of the two beside it, and the noise of that."""
    costs = [one["watched"]["us_per_request"] * 2 / (one["before"]["us_per_request"] + one["after"]["us_per_request"]) - 1
             for one in rounds]
    noise = [one["after"]["us_per_request"] / one["before"]["us_per_request"] - 1 for one in rounds]
    beside = {name: figures.median([one[name]["beside_share"] for one in rounds]) for name in PARTS}
    return {"cost": figures.median(costs), "costs": costs, "noise": figures.median([abs(share) for share in noise]),
            "beside": beside, "beside_cost": beside["watched"] - (beside["before"] + beside["after"]) / 2,
            "beside_ms_per_s": {name: figures.median([one[name]["beside_ms_per_s"] for one in rounds]) for name in PARTS},
            "us_per_request": {name: figures.median([one[name]["us_per_request"] for one in rounds]) for name in PARTS},
            "missed": sum(one[name]["missed"] for one in rounds for name in PARTS)}


def table(summary, wanted):
    us, beside = summary["us_per_request"], summary["beside"]
    return "\n".join([
        f"{wanted['qps']:,}/s over {wanted['connections']:,} connections, medians of {wanted['rounds']} rounds of "
        f"3 x {wanted['seconds']} s",
        f"  unwatched  {us['before']:.3f} us/request, threads beside the workers {beside['before']:.3%} of it",
        f"  watched    {us['watched']:.3f} us/request, threads beside the workers {beside['watched']:.3%} of it "
        f"({summary['beside_ms_per_s']['watched']:.2f} ms a second)",
        f"  unwatched  {us['after']:.3f} us/request, threads beside the workers {beside['after']:.3%} of it",
        f"  cost       {summary['beside_cost']:+.3%} by the threads beside the workers; {summary['cost']:+.2%} of the whole server, "
        f"noise {summary['noise']:.2%} (unwatched against unwatched)"]
        + ([f"  doubt: {summary['missed']:,} requests missed: the machine did not hold the rate"] if summary["missed"] else []))


def _threads_ns(pid):
    spent = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                spent[thread] = int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended meanwhile
    return spent


def _sample(server, client):
    requests = client.status(timeout_s=30)["requests"]
    return {"at_s": time.monotonic(), "threads": _threads_ns(server.pid), "answered": requests["answered"], "missed": requests["missed"]}


def _part(server, client, workers, seconds):
    time.sleep(WARM_S)
    before = _sample(server, client)
    time.sleep(seconds)
    after = _sample(server, client)
    server.check_alive()
    return part_of(before, after, workers)


def _rounds(server, client, watched, wanted, keep):
    """`watched`: makes the context in which the server is."""
    spent = _threads_ns(server.pid)  # the ramp: the workers have done nearly all of it
    workers = set(sorted(spent, key=spent.get)[-wanted["workers"]:])
    for number in range(wanted["rounds"]):
        one = {"before": _part(server, client, workers, wanted["seconds"])}
        with watched() as watching:
            one["watched"] = _part(server, client, workers, wanted["seconds"])
        watching.check(wanted["seconds"])
        one["after"] = _part(server, client, workers, wanted["seconds"])
        keep(one)
        say(f"round {number + 1}: " + ", ".join(f"{name} {one[name]['us_per_request']:.3f} us" for name in PARTS))


def _measure(wanted, build, folder, keep):
    monitor = files.free_port()  # not one that the server could get for its own end while nobody listens
    server = processes.Process("server", [
        os.path.join(build, "server/hongbao-server"), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--quiet",
        "--monitor", f"127.0.0.1:{monitor}", "--workers", str(wanted["workers"]), "--users-max", str(wanted["connections"]),
        "--connections-max", str(max(wanted["connections"] * 2, 1000)), "--queue-wait-max", "0"], folder)
    client = None
    try:
        server.wait_ready()
        client = processes.Process("client", [
            os.path.join(build, "client/hongbao-client"), "--server", server.listen, "--admin", "127.0.0.1:0", "--users",
            str(wanted["connections"]), "--qps", str(wanted["qps"]), "--duration", "0", "--quiet"], folder)
        client.wait_ready()
        floor_run._connect(client, wanted["connections"])
        time.sleep(3)  # the rate begins
        listener = [os.path.join(build, "tools/monitor/hongbao-monitor"), "--listen", f"127.0.0.1:{monitor}", "--admin",
                    "127.0.0.1:0", "--quiet"]
        _rounds(server, client, lambda: watchers.Watched(server.admin, listener, folder), wanted, keep)
        client.terminate()
        client.wait(60)
        report = client.report()
        if report is None or report["verdict"] != "pass":
            raise processes.Died(f"the client's books do not close: {client.last_words()}")
    finally:
        if client is not None:
            client.kill()
        server.kill()


def run(options):
    wanted, rounds = _check(options), []

    def measure(build, folder):
        _measure(wanted, build, folder, rounds.append)
        print(table(summarize(rounds), wanted), flush=True)
    programs = ["server/hongbao-server", "client/hongbao-client", "tools/monitor/hongbao-monitor"]
    return experiment.run("tools/bench monitoring", options, programs, {"options": wanted, "rounds": rounds}, measure)
