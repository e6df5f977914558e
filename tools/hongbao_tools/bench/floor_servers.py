"""The servers that tools/bench floor holds against each other: how each is started, what it says, what it used, how it ends."""

import os
import re
import subprocess
import time

from ..common import processes

READY_S = 60
END_S = 60
_LISTENING = re.compile(r"^listening on (\S+:\d+)", re.M)
_TICKS = os.sysconf("SC_CLK_TCK")

HONGBAO = "server/hongbao-server"
# Name -> (program in the build folder, flags of its own).
PLAIN = {
    "floor": ("benchmarks/end_to_end/floor_server", []),
    "epoll": ("benchmarks/end_to_end/epoll_server", []),
    "epoll-batched": ("benchmarks/end_to_end/epoll_server", ["--batch-wait", "50us"]),
}
NAMES = ("hongbao", *PLAIN)


def program(name):
    return HONGBAO if name == "hongbao" else PLAIN[name][0]


def _stat(pid):
    """(parent, user + system ticks) of a process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[11]) + int(fields[12])


def tree_cpu_s(pid):
    """User and system seconds so far of a process and of its children that live."""
    ticks = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            found = _stat(entry)
            if found is not None and (int(entry) == pid or found[0] == pid):
                ticks += found[1]
    return ticks / _TICKS


class _Plain(processes.Process):
    """A server that says on stdout where it listens, and takes no --report."""

    def __init__(self, name, arguments, folder):  # pylint: disable=super-init-not-called
        self.name, self.arguments, self.listen, self.admin = name, arguments, None, None
        self.log_path = os.path.join(folder, f"{name}.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                            preexec_fn=processes.die_with_parent)
        self.pid = self.process.pid

    def wait_ready(self, timeout_s=READY_S):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                found = _LISTENING.search(log.read())
            if found:
                self.listen = found.group(1)
                return
            self.check_alive()
            time.sleep(0.01)
        raise processes.Died(f"{self.name} was not ready after {timeout_s} s: {self.last_words()}")


def start(name, build, connections, folder):
    """The server, fresh and listening. Each runs with its defaults, on a TCP port that is free."""
    path = os.path.join(build, program(name))
    if name == "hongbao":
        server = processes.Process(name, [path, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ledger", "none", "--users-max",
                                          str(max(connections, 1000)), "--connections-max", str(connections), "--quiet"], folder)
    else:
        server = _Plain(name, [path, "--port", "0", "--connections-max", str(connections), *PLAIN[name][1]], folder)
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
