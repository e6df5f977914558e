"""One run of tools/bench floor: a fresh server under a fresh hongbao-client, a rate that it holds, then one that it cannot."""

import os
import time

from ..common import processes
from . import floor_figures, floor_servers

CONNECT_S = 180
DRAIN_S = 30
WARM_S = 1    # of each rate before anything of it is counted
PAUSE_S = 2   # without requests between the rates
ANY_RATE = "missed<=100%,refused<=100%,held>=0%"


def sample(server, client):
    """What has been answered and used so far."""
    requests = client.status(timeout_s=30)["requests"]
    return {"at_s": time.monotonic(), "cpu_s": floor_servers.tree_cpu_s(server.pid), "answered": requests["answered"],
            "missed": requests["missed"], "refused": requests["refused"]}


def difference(before, after):
    """Two samples as one span."""
    span = {key: after[key] - before[key] for key in ("cpu_s", "answered", "missed", "refused")}
    return {**span, "seconds": after["at_s"] - before["at_s"]}


def _sleep_until(unix_s):
    time.sleep(max(unix_s - time.time(), 0))


def _connect(client, connections):
    deadline = time.monotonic() + CONNECT_S
    while True:
        status = client.status()["connections"]
        if status["done"] and status["live"] == connections:
            return
        client.check_alive()
        if time.monotonic() > deadline:
            raise processes.Died(f"only {status['live']:,} of {connections:,} users logged in within {CONNECT_S} s")
        time.sleep(0.1)


def _load(server, client, qps, seconds, name):
    """Asks for a rate from a second on, and for silence at its end; returns what happened meanwhile but for the warm-up."""
    begin = int(time.time()) + 2
    client.post("/v1/qps", qps=qps, at=begin, name=f"warm-{name}")
    client.post("/v1/qps", qps=qps, at=begin + WARM_S, name=name)
    client.post("/v1/qps", qps=0, at=begin + WARM_S + seconds, name="pause")
    _sleep_until(begin + WARM_S)
    before = sample(server, client)
    _sleep_until(begin + WARM_S + seconds)
    span = difference(before, sample(server, client))
    server.check_alive()
    return span


def _latency_us(client):
    report = client.report()
    if report is None or report["verdict"] != "pass":
        raise processes.Died(f"the client's books do not close: {client.last_words()}")
    return next(phase["latency_us"]["schedule"] for phase in report["phases"] if phase["name"] == "fixed")


def measure(name, builds, folder, connections, workers, fixed_qps, saturating_qps, seconds):
    """The figures of one server; processes.Died when anything goes wrong. Whatever happens, nothing is left running. `builds`: the
    build folder, and that of the server called before."""
    build, before = builds
    server = floor_servers.start(name, before if name == floor_servers.BEFORE else build, connections, workers, folder)
    client = None
    try:
        # No statements: a bare echo knows none. Nothing but the books is judged: the second rate is one that cannot be held.
        client = processes.Process("client", [
            os.path.join(build, "client/hongbao-client"), "--server", server.listen, "--admin", "127.0.0.1:0", "--users",
            str(connections), "--qps", "0", "--duration", "0", "--no-statements", "--drain", f"{DRAIN_S}s", "--fail-if", ANY_RATE, "--quiet"], folder)
        client.wait_ready()
        _connect(client, connections)
        fixed = _load(server, client, fixed_qps, seconds, "fixed")
        time.sleep(PAUSE_S)
        saturated = _load(server, client, saturating_qps, seconds, "saturated")
        client.terminate()
        if not client.wait(2 * DRAIN_S):
            raise processes.Died("the client did not end")
        figures = floor_figures.measurement(fixed, saturated, _latency_us(client))
        floor_servers.end(server)
        return figures
    finally:
        if client is not None:
            client.kill()
        server.kill()
