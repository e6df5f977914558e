"""tools/bench floor: what the machine can do at all, and what an ordinary event loop does, beside hongbao-server.

Three servers in turn, each fresh, under the same hongbao-client: hongbao-server, floor (a bare io_uring echo of the same bytes)
and epoll (hongbao's protocol on an edge-triggered epoll loop); epoll-batched also sleeps 50 us under load before it looks again,
as hongbao does; before is hongbao-server of another build folder (--before), to see what a change brings. Each run has two phases: a rate that all can hold, for the server's processor time per request and the latency,
and one beyond what the machine can do, for throughput. With many requests of one user outstanding (64 at most) many share a
segment, so the saturated figure is of pipelined requests; client and server share the processors, so it is also given per second
of the server's.
"""

import os
import platform
import time

from ..common import processes, processors
from ..common.command_line import UsageError, count, in_range
from ..common.streams import say
from . import experiment, floor_figures, floor_run, floor_servers

SETTLE_S = 120
FEW_SOCKETS = 50
# Connections -> what more than 20,000 of them are asked for; fewer take more, as their requests come pipelined.
_MANY = 20_000


def add_parser(subparsers):
    parser = subparsers.add_parser("floor", help="hongbao-server beside a bare io_uring echo and an epoll server",
                                   description=__doc__)
    parser.add_argument("--connections", metavar="N,...", default="1k,10k,100k", help="a list (default: %(default)s)")
    parser.add_argument("--workers", metavar="N,...", help="a list: threads of each server (default: as many as each takes by itself)")
    parser.add_argument("--before", metavar="DIR", help="also run hongbao-server of this build folder")
    parser.add_argument("--rounds", metavar="N", type=int, default=3, help="of all servers, the order rotated (default: %(default)s)")
    parser.add_argument("--seconds", metavar="N", type=int, default=10, help="of each phase (default: %(default)s)")
    parser.add_argument("--qps", metavar="N", default="20k", help="requests/s of the phase below capacity (default: %(default)s)")
    parser.add_argument("--saturate", metavar="N", help="requests/s asked for beyond capacity (default: 1M, above 20k connections 200k)")
    parser.add_argument("--servers", metavar="NAME,...", default="hongbao,floor,epoll",
                        help=f"which, of {', '.join(floor_servers.NAMES)}; ratios are to the first (default: %(default)s)")
    parser.add_argument("--out", "-o", metavar="FILE", help="write everything measured to this JSON file")
    parser.set_defaults(run=run)


def _check(options):
    """The options with their units settled; UsageError for what cannot be."""
    names = options.servers.split(",")
    for name in names:
        if name not in floor_servers.NAMES:
            raise UsageError(f"--servers: '{name}' is none of {', '.join(floor_servers.NAMES)}")
    if options.before is None and floor_servers.BEFORE in names:
        raise UsageError("--servers: 'before' needs --before, the build folder of that server")
    if options.before is not None:
        if not os.access(os.path.join(options.before, floor_servers.HONGBAO), os.X_OK):
            raise UsageError(f"--before: there is no {floor_servers.HONGBAO} in {options.before}")
        names += [] if floor_servers.BEFORE in names else [floor_servers.BEFORE]
    if len(set(names)) != len(names):
        raise UsageError("--servers: one is named twice")
    return {
        "servers": names,
        "connections": [in_range("--connections", text, 1, 1_000_000) for text in options.connections.split(",")],
        "workers": [None] if options.workers is None else [in_range("--workers", text, 1, 256) for text in options.workers.split(",")],
        "before": options.before,
        "qps": in_range("--qps", options.qps, 1, 10**7),
        "saturate": count(options, "saturate", None, 1, 10**8),
        "rounds": in_range("--rounds", options.rounds, 1, 1000),
        "seconds": in_range("--seconds", options.seconds, 1, 1000),
    }


def _host():
    measured = processors.measure()
    say("processors " + processors.describe(measured))
    return {"kernel": platform.release(), "cores": os.cpu_count(), "processors": measured, "unix_s": int(time.time())}


def _measure_one(wanted, builds, folder, document, connections, workers):
    """All rounds with one number of connections and of workers, into the document as they come; prints their table."""
    names = wanted["servers"]
    few = processes.tcp_sockets()[0] + FEW_SOCKETS
    saturate = wanted["saturate"] or (200_000 if connections > _MANY else 1_000_000)
    told = f"{connections:,} connections" + ("" if workers is None else f", {workers} worker{'s' if workers > 1 else ''}")
    runs = []
    for number in range(wanted["rounds"]):
        for name in floor_figures.order(names, number):
            left = processes.settle_sockets(few, SETTLE_S)
            figures = floor_run.measure(name, builds, folder, connections, workers, wanted["qps"], saturate, wanted["seconds"])
            runs.append({"name": name, "round": number, "connections": connections, "workers": workers, "sockets_before": left,
                         "figures": figures})
            document["runs"].append(runs[-1])
            say(f"round {number + 1}: {name}, {told}: {figures['us_per_request']:.2f} us/request, "
                f"p99 {figures['p99_us'] / 1000:.2f} ms, saturated {figures['saturated_per_s']:,.0f}/s")
    summary = floor_figures.summarize(runs, names)
    document["summaries"].append({"connections": connections, "workers": workers, "qps": wanted["qps"], "saturate": saturate,
                                  "servers": summary})
    print(f"\n{told}, {wanted['qps']:,}/s held, {saturate:,}/s asked for; median (least-most) of "
          f"{wanted['rounds']}, and how many times {names[0]}'s", flush=True)
    print("\n".join(floor_figures.table(summary, names)), flush=True)
    for doubt in floor_figures.doubts(runs, wanted["qps"], saturate):
        print(f"  doubt: {doubt}", flush=True)


def run(options):
    wanted = _check(options)
    document = {"options": wanted, "runs": [], "summaries": []}

    def measure(build, folder):
        document["host"] = _host()
        for connections in wanted["connections"]:
            for workers in wanted["workers"]:
                _measure_one(wanted, (build, wanted["before"]), folder, document, connections, workers)
    programs = {floor_servers.program(name) for name in wanted["servers"]} | {"client/hongbao-client"}
    return experiment.run("tools/bench floor", options, sorted(programs), document, measure)
