"""The story: start, connect, the steps of load, settle, stop. Drives the processes and takes the samples; judges nothing."""

import math
import os
import re
import sqlite3
import tempfile
import time

from ..common import exit_codes, processes, units
from ..common.documents import get
from ..ledger import files, totals
from . import options as options_module
from . import envelopes, seconds, serving, show, watching

LEAD_S = 3              # a phase is announced to every process this long before its first second
SETTLE_S = 20           # for the last answers and opens
CONNECTS_PER_S = 10_000  # that a profile's start is set by; they are more
SAMPLE_OFFSET_S = 0.25  # after a second's end, so that its counts are in
_JUDGED = (exit_codes.DONE, exit_codes.BAD_VERDICT, exit_codes.DOES_NOT_RECONCILE)  # the program's report says why
_PROFILE = re.compile(r"profile .*: ([\d,]+) requests of all in (\w+), target")


class CouldNotRun(Exception):
    """The run cannot go on; the text says why."""


class Story:
    def __init__(self, options, build, folder, ledger=None):
        """`ledger`: the file the server keeps its money in, or None."""
        self.options = options
        self.ledger = ledger
        self.ledger_before = None  # the sums that stood in it
        self.ledger_now = None     # what this run has added, read after the server's end
        self.build = build
        self.folder = folder
        self.server = None
        self.clients = []
        self.watch = None  # the monitor, if there is to be one
        self.memory = {}
        self.cpu_samples = []  # (unix time, server's CPU seconds, clients' CPU seconds)
        self.phase_starts = []
        self.started_s = time.time()
        self.processors = None  # processors.measure, before the run
        self.facts = None       # preflight.read_facts, before the run
        self.ended_s = None  # when the load ended, in whatever way
        self._kills = list(options.kill_server)
        self._joined = Joined()
        self._fen = {"given": 0, "got": 0}
        self._rows = show.Rows()
        self._status_wanted = False
        self._profile_start = 0
        self._may_end = False  # clients, by themselves

    # -- the parts, in order

    def run(self):
        self.prepare()
        self.start_watch()
        self.start_server()
        self.start_clients()
        self.connect()
        if self.options.profile is not None:
            self.follow_profile()
        else:
            self.load()
            self.settle()

    def prepare(self):
        left = processes.settle_sockets(few=200, timeout_s=min(60, 1 + self.options.users // 10_000))
        if left > 1000:
            show.note(f"{left:,} TCP sockets are in use on this machine by something else")
        self.read_earlier_ledger()
        self.measure_bases()
        self.memory["kernel_before"] = processes.kernel_memory()

    def read_earlier_ledger(self):
        """A ledger that was named may hold an earlier run's money, which is not this one's."""
        if self.ledger and os.path.exists(self.ledger):
            try:
                self.ledger_before = totals.read(self.ledger, self.folder)
            except files.InUse as error:
                raise CouldNotRun(f"{error}: a ledger belongs to one server") from None
            except (OSError, sqlite3.Error) as error:
                raise CouldNotRun(f"the ledger {self.ledger} could not be read: {error}") from None

    def measure_bases(self):
        """The memory of each program with next to no users: what it grows by beyond that, tables made at its start included, is
        counted as its connections'."""
        with tempfile.TemporaryDirectory() as folder:
            ledger = os.path.join(folder, "ledger.sqlite") if self.ledger else None
            server = processes.Process("server", self._server_arguments(users=1, connections=1, ledger=ledger), folder)
            client = None
            try:
                server.wait_ready()
                client = processes.Process("client", self._client_arguments(server.listen, 0, 0, 1, ["--qps", "0", "--duration", "24h"]), folder)
                client.wait_ready()
                while not client.ready():
                    client.check_alive()
                    time.sleep(0.02)
                self.memory["server_base"], self.memory["client_base"] = server.rss_bytes(), client.rss_bytes()
            finally:
                for process in (client, server):
                    if process:
                        process.terminate()
                        process.wait(5)
                        process.kill()

    def _server_arguments(self, users, connections, ledger, port=0):
        arguments = [os.path.join(self.build, "server", "hongbao-server"), "--listen", f"127.0.0.1:{port}", "--admin", "127.0.0.1:0",
                     "--users-max", str(users), "--connections-max", str(connections),
                     "--ledger", f"sqlite:{ledger}" if ledger else "none",
                     "--idle-timeout", "0"]  # few requests over many users: a user may be silent for long
        return arguments + ["--workers", str(self.options.workers), *self.options.server_flags]

    def _rate_arguments(self):
        """Steps of load are posted one by one; a profile is the clients' to follow, from a second that all are told beforehand."""
        o = self.options
        if o.profile is None:
            return ["--qps", "0", "--duration", "24h"]
        self._profile_start = math.ceil(time.time()) + 2 * LEAD_S + o.users // min(o.connect_rate or CONNECTS_PER_S, CONNECTS_PER_S)
        seconds = o.phases[0].seconds
        return ["--profile", o.profile, "--at", str(self._profile_start), *(["--qps", str(o.profile_qps)] if o.profile_qps else []),
                *(["--duration", f"{seconds}s"] if seconds else [])]

    def _client_arguments(self, server, first, last, total, rate):
        arguments = [os.path.join(self.build, "client", "hongbao-client"), "--server", server, "--users", f"{first}-{last}/{total}",
                     *rate, "--protocol", str(self.options.protocol), "--admin", "127.0.0.1:0"]
        return arguments + ["--workers", str(self.options.workers), *self.options.client_flags]

    def start_watch(self):
        if self.options.monitor:
            self.watch = watching.Watch(self.build, self.folder, self.options.own_network)
            self.watch.start()

    def _watched(self):
        return self.watch.flags if self.watch else []

    def start_server(self):
        users = self.options.users
        slack = max(users // 50, 100)  # a reconnecting user may hold two connections for a moment
        port = files.free_port() if self.ledger else 0  # with a ledger it may have to come back to the same one
        arguments = self._server_arguments(users, users + slack, self.ledger, port) + self._watched()
        self.server = serving.Server(arguments, self.folder, self.ledger)
        self.server.wait_ready()
        if not self.server.listen:
            raise CouldNotRun("the server's ready line names no address to connect to")
        show.line("server", f"{self.server.listen}, admin http://{self.server.admin}/v1/status (pid {self.server.pid})")
        show.line("ledger", self.ledger or "none: money lives as long as the server")

    def start_clients(self):
        o = self.options
        ranges, rate = options_module.user_ranges(o.users, o.clients), self._rate_arguments()
        for index, (first, last) in enumerate(ranges):
            arguments = self._client_arguments(self.server.listen, first, last, o.users, rate) + self._watched()
            arguments += ["--connect-rate", str(max(o.connect_rate // o.clients, 1))] if o.connect_rate else []
            if o.clients > 1:
                # Clients know nothing of each other: without sources of its own, each would fill the others' ports.
                arguments += ["--source", f"127.{index + 1}.0.1-127.{index + 1}.3.254"]
            name = "client" if o.clients == 1 else f"client-{index}"
            self.clients.append(processes.Process(name, arguments, self.folder))
        for client in self.clients:
            client.wait_ready()
            show.line(client.name, f"admin http://{client.admin}/v1/status (pid {client.pid})")

    def connect(self):
        o = self.options
        started = time.monotonic()
        limit_s = 60 + o.users / 5_000 + (o.users / o.connect_rate if o.connect_rate else 0)
        shown = -1
        while not all(client.ready() for client in self.clients):
            self.check_alive()
            self._answer()
            elapsed = time.monotonic() - started
            if int(elapsed) != shown:
                shown = int(elapsed)
                self._show_connecting(elapsed)
            if elapsed > limit_s:
                raise CouldNotRun(f"not all users were connected after {limit_s:.0f} s; {self._connected_text()}")
            time.sleep(0.1)
        show.line("connect", self._connected_text())
        time.sleep(1.0)  # the last logins' buffers are given back
        self.memory["server_full"] = self.server.rss_bytes()
        self.memory["clients_full"] = [client.rss_bytes() for client in self.clients]
        self.memory["kernel_full"] = processes.kernel_memory()
        connections = [get(client.status(), "connections", {}) for client in self.clients]
        established = sum(c.get("established", 0) for c in connections)
        if established < o.users:
            raise CouldNotRun(f"only {established:,} of {o.users:,} users could connect; {self._connected_text()}")

    def load(self):
        start = math.ceil(time.time()) + LEAD_S
        for number, phase in enumerate(self.options.phases):
            self.announce(number, phase, start)
            self.phase_starts.append(start)
            # The next phase is announced while this one still runs: its first second must not be late.
            self.sample_until(start + phase.seconds - LEAD_S)
            start += phase.seconds
        self.post_rate(0, start, "end")
        self.sample_until(start)

    def follow_profile(self):
        """The clients follow it, wait for their answers and end by themselves."""
        o, start = self.options, self._profile_start
        with open(self.clients[0].log_path, encoding="utf-8", errors="replace") as log:
            told = _PROFILE.search(log.read())
        if not told:
            raise CouldNotRun("the client did not say how long its profile is")
        seconds = sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([hms])", told.group(2)))
        if time.time() > start - 1:
            raise CouldNotRun("the users were connected only after the profile's start: give them more time with a lower --connect-rate")
        o.phases = [options_module.Phase("profile", 0, seconds)]
        rates = envelopes.rates(self.clients[0].profile(), seconds)
        if o.shake_rate is None:  # a profile has no slowest step; the plain run's has half of the rate of its last one
            o.shake_rate = options_module.shake_rate(max(rates, default=0) // 2)
        show.line("phase", f"profile {o.profile}: {told.group(1)} requests in {seconds} s, at its peak with {o.shake_rate:,} shake envelopes/s and "
                  f"{o.gift_rate:,} gifts/s to {o.gift_users} users")
        self.phase_starts.append(start)
        self.follow_with_envelopes(rates, start)
        self.sample_until(start + seconds - 1)
        self._may_end = True
        deadline = time.monotonic() + SETTLE_S + o.users / 10_000
        while any(client.alive() for client in self.clients) and time.monotonic() < deadline:
            self.pause(time.time() + 0.1)
        self.check_alive()
        self._show(self._last_rows())

    def follow_with_envelopes(self, rates, start):
        """Orders envelopes of both kinds as the profile goes, each some seconds before they are due."""
        o = self.options
        waiting = [(*order, kind) for kind, rate in (("shake", o.shake_rate), ("gift", o.gift_rate)) for order in envelopes.orders(rates, rate)]
        for number, (second, _, count, rate, kind) in enumerate(sorted(waiting)):
            if start + second - LEAD_S > time.time():
                self.sample_until(start + second - LEAD_S)
            more = dict(users=o.gift_users, first_user=0, last_user=o.users - 1) if kind == "gift" else {}
            self.server.post(f"/v1/envelopes/{kind}", rate=rate, count=count, at=start + second, seed=o.seed + number, **more)

    def _last_rows(self):
        """The seconds that were not asked for before the clients ended, from what they left."""
        self._joined.add(self.server.name, self.server.series(self._joined.newest(self.server.name)))
        for client in self.clients:
            newest = self._joined.newest(client.name)
            self._joined.add(client.name, [row for row in get(client.report(), "series", []) if row["unix_s"] > newest])
        return self._taken()

    def settle(self):
        """Until nothing is under way: no request unanswered, no gift that could still be opened."""
        deadline = time.monotonic() + SETTLE_S
        still, before = 0, None
        while time.monotonic() < deadline:
            self.sample_until(time.time() + 0.5)
            client = [client.status() for client in self.clients]
            server = self.server.status()
            waiting = sum(get(c, "requests.outstanding") for c in client)
            opened = sum(get(c, "gifts.opened") for c in client)
            left = get(server, "gifts.left_shares")
            if waiting == 0 and left == 0 and opened == get(server, "gifts.opened") and not self.server.restarts:
                return
            now = (waiting, opened, left)
            still = still + 1 if now == before else 0
            before = now
            if waiting == 0 and still >= 5:
                return

    def stop(self, hurry=False):
        """Ends the clients, then the server, each by SIGTERM and with time to write its report. Returns what went wrong."""
        wrong = []
        patience_s = 5 if hurry else 40 + self.options.users / 50_000
        for group in (self.clients, [self.server] if self.server else []):
            was_alive = [process.alive() for process in group]
            for process in group:
                process.terminate()
            for process, alive in zip(group, was_alive):
                if not process.wait(patience_s):
                    wrong.append(f"{process.name} did not end {patience_s:.0f} s after SIGTERM and was killed")
                    process.kill()
                elif alive and process.process.returncode not in (*_JUDGED, exit_codes.TERMINATED, exit_codes.INTERRUPTED):
                    wrong.append(f"{process.name} {process.how_ended()}: {process.last_words()}")
        return wrong

    def read_ledger(self):
        """After the server's end: what this run has added to the file. Returns what went wrong."""
        if self.ledger is None or self.server is None or not os.path.exists(self.ledger):
            return ""
        try:
            self.ledger_now = totals.since(self.ledger_before, totals.read(self.ledger, self.folder))
            return ""
        except (files.InUse, OSError, sqlite3.Error) as error:
            return f"the ledger {self.ledger} could not be read: {error}"

    def kill(self):
        for process in [*self.clients, self.server, self.watch]:
            if process:
                process.kill()

    # -- their tools

    def check_alive(self):
        self.server.check_alive()
        for client in self.clients:
            if not self._may_end or client.alive() or client.process.returncode not in _JUDGED:  # its report says why
                client.check_alive()

    def announce(self, number, phase, start):
        o = self.options
        self.post_rate(phase.qps, start, phase.name)
        self.order_envelopes(number, phase.seconds, start)
        show.line("phase", f"{phase.name}: {phase.qps:,} requests/s for {phase.seconds} s, with {o.shake_rate:,} shake envelopes/s and "
                  f"{o.gift_rate:,} gifts/s to {o.gift_users} users")

    def order_envelopes(self, number, seconds, start):
        o = self.options
        if o.shake_rate:
            self.server.post("/v1/envelopes/shake", rate=o.shake_rate, count=o.shake_rate * seconds, at=start,
                             seed=o.seed + 2 * number)
        if o.gift_rate:
            self.server.post("/v1/envelopes/gift", rate=o.gift_rate, count=o.gift_rate * seconds, users=o.gift_users,
                             first_user=0, last_user=o.users - 1, at=start, seed=o.seed + 2 * number + 1)

    def post_rate(self, qps, at, name):
        for client in self.clients:
            client.post("/v1/qps", qps=qps, at=at, name=name)

    def _connected_text(self):
        found = [get(client.status(), "connections", {}) for client in self.clients if client.alive()]
        established = sum(c.get("established", 0) for c in found)
        seconds = max([c.get("seconds") or 0 for c in found], default=0)
        failed = {}
        for c in found:
            for name, count in (c.get("failed") or {}).items():
                failed[name] = failed.get(name, 0) + count
        text = f"{established:,} / {self.options.users:,}"
        if seconds:
            text += f"  in {seconds:.1f} s  ({units.short(int(established / seconds))}/s)"
        return text + "  " + (", ".join(f"{name} {count:,}" for name, count in failed.items()) or "none failed")

    def _show_connecting(self, elapsed):
        found = [get(client.status(), "connections.established") for client in self.clients]
        if elapsed >= 1:
            show.line("connect", f"{sum(found):,} / {self.options.users:,}  after {elapsed:.0f} s")

    def sample_until(self, until):
        """Takes a sample and prints a row after each second that ends before `until` (unix time)."""
        while True:
            now = time.time()
            due = math.floor(now - SAMPLE_OFFSET_S) + 1 + SAMPLE_OFFSET_S
            if due > until + SAMPLE_OFFSET_S:
                self.pause(until)
                return
            self.pause(due)
            self.sample()

    def pause(self, until):
        """Until then (unix time), but not for the server: it is killed when that is asked for, and started again when it has ended."""
        while True:
            strike = self.phase_starts[0] + self._kills[0] if self._kills and self.phase_starts else math.inf
            self._answer()
            if self.server.wait(max(min(until, strike) - time.time(), 0)):
                self.server.check_alive()
            if time.time() >= strike:
                self._kills.pop(0)
                self.server.strike()
            elif time.time() >= until:
                return

    def sample(self):
        """Takes the CPU times, and prints a row for each second that every process has finished."""
        self.check_alive()
        if self.watch:
            self.watch.look()
        self.cpu_samples.append((time.time(), self.server.cpu_s(), sum(client.cpu_s() for client in self.clients)))
        try:
            for process in [self.server, *self.clients]:
                self._joined.add(process.name, process.series(self._joined.newest(process.name)))
        except processes.AdminError as error:
            self.check_alive()
            show.note(f"no row for this second: {error}")
            return
        self._show(self._taken())

    def _taken(self):
        return self._joined.take([self.server.name, *(client.name for client in self.clients)])

    def _show(self, taken):
        for second, server, clients in taken:
            row = seconds.joined(second, server, clients, 1 + len(clients), self._fen)
            if self.server.restarts:  # it has taken along what it gave in its last moments: only the ledger knows the whole
                row.update(given_total_fen=None, difference_fen=None)
            if self.phase_starts and second >= self.phase_starts[0]:  # before it nothing happens
                self._rows.json(row) if self.options.json else self._rows.row(row)

    # -- a word in between

    def want_status(self, *_):
        """SIGUSR1. The answer is given where the run waits, within a second."""
        self._status_wanted = True

    def _answer(self):
        if self._status_wanted:
            self._status_wanted = False
            show.note(self.status_text(), "status")

    def status_text(self):
        """Where the run is and what it has counted so far."""
        now, phase = time.time(), "no load yet"
        for started, one in zip(self.phase_starts, self.options.phases):
            if started <= now < started + one.seconds:
                phase = f"phase {one.name}, second {int(now - started) + 1} of {one.seconds}"
        if self.phase_starts and now >= self.phase_starts[-1] + self.options.phases[len(self.phase_starts) - 1].seconds:
            phase = "after the load"
        try:
            client = [client.status() for client in self.clients]
            sums = {key: sum(get(c, f"requests.{key}") for c in client) for key in ("sent", "answered", "missed", "late", "lost")}
        except (processes.AdminError, processes.Died) as error:
            return f"{phase}; {error}"
        online = sum(get(c, "connections.live") for c in client)
        difference = "unknown since the server was killed" if self.server.restarts else units.yuan(self._fen["given"] - self._fen["got"])
        return (f"{phase}; {online:,} of {self.options.users:,} users; " + ", ".join(f"{count:,} {key}" for key, count in sums.items()) +
                f"; {sum(get(c, 'won.count') for c in client):,} won; given - got {difference} yuan; report in {self.folder}")

    def cpu_between(self, start, end):
        """(server's, clients') cores used from `start` to `end`, from the samples nearest to them."""
        if len(self.cpu_samples) < 2:
            return 0.0, 0.0
        first = min(self.cpu_samples, key=lambda sample: abs(sample[0] - start))
        last = min(self.cpu_samples, key=lambda sample: abs(sample[0] - end))
        elapsed = last[0] - first[0]
        if elapsed <= 0:
            return 0.0, 0.0
        return (last[1] - first[1]) / elapsed, (last[2] - first[2]) / elapsed


class Joined:
    """Rows per second of several processes, handed out when all have told of that second."""

    def __init__(self):
        self._rows = {}    # second -> {process: row}
        self._newest = {}  # process -> the newest second it told of
        self._taken = None

    def newest(self, name):
        return self._newest.get(name, 0)

    def add(self, name, rows):
        for row in rows:
            self._newest[name] = max(self.newest(name), row["unix_s"])
            self._rows.setdefault(row["unix_s"], {})[name] = row

    def take(self, names):
        """[(second, first process's row, the others' rows)], oldest first; a second that a process has no row for is passed over
        when a later one is complete."""
        taken = []
        for second in sorted(self._rows):
            found = self._rows[second]
            if all(name in found for name in names):
                taken.append((second, found[names[0]], [found[name] for name in names[1:]]))
        for second in [second for second in self._rows if taken and second <= taken[-1][0]]:
            del self._rows[second]
        return taken
