"""The server and the clients as processes: start, ready line, admin commands, memory and CPU, end."""

import ctypes
import http.client
import json
import os
import re
import signal
import subprocess
import time
import urllib.parse

_ADMIN = re.compile(r"\badmin (?:on )?(?:http://)?(\S+:\d+)")
_LISTEN = re.compile(r"\blistening on (\S+:\d+)")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_TICKS = os.sysconf("SC_CLK_TCK")


class Died(Exception):
    """A process ended when it should not have; the text says which, how, and its last words."""


class AdminError(Exception):
    """An admin command was refused or not answered."""


def die_with_parent(number=signal.SIGTERM):
    """Between fork and exec: if this program is killed outright, its children get the signal and do not run on for ever."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)


def parse_ready(text):
    """The ready line's addresses in what a program wrote to stderr so far: (listen or None, admin), or None before it came."""
    for line in text.splitlines():
        if "ready" in line or "admin" in line:
            admin = _ADMIN.search(line)
            if admin:
                listen = _LISTEN.search(line)
                return (listen.group(1) if listen else None), admin.group(1)
    return None


def parent_and_cpu_s(pid):
    """The process id of its parent, and the user and system seconds of all its threads so far; zeros when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS
    except (OSError, IndexError):
        return 0, 0.0


class Process:
    takes_report = True

    def __init__(self, name, arguments, folder, environment=None, stem=None, prepare=die_with_parent):
        """Starts `arguments`; stderr and the rows go to files in `folder`, called `stem` (or as the process). `environment`: beyond
        our own. `prepare` is called between fork and exec."""
        self.name, self.arguments, self.listen, self.admin = name, list(arguments), None, None
        self.report_path, self.log_path, self.rows_path = (os.path.join(folder, (stem or name) + end) for end in (".json", ".log", ".rows.txt"))
        if self.takes_report and "--report" not in self.arguments:
            self.arguments += ["--report", self.report_path]
        with open(self.log_path, "wb") as log, open(self.rows_path, "wb") as rows:
            # A session of its own: Ctrl-C goes to this program alone, which ends the others in order.
            self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=rows, stderr=log, start_new_session=True,
                                            preexec_fn=prepare, env={**os.environ, **(environment or {})})
        self.pid = self.process.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def rows(self):
        with open(self.rows_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def last_words(self):
        try:
            lines = [line.strip() for line in self.log()[-4000:].splitlines() if line.strip()]
        except OSError:
            lines = []
        return " | ".join(lines[-3:]) or "it said nothing"

    def alive(self):
        return self.process.poll() is None

    def how_ended(self):
        code = self.process.poll()
        if code is None:
            return "runs"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def check_alive(self):
        if not self.alive():
            killed = self.process.returncode < 0  # then its last words have nothing to do with its end
            raise Died(f"{self.name} {self.how_ended()}" + ("" if killed else f": {self.last_words()}"))

    def addresses(self):
        """(listen or None, admin) once it is ready, else None."""
        return parse_ready(self.log())

    def wait_ready(self, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.addresses()
            if found:
                self.listen, self.admin = found
                return
            self.check_alive()
            time.sleep(0.01)
        raise Died(f"{self.name} was not ready after {timeout_s} s: {self.last_words()}")

    def _request(self, method, path, timeout_s):
        host, port = self.admin.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.check_alive()
            raise AdminError(f"{self.name}: {method} {path}: {error}") from None
        finally:
            connection.close()

    def status(self, timeout_s=5):
        code, body = self._request("GET", "/v1/status", timeout_s)
        if code != 200:
            raise AdminError(f"{self.name}: /v1/status answered {code}: {body[:200]!r}")
        return json.loads(body)

    def profile(self):
        """A client's --profile as it worked it out: [(seconds from the start, requests/s), ...]."""
        code, body = self._request("GET", "/v1/profile", 5)
        if code != 200:
            raise AdminError(f"{self.name}: /v1/profile answered {code}: {body[:200]!r}")
        return [tuple(step) for step in json.loads(body)["steps"]]

    def series(self, after):
        """The rows of the finished seconds after `after`."""
        code, body = self._request("GET", f"/v1/series?after={after}", 5)
        if code != 200:
            raise AdminError(f"{self.name}: /v1/series answered {code}: {body[:200]!r}")
        return json.loads(body)["series"]

    def post(self, path, timeout_s=10, **parameters):
        target = f"{path}?{urllib.parse.urlencode(parameters)}"
        code, body = self._request("POST", target, timeout_s)
        if code not in (200, 201):
            raise AdminError(f"{self.name}: POST {target} answered {code}: {body.decode(errors='replace').strip()}")
        return json.loads(body)

    def delete_or_get(self, method, path, **parameters):
        """(status code, the document)."""
        code, body = self._request(method, f"{path}?{urllib.parse.urlencode(parameters)}", 10)
        return code, json.loads(body)

    def ready(self):
        return self._request("GET", "/-/ready", 5)[0] == 200

    def rss_bytes(self):
        try:
            with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except OSError:
            return 0

    def cpu_s(self):
        """User and system seconds of all its threads so far."""
        return parent_and_cpu_s(self.pid)[1]

    def terminate(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s):
        """True when it has ended in time."""
        try:
            self.process.wait(timeout_s)
            return True
        except subprocess.TimeoutExpired:
            return False

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()

    def report(self):
        """The report it wrote, or None."""
        try:
            with open(self.report_path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return None


def kernel_memory():
    """(slab that cannot be reclaimed, TCP buffers) in bytes: where the kernel keeps sockets and armed receives."""
    slab = 0
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("SUnreclaim:"):
                slab = int(line.split()[1]) * 1024
    return slab, tcp_sockets()[1] * os.sysconf("SC_PAGESIZE")


def tcp_sockets():
    """(sockets in use or orphaned, pages of buffers) from /proc/net/sockstat."""
    with open("/proc/net/sockstat", encoding="ascii") as file:
        for line in file:
            if line.startswith("TCP:"):
                words = line.split()
                fields = dict(zip(words[1::2], map(int, words[2::2])))
                return fields.get("inuse", 0) + fields.get("orphan", 0), fields.get("mem", 0)
    return 0, 0


def settle_sockets(few, timeout_s):
    """Waits until an earlier run's sockets are gone: `few` or fewer are left, or their number stands still. Returns the number."""
    deadline = time.monotonic() + timeout_s
    before = None
    still = 0
    while True:
        now = tcp_sockets()[0]
        still = still + 1 if now == before else 0
        if now <= few or still >= 10 or time.monotonic() >= deadline:
            return now
        before = now
        time.sleep(0.5)
