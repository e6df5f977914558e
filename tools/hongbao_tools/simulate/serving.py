"""The server of a run: one process, or, with a ledger, one after another on the same file and the same port."""

import dataclasses
import os
import re
import signal
import time

from ..common import processes
from . import show

_OPENED = re.compile(r"^ledger: .* start (\d+), (\d+) grants", re.MULTILINE)
RESTARTS_MAX = 100  # beyond it something kills it for a reason


@dataclasses.dataclass
class Restart:
    at_unix_s: float  # when the end was noticed
    how: str          # the signal's name
    recovery_ms: int  # from then until the new process served
    grants: int       # in the file
    cpu_s: float      # of the process that ended


class Server:
    def __init__(self, arguments, folder, ledger):
        """`ledger`: the file that `arguments` name, or None: then the end of the process is the end of the run."""
        self.name = "server"
        self.restarts = []
        self._arguments, self._folder, self._ledger = arguments, folder, ledger
        self._cpu_s = 0.0  # as last seen of the present process
        self._rows = {}    # second -> the row told of it
        self._process = processes.Process("server", arguments, folder)

    def __getattr__(self, name):
        return getattr(self._process, name)

    def check_alive(self):
        """Starts it again if a signal has ended it; Died when that is not for us to mend."""
        process = self._process
        if process.alive():
            return
        code = process.process.returncode
        if self._ledger is None or code >= 0 or len(self.restarts) >= RESTARTS_MAX:
            process.check_alive()
        begun = time.time()
        how = signal.Signals(-code).name
        self._process = processes.Process("server", self._arguments, self._folder, stem=f"server-{len(self.restarts) + 2}")
        self._process.wait_ready()
        epoch, grants = self._opened()
        self.restarts.append(Restart(begun, how, round((time.time() - begun) * 1000), grants, self._cpu_s))
        self._cpu_s = 0.0
        show.note(f"the server was killed by {how}; it serves again from the same ledger after {self.restarts[-1].recovery_ms} ms "
                  f"(start {epoch}, {grants:,} grants in the file, pid {self._process.pid})", "restart")

    def _opened(self):
        found = _OPENED.search(self._process.log())
        return (int(found.group(1)), int(found.group(2))) if found else (0, 0)

    def _ask(self, call):
        try:
            return call(self._process)
        except processes.Died:
            self.check_alive()
            return call(self._process)

    def status(self):
        return self._ask(lambda process: process.status())

    def post(self, path, **parameters):
        """An order that is cut off by the end of the process is given again: it may then be carried out twice, never not at all."""
        return self._ask(lambda process: process.post(path, **parameters))

    def series(self, after):
        rows = self._ask(lambda process: process.series(after))
        self._rows.update({row["unix_s"]: row for row in rows})
        return rows

    def cpu_s(self):
        """Of all its processes together."""
        self._cpu_s = self._process.cpu_s() or self._cpu_s
        return self._cpu_s + sum(restart.cpu_s for restart in self.restarts)

    def strike(self):
        """SIGKILL, as asked for by --kill-server."""
        if self._process.alive():
            os.kill(self._process.pid, signal.SIGKILL)

    def report(self):
        """The last process's report, with the rows of those before it."""
        document = self._process.report()
        if document is not None and self.restarts:
            told = {row.get("unix_s"): row for row in document.get("series", [])}
            document["series"] = [row for _, row in sorted({**self._rows, **told}.items())]
        return document
