"""The servers that tools/bench floor holds against each other: how each is started, what it says, what it used, how it ends."""

import os
import re

from ..common import processes

END_S = 60
_LISTENING = re.compile(r"^listening on (\S+:\d+)", re.M)

HONGBAO = "server/hongbao-server"
BEFORE = "before"   # hongbao-server of another build: the commit before a change, say
# Name -> (program in the build folder, flags of its own).
PLAIN = {
    "floor": ("benchmarks/end_to_end/floor_server", []),
    "epoll": ("benchmarks/end_to_end/epoll_server", []),
    "epoll-batched": ("benchmarks/end_to_end/epoll_server", ["--batch-wait", "50us"]),
}
NAMES = ("hongbao", *PLAIN, BEFORE)


def program(name):
    return HONGBAO if name in ("hongbao", BEFORE) else PLAIN[name][0]


def tree_cpu_s(pid):
    """User and system seconds so far of a process and of its children that live."""
    found = {int(entry): processes.parent_and_cpu_s(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    return sum(cpu_s for one, (parent, cpu_s) in found.items() if pid in (one, parent))


class _Plain(processes.Process):
    """A server that says on stdout where it listens, and takes no --report."""

    takes_report = False

    def addresses(self):
        found = _LISTENING.search(self.rows())
        return (found.group(1), None) if found else None


def start(name, build, connections, workers, folder):
    """The server of a build folder, fresh and listening on a TCP port that is free; `workers` None: as many as it takes by itself."""
    path = os.path.join(build, program(name))
    threads = [] if workers is None else ["--workers", str(workers)]
    if name in PLAIN:
        server = _Plain(name, [path, "--port", "0", "--connections-max", str(connections), *threads, *PLAIN[name][1]], folder)
    else:
        server = processes.Process(name, [path, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ledger", "none", "--users-max",
                                          str(max(connections, 1000)), "--connections-max", str(connections), *threads, "--quiet"], folder)
    try:
        server.wait_ready()
    except BaseException:
        server.kill()
        raise
    return server


def end(server):
    """Ends it in order; Died when it does not go, or says that something was wrong."""
    server.terminate()
    if not server.wait(END_S):
        raise processes.Died(f"{server.name} did not end in {END_S} s")
    if server.process.returncode != 0:
        raise processes.Died(f"{server.name} {server.how_ended()}: {server.last_words()}")
