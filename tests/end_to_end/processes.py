"""Real processes for the tests: start on free ports, ask over HTTP, stop, read the report. Only what was started is ended."""

import functools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from hongbao_tools.common import processes  # noqa: E402

# For a client that is not there to be judged: the machine may be busy, and tests stop what others measure.
ANY_COUNTS = "superseded>=0,missed>=0,unanswered>=0,refused>=0"
ANY_SCHEDULE = ANY_COUNTS + ",held>=0%"  # where there is a rate to be held
TIMEOUT_S = int(os.environ.get("HONGBAO_TEST_TIMEOUT_S", "120"))  # of waits for a condition; the machine may be busy and the binaries slow (sanitizers)
SERVER = os.environ.get("HONGBAO_SERVER", str(ROOT / "build/server/hongbao-server"))
CLIENT = os.environ.get("HONGBAO_CLIENT", str(ROOT / "build/client/hongbao-client"))
MONITOR = os.environ.get("HONGBAO_MONITOR", str(ROOT / "build/tools/monitor/hongbao-monitor"))
# Whether the binaries' memory is a sanitizer's: terabytes of addresses, and what was freed stays for a while.
SANITIZED = os.environ.get("HONGBAO_SANITIZE", "none") != "none"
_SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|LeakSanitizer|WARNING: ThreadSanitizer")
die_with_parent = functools.partial(processes.die_with_parent, signal.SIGKILL)  # a test that is killed leaves nothing behind
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, and what they start would inherit it


def wait_until(condition, what, timeout_s=TIMEOUT_S):
    """The condition's first true value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {timeout_s} s: {what}")
        time.sleep(0.02)


class Process(processes.Process):
    """One hongbao-server or hongbao-client."""

    def __init__(self, binary, flags, folder, name, environment=None, open_files=None, file_bytes=None):
        def prepare():
            die_with_parent()
            if open_files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
            if file_bytes is not None:  # a disk that is full: writing beyond it fails
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

        super().__init__(name, [binary, *flags], folder, environment, prepare=prepare)

    @property
    def port(self):
        return self.listen and int(self.listen.rpartition(":")[2])

    @property
    def admin_port(self):
        return self.admin and int(self.admin.rpartition(":")[2])

    def wait_ready(self, timeout_s=TIMEOUT_S):
        super().wait_ready(timeout_s)
        return self

    # ---- admin ----

    def http(self, method, path, **parameters):
        """(status code, body as text)."""
        target = path + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
        code, body = self._request(method, target, TIMEOUT_S)
        return code, body.decode()

    def order(self, method, path, **parameters):
        code, body = self.http(method, path, **parameters)
        assert code in (200, 201), f"{method} {path} {parameters}: {code} {body}"
        return json.loads(body)

    def status(self, timeout_s=TIMEOUT_S):
        return super().status(timeout_s)

    def wait_status(self, condition, what):
        """The first status page for which the condition holds."""
        page = {}

        def look():
            page.update(self.status())
            return condition(page)
        try:
            wait_until(look, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.name} ({self.state()}): {json.dumps(page)}") from None
        return page

    def state(self):
        """As the kernel names it; "T (stopped)" means that somebody else has sent SIGSTOP."""
        try:
            with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
                return next(line.split(maxsplit=1)[1].strip() for line in file if line.startswith("State:"))
        except OSError:
            return "gone"

    def set_rate(self, qps, at=None, name=None):
        extra = {**({} if at is None else {"at": at}), **({} if name is None else {"name": name})}
        return self.order("POST", "/v1/qps", qps=qps, **extra)

    def shakes(self, **parameters):
        return self.order("POST", "/v1/envelopes/shake", **parameters)

    def gifts(self, **parameters):
        return self.order("POST", "/v1/envelopes/gift", **parameters)

    # ---- end ----

    def send_signal(self, number):
        self.process.send_signal(number)

    def exit_code(self):
        """Waits for its end; nothing that a sanitizer found may be in the log."""
        code = self.process.wait(TIMEOUT_S)
        found = _SANITIZER.search(self.log())
        assert not found, f"{self.name}: {self.log()[found.start():][:6000]}"
        return code

    def stop(self, number=signal.SIGTERM, code=0):
        """Ends it by the signal and returns its report, all of whose identities must hold."""
        self.send_signal(number)
        return self.finish(code)

    def finish(self, code=0):
        """Waits for its own end. One that was told to end need not have come to what passes."""
        got = self.exit_code()
        assert got == code, f"{self.name} ended with {got} instead of {code}: {self.log()[-3000:]}"
        report = self.report()
        broken = [name for name, holds in report["identities"].items() if not holds]
        assert not broken and (report["verdict"] == "pass" or code != 0), f"{self.name}: {broken}: {json.dumps(report)[:6000]}"
        return report


class EndToEndTest(unittest.TestCase):
    """Starts processes in a folder of its own and ends what is left of them."""

    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hongbao-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self._started = 0

    def _start(self, binary, kind, flags, options, kind_of=Process):
        self._started += 1
        name = f"{kind}{self._started}"
        process = kind_of(binary, [*map(str, flags)], self.folder, name, **options)
        self.addCleanup(process.kill)
        return process

    def server(self, *flags, wait=True, **options):
        """A server for 10,000 users; flags given twice: the last one counts."""
        defaults = {"--listen": "127.0.0.1:0", "--admin": "127.0.0.1:0", "--users-max": "10k",
                    "--connections-max": "2k", "--workers": "2", "--queue-wait-max": "0"}
        process = self._start(SERVER, "server", [*_merge(defaults, flags), "--quiet"], options)
        return process.wait_ready() if wait else process

    def client(self, server, *flags, wait=True, **options):
        """A client of `server` (a Process, or a port)."""
        port = server.port if isinstance(server, Process) else server
        scheduled = "--requests" not in flags and "max" not in flags
        defaults = {"--server": f"127.0.0.1:{port}", "--admin": "127.0.0.1:0", "--users": "100", "--qps": "0",
                    "--duration": "0", "--workers": "2", "--late-max": "1h", "--fail-if": ANY_SCHEDULE if scheduled else ANY_COUNTS}
        process = self._start(CLIENT, "client", [*_merge(defaults, flags), "--quiet"], options)
        return process.wait_ready() if wait else process

    def connected(self, client):
        return client.wait_status(lambda page: page["connections"]["done"], "all users are logged in")


class MonitorProcess(Process):
    """A hongbao-monitor; its rows are in rows(), its files where it was told."""

    address = csv_path = sources_path = None

    def close(self, code=0):
        """Ends it, and returns its report."""
        self.send_signal(signal.SIGTERM)
        got = self.exit_code()
        assert got == code, f"{self.name} ended with {got} instead of {code}: {self.log()[-3000:]}"
        return self.report()


class MonitoredTest(EndToEndTest):
    def monitor(self, *flags, csv=None):
        csv_path = csv or os.path.join(self.folder, "monitor.csv")
        sources_path = os.path.join(self.folder, "sources.csv")
        defaults = {"--listen": "127.0.0.1:0", "--admin": "127.0.0.1:0", "--csv": csv_path, "--sources-csv": sources_path, "--fail-if": ANY_COUNTS}
        process = self._start(MONITOR, "monitor", _merge(defaults, flags), {}, kind_of=MonitorProcess).wait_ready()
        process.address, process.csv_path, process.sources_path = f"127.0.0.1:{process.port}", csv_path, sources_path
        return process


def _merge(defaults, flags):
    """A flag with the value None is left out, also of the defaults."""
    left_out = {flag for flag, value in zip(flags, flags[1:]) if value is None}
    flags = [str(flag) for flag in flags if flag is not None and flag not in left_out]
    for name, value in defaults.items():
        if name not in flags and name not in left_out:
            flags += [name, value]
    return flags


def run(binary, *flags, environment=None):
    """Runs to its end: (exit code, stdout, stderr)."""
    done = subprocess.run([binary, *map(str, flags)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT_S, env={**os.environ, **(environment or {})})
    assert not _SANITIZER.search(done.stderr), done.stderr
    return done.returncode, done.stdout, done.stderr


def main():
    unittest.main(verbosity=2)
