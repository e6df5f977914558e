"""hongbao-monitor beside a run, which server and clients tell of every second, and tools/nic_monitor, which tells it of the cards.

A run never depends on them: what cannot be started, or ends, is said once, and the run goes on.
"""

import os
import subprocess

from ..common import exit_codes, processes
from ..common.paths import ROOT
from . import show

MONITOR = os.path.join("tools", "monitor", "hongbao-monitor")  # in the build folder
NIC_MONITOR = str(ROOT / "tools" / "nic_monitor")
CSV = "monitor.csv"
STOP_S = 15


class Watch:
    def __init__(self, build, folder, own_network=False):
        self._program = os.path.join(build, MONITOR)
        self._folder, self._own_network = folder, own_network
        self._monitor = self._nic = None
        self.trouble = ""  # why there is none, or no longer

    @property
    def flags(self):
        """For server and clients."""
        return ["--monitor", self._monitor.listen] if self._monitor else []

    @property
    def page(self):
        """The URL, or '' when nobody is there."""
        return f"http://{self._monitor.admin}/" if self._monitor and self._monitor.alive() else ""

    def start(self):
        path = os.path.join(self._folder, CSV)
        if os.path.exists(path):
            os.remove(path)  # an earlier run's: the monitor would go on with it
        try:
            if not os.access(self._program, os.X_OK):
                raise processes.Died(f"{self._program} is not built")
            monitor = processes.Process("monitor", [self._program, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--csv", path], self._folder)
            self._monitor = monitor
            monitor.wait_ready()
        except (processes.Died, OSError) as error:
            self._give_up(f"the run goes without hongbao-monitor: {error}")
            return
        inside = f" (from inside the namespace: nsenter -t {os.getpid()} -n ...)" if self._own_network else ""
        show.line("watch", f"{self.page}   metrics {self.page}metrics   stop with Ctrl-C (report is kept){inside}")
        self._start_nic_monitor()

    def _start_nic_monitor(self):
        if not os.access(NIC_MONITOR, os.X_OK):
            return
        with open(os.path.join(self._folder, "nic.log"), "wb") as log:
            self._nic = subprocess.Popen([NIC_MONITOR, "--quiet", "--monitor", self._monitor.listen], stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=processes.die_with_parent)

    def _give_up(self, trouble):
        self.trouble = trouble
        show.note(trouble)

    def look(self):
        """Says it, once, when the monitor has ended."""
        if self._monitor and not self.trouble and not self._monitor.alive():
            self._give_up(f"the monitor {self._monitor.how_ended()}; the run goes on without it")

    def wait(self, timeout_s):
        """Until the monitor ends or the time is over."""
        return self._monitor.wait(timeout_s) if self._monitor else True

    def stop(self):
        """In order, so that its last rows are in the file."""
        self.look()
        if self._nic and self._nic.poll() is None:
            self._nic.terminate()
        if self._monitor and self._monitor.alive():
            self._monitor.terminate()
            if not self._monitor.wait(STOP_S):
                self._give_up(f"the monitor did not end {STOP_S} s after SIGTERM and was killed")
            elif self._monitor.process.returncode == exit_codes.DOES_NOT_RECONCILE:
                show.note(f"the monitor's own account does not close: {self._monitor.last_words()}")
            elif self._monitor.process.returncode not in (exit_codes.DONE, exit_codes.BAD_VERDICT):  # whoever knows of the kills judges the run
                self._give_up(f"the monitor {self._monitor.how_ended()}: {self._monitor.last_words()}")
        self.kill()

    def kill(self):
        if self._monitor:
            self._monitor.kill()
        if self._nic:
            if self._nic.poll() is None:
                self._nic.kill()
            self._nic.wait()
