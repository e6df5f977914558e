"""The loop: one client for all of it, a server for each round, kills, and a quiet end."""

import collections
import itertools
import os
import signal
import time

from ..common import exit_codes, processes
from ..common.documents import get
from ..ledger import files
from . import proof as proof_module

SHAKE_SHARE = 4          # of so many requests one may win
GIFTS_PER_S = 200
NEVER_COME = 10          # one in so many more users is invited and never logs in: their shares expire and go back
GIFT_EXPIRY = "4s"
TIMEOUT_S = 120          # of waits that end in a moment on any machine


class CouldNotRun(Exception):
    """The loop cannot go on; the text says why."""


class DoesNotReconcile(Exception):
    """A server refused its own file."""


class Loop:
    def __init__(self, options, kills, build, folder):
        self.options, self.kills, self.folder = options, kills, folder
        self.ledger = os.path.join(folder, "ledger.sqlite")
        self.money_log = os.path.join(folder, "money.csv")
        self.server_binary = os.path.join(build, "server", "hongbao-server")
        self.client_binary = os.path.join(build, "client", "hongbao-client")
        self.port = files.free_port()
        self.server = self.client = None
        self.receipts = []  # (first id, is gift, count) of confirmed orders
        self.cancelled = {}  # first id -> how many shares of it were confirmed as cancelled
        self.to_cancel = []
        self.keys = itertools.count()
        self.by_point = collections.Counter()
        self.proof = proof_module.Proof(self.ledger, self.money_log, self.server_binary)
        self.done = 0

    # -- the parts, in order

    def run(self):
        self.start_server("first", {})
        self.await_ready()
        self.start_client()
        self.end_server()  # an orderly end is a round's beginning too
        print(f"{'round':>5} {'point':<14} {'passing':>7} {'recovered ms':>12} {'served ms':>9} {'grants':>9} {'online':>7}", flush=True)
        for number, kill in enumerate(self.kills, 1):
            self.round(number, kill)
            self.done = number
            if number % self.options.check_every == 0 and number < len(self.kills):
                self.look(number)
        self.look(len(self.kills))
        self.quiet_end()

    def round(self, number, kill):
        begun = time.monotonic()
        self.start_server(f"server-{number}", kill.environment)
        recovered_ms, point = "-", kill.point
        if kill.point == "start":
            time.sleep(kill.after_s)
        elif kill.point == "recovery":
            self.await_death(kill.patience_s)
        elif self.await_ready(kill):
            recovered_ms = f"{(time.monotonic() - begun) * 1000:.0f}"
            point = self.serve(kill)
        served = time.monotonic()
        self.server.kill()
        if self.server.process.returncode != -signal.SIGKILL:
            self.complain_of_end()
        self.client.check_alive()
        self.by_point[point] += 1
        page = self.client.status()
        print(f"{number:>5} {point:<14} {kill.passing or '-':>7} {recovered_ms:>12} {(served - begun) * 1000:>9.0f} "
              f"{get(page, 'won.count') + get(page, 'gifts.opened'):>9,} {get(page, 'connections.live'):>7,}", flush=True)

    def serve(self, kill):
        """Until the kill; its name as it came."""
        try:
            self.order()
            if kill.passing == 0:
                time.sleep(kill.after_s)
                return kill.point
            return kill.point if self.await_death(kill.patience_s) else "not reached"
        except (processes.Died, processes.AdminError):
            return kill.point  # it came while we talked to it

    def look(self, number):
        self.proof.look(self.receipts, self.cancelled)
        print(f"      look after round {number}: {self.proof.grants:,} grants, {len(self.proof.log.lines):,} of them told; "
              f"{'all add up' if not self.proof.failed else 'PROBLEMS'}", flush=True)
        if self.proof.failed:
            raise DoesNotReconcile("a look into the file found problems")

    def quiet_end(self):
        """The last server is not killed: everybody comes back, nothing is under way any more, the client compares."""
        self.start_server("last", {})
        self.await_ready()
        users = self.options.users
        while self.to_cancel:
            self.cancel(self.to_cancel.pop())
        self.wait(lambda: get(self.client.status(), "connections.live") == users, "all users are back")
        self.wait(lambda: get(self.server.status(), "mint_waiting") == 0 and get(self.server.status(), "shake.left") == 0,
                  "all that was ordered is given out")
        self.client.post("/v1/qps", qps=0)
        self.wait(self.nothing_under_way, "every request is answered")
        self.client.terminate()
        if not self.client.wait(TIMEOUT_S):
            raise CouldNotRun("the client did not end")
        self.end_server()
        self.proof.look(self.receipts, self.cancelled, client_users=users)
        report = self.client.report()
        if report is None:
            raise CouldNotRun(f"the client left no report: {self.client.last_words()}")
        self.judge_client(report)

    def judge_client(self, report):
        for name, holds in get(report, "identities", {}).items():
            if not holds:
                self.proof.open_sums.append(f"client: {name}")
        if get(report, "requests.lost") != 0:
            self.proof.lost.append(f"client: {get(report, 'requests.lost')} requests were lost")
        if get(report, "statements.equal") != self.options.users:
            self.proof.open_sums.append(f"client: {get(report, 'statements.equal')} of {self.options.users} statements equal")

    # -- their tools

    def start_server(self, name, environment):
        users = self.options.users + max(self.options.users // NEVER_COME, 3)
        self.server = processes.Process(name, [
            self.server_binary, "--listen", f"127.0.0.1:{self.port}", "--admin", "127.0.0.1:0", "--users-max", str(users),
            "--connections-max", str(2 * users + 100), "--workers", "2", "--queue-wait-max", "0", "--gift-expiry", GIFT_EXPIRY,
            "--ledger", "sqlite:" + self.ledger, "--quiet"], self.folder, environment)

    def await_ready(self, kill=None):
        """False when the kill came before the server could say that it is ready."""
        try:
            self.server.wait_ready(TIMEOUT_S)
            return True
        except processes.Died as error:
            if kill and kill.passing and self.server.process.poll() == -signal.SIGKILL:
                return False
            if self.server.process.poll() == exit_codes.DOES_NOT_RECONCILE:
                raise DoesNotReconcile(str(error)) from None
            raise CouldNotRun(str(error)) from None

    def start_client(self):
        self.client = processes.Process("client", [
            self.client_binary, "--server", f"127.0.0.1:{self.port}", "--admin", "127.0.0.1:0", "--users", str(self.options.users),
            "--qps", str(self.options.qps), "--workers", "1", "--late-max", "1h", "--money-log", self.money_log, "--drain", "60s",
            "--quiet"], self.folder)
        self.client.wait_ready()
        self.wait(self.client.ready, "the first users are connected")

    def order(self):
        """Keeps a second or two of envelopes waiting, so that commits are always under way."""
        shakes = max(self.options.qps // SHAKE_SHARE, 1)
        self.order_and_cancel(shakes)
        to_be_cancelled = sum(self.server.delete_or_get("GET", "/v1/envelopes/orders", id=first)[1]["left"] for first in self.to_cancel)
        if get(self.server.status(), "mint_waiting") - to_be_cancelled > 2 * (shakes + GIFTS_PER_S):
            return
        receipt = self.server.post("/v1/envelopes/shake", rate=shakes, count=shakes)
        self.receipts.append((receipt["first_id"], 0, receipt["count"]))
        receipt = self.server.post("/v1/envelopes/gift", rate=GIFTS_PER_S, count=GIFTS_PER_S, users=3)
        self.receipts.append((receipt["first_id"], 1, receipt["count"]))

    def order_and_cancel(self, rate):
        """An order with a key, placed twice; the one before it is ended while it is being issued. Of either kind in turn."""
        number = next(self.keys)
        kind = ("shake", "gift")[number % 2]
        asked = {"rate": rate, "count": 4 * rate, "key": f"key-{number}", **({"users": 3} if kind == "gift" else {})}
        placed = [self.server.post(f"/v1/envelopes/{kind}", **asked) for _ in range(2)]
        if placed[0] != placed[1]:
            self.proof.doubled.append(f"one key, two orders: {placed}")
        first = placed[0]["first_id"]
        self.receipts.append((first, int(kind == "gift"), placed[0]["count"]))
        self.to_cancel.append(first)
        if len(self.to_cancel) > 1:
            self.cancel(self.to_cancel[0])
            self.to_cancel.pop(0)  # once it is confirmed: after a kill it is tried again

    def cancel(self, first):
        code, shown = self.server.delete_or_get("DELETE", "/v1/envelopes/orders", id=first)
        if code == 200:
            self.cancelled[first] = 0 if shown["kind"] == "gift" else shown["cancelled"]
        elif code != 409:  # all of it was issued
            raise CouldNotRun(f"DELETE of order {first} answered {code}: {shown}")

    def await_death(self, patience_s):
        """True when the server has ended by itself. Orders go on meanwhile."""
        deadline = time.monotonic() + patience_s
        ordered = time.monotonic()
        while time.monotonic() < deadline:
            if not self.server.alive():
                return True
            if self.server.admin and time.monotonic() - ordered > 0.7:
                ordered = time.monotonic()
                self.order()
            time.sleep(0.005)
        return False

    def complain_of_end(self):
        text = f"{self.server.name} {self.server.how_ended()}: {self.server.last_words()}"
        raise DoesNotReconcile(text) if self.server.process.returncode == exit_codes.DOES_NOT_RECONCILE else CouldNotRun(text)

    def end_server(self):
        self.server.terminate()
        if not self.server.wait(TIMEOUT_S) or self.server.process.returncode != exit_codes.DONE:
            self.complain_of_end()

    def nothing_under_way(self):
        page = self.client.status()
        return get(page, "requests.outstanding") == 0 and get(page, "gifts.opens_outstanding") == 0 and get(page, "target_qps") == 0

    def wait(self, condition, what):
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            for process in (self.server, self.client):
                process.check_alive()
            if time.monotonic() > deadline:
                raise CouldNotRun(f"not in {TIMEOUT_S} s: {what}")
            time.sleep(0.05)

    def stop(self):
        """Whatever is left of the processes."""
        for process in (self.client, self.server):
            if process:
                process.kill()

    def result(self):
        """The last lines: what was proven."""
        kills = ", ".join(f"{point} {count}" for point, count in sorted(self.by_point.items()))
        doubled = len(self.proof.doubled)
        return (f"rounds {self.done}, kills by point: {kills or 'none'}; grants {self.proof.grants:,}, lost {len(self.proof.lost):,}, "
                f"doubled {doubled:,}, sums {'open' if self.proof.open_sums else 'closed'}")
