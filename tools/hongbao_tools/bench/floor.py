"""tools/bench floor: what the machine can do at all, and what an ordinary event loop does, beside hongbao-server.

Three servers in turn, each fresh, under the same hongbao-client: hongbao-server, floor (a bare io_uring echo of the same bytes)
and epoll (hongbao's protocol on an edge-triggered epoll loop); epoll-batched also sleeps 50 us under load before it looks again,
as hongbao does. Each run has two phases: a rate that all can hold, for the server's processor time per request and the latency,
and one beyond what the machine can do, for throughput. With many requests of one user outstanding (64 at most) many share a
segment, so the saturated figure is of pipelined requests; client and server share the processors, so it is also given per second
of the server's.
"""

import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time

from ..common import command_line, exit_codes, processes, processors, units
from . import floor_figures, floor_run, floor_servers

SETTLE_S = 120
FEW_SOCKETS = 50
# Connections -> what more than 20,000 of them are asked for; fewer take more, as their requests come pipelined.
_MANY = 20_000


def add_parser(subparsers):
    parser = subparsers.add_parser("floor", help="hongbao-server beside a bare io_uring echo and an epoll server",
                                   description=__doc__)
    parser.add_argument("--connections", metavar="N,...", default="1k,10k,100k", help="a list (default: %(default)s)")
    parser.add_argument("--rounds", metavar="N", type=int, default=3, help="of all servers, the order rotated (default: %(default)s)")
    parser.add_argument("--seconds", metavar="N", type=int, default=10, help="of each phase (default: %(default)s)")
    parser.add_argument("--qps", metavar="N", default="20k", help="requests/s of the phase below capacity (default: %(default)s)")
    parser.add_argument("--saturate", metavar="N", help="requests/s asked for beyond capacity (default: 1M, above 20k connections 200k)")
    parser.add_argument("--servers", metavar="NAME,...", default="hongbao,floor,epoll",
                        help=f"which, of {', '.join(floor_servers.NAMES)}; ratios are to the first (default: %(default)s)")
    parser.add_argument("--out", "-o", metavar="FILE", help="write everything measured to this JSON file")
    parser.set_defaults(run=run)


def _say(text):
    print(text, file=sys.stderr, flush=True)


def _count(flag, text, low, high):
    try:
        number = units.parse_count(text)
    except ValueError as error:
        raise command_line.UsageError(f"{flag}: {error}") from None
    if not low <= number <= high:
        raise command_line.UsageError(f"{flag}: must be from {low:,} to {high:,}, not {number:,}")
    return number


def _check(options):
    """The options with their units settled; UsageError for what cannot be."""
    names = options.servers.split(",")
    for name in names:
        if name not in floor_servers.NAMES:
            raise command_line.UsageError(f"--servers: '{name}' is none of {', '.join(floor_servers.NAMES)}")
    if len(set(names)) != len(names):
        raise command_line.UsageError("--servers: one is named twice")
    for flag, number in (("--rounds", options.rounds), ("--seconds", options.seconds)):
        if not 1 <= number <= 1000:
            raise command_line.UsageError(f"{flag}: must be from 1 to 1,000, not {number:,}")
    return {
        "servers": names,
        "connections": [_count("--connections", text, 1, 1_000_000) for text in options.connections.split(",")],
        "qps": _count("--qps", options.qps, 1, 10**7),
        "saturate": None if options.saturate is None else _count("--saturate", options.saturate, 1, 10**8),
        "rounds": options.rounds,
        "seconds": options.seconds,
    }


def _host():
    measured = processors.measure()
    _say("processors " + processors.describe(measured))
    return {"kernel": platform.release(), "cores": os.cpu_count(), "processors": measured, "unix_s": int(time.time())}


def _measure_all(wanted, build, folder, document):
    """All runs, into the document as they come; prints the table of each number of connections."""
    names = wanted["servers"]
    few = processes.tcp_sockets()[0] + FEW_SOCKETS
    for connections in wanted["connections"]:
        saturate = wanted["saturate"] or (200_000 if connections > _MANY else 1_000_000)
        runs = []
        for number in range(wanted["rounds"]):
            for name in floor_figures.order(names, number):
                left = processes.settle_sockets(few, SETTLE_S)
                figures = floor_run.measure(name, build, folder, connections, wanted["qps"], saturate, wanted["seconds"])
                runs.append({"name": name, "round": number, "connections": connections, "sockets_before": left, "figures": figures})
                document["runs"].append(runs[-1])
                _say(f"round {number + 1}: {name}, {connections:,} connections: {figures['us_per_request']:.2f} us/request, "
                     f"p99 {figures['p99_us'] / 1000:.2f} ms, saturated {figures['saturated_per_s']:,.0f}/s")
        summary = floor_figures.summarize(runs, names)
        document["summaries"].append({"connections": connections, "qps": wanted["qps"], "saturate": saturate, "servers": summary})
        print(f"\n{connections:,} connections, {wanted['qps']:,}/s held, {saturate:,}/s asked for; median (least-most) of "
              f"{wanted['rounds']}, and how many times {names[0]}'s", flush=True)
        print("\n".join(floor_figures.table(summary, names)), flush=True)
        for doubt in floor_figures.doubts(runs, wanted["qps"], saturate):
            print(f"  doubt: {doubt}", flush=True)


def _terminated(signum, frame):
    raise KeyboardInterrupt


def run(options):
    try:
        wanted = _check(options)
    except command_line.UsageError as error:
        _say(f"tools/bench floor: {error}\nRun 'tools/bench floor --help' for the options.")
        return exit_codes.WRONG_USAGE
    programs = {floor_servers.program(name) for name in wanted["servers"]} | {"client/hongbao-client"}
    build = command_line.build_folder("tools/bench", *sorted(programs), build=options.build)
    if build is None or (options.out is not None and not command_line.can_write("tools/bench floor", options.out)):
        return exit_codes.COULD_NOT
    signal.signal(signal.SIGTERM, _terminated)  # as Ctrl-C: what was started is ended
    document = {"options": wanted, "runs": [], "summaries": []}
    folder = tempfile.mkdtemp(prefix="hongbao-bench-")
    try:
        document["host"] = _host()
        _measure_all(wanted, build, folder, document)
        return exit_codes.DONE
    except KeyboardInterrupt:
        _say("tools/bench floor: stopped")
        return exit_codes.INTERRUPTED
    except (processes.Died, processes.AdminError, OSError) as error:
        _say(f"tools/bench floor: error: {error}")
        return exit_codes.COULD_NOT
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if options.out is not None:
            with open(options.out, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=2)
                file.write("\n")
