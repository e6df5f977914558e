"""What comes to a monitor's port that should not: garbage, halves of records, wrong clocks, a thousand peers at once.

A server and a client are there all the while: their rows go on, and their account closes.
"""

import socket
import struct
import time
import unittest

import processes

RECORD_BYTES = 976
CLIENT, SERVER = 0, 1
LIFE, USERS, END = 52, 50, 57


def record(unix_s, role=CLIENT, counts=None, totals=None):
    """`counts`, `totals`: slot -> value."""
    first, second = [0] * 60, [0] * 60
    for slot, value in (counts or {}).items():
        first[slot] = value
    for slot, value in (totals or {}).items():
        second[slot] = value
    return struct.pack(">122Q", unix_s, role, *first, *second)


def life(number, first_user=5000, users=10):
    """Slots of a client that lives for the first time."""
    return {"counts": {LIFE: number, USERS: first_user}, "totals": {LIFE: number, USERS: users}}


class HostileTest(processes.MonitoredTest):
    def setUp(self):
        super().setUp()
        self.monitor_process = self.monitor()
        self.port = self.monitor_process.port
        self.server_process = self.server("--monitor", self.monitor_process.address)
        self.client_process = self.client(self.server_process, "--qps", "300", "--monitor", self.monitor_process.address)
        self.server_process.shakes(rate=50, count=100_000)
        self.monitor_process.wait_status(lambda page: len(page["sources"]) == 2, "both are known")

    def connect(self):
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=processes.TIMEOUT_S)
        self.addCleanup(peer.close)
        return peer

    def wait_closed(self, peer):
        try:
            while peer.recv(4096):
                pass
        except ConnectionError:
            pass

    def refused(self, **numbers):
        return self.monitor_process.wait_status(
            lambda page: all(page["refused"][why] == number for why, number in numbers.items()), f"refused: {numbers}")

    def rows_go_on(self):
        """Two more rows, and in the last one the client's requests."""
        seen = self.monitor_process.status()["newest_s"]
        self.monitor_process.wait_status(lambda page: page["newest_s"] >= seen + 2, "rows go on")

    def finish(self, code=0):
        self.rows_go_on()
        self.client_process.stop(processes.signal.SIGINT, 130)
        served = self.server_process.stop()
        report = self.monitor_process.close(code)
        ours = {source["pid"]: source for source in report["sources"]}
        for process in (self.client_process, self.server_process):
            self.assertEqual(ours[process.pid]["condition"], "ended")
            self.assertEqual(ours[process.pid]["late"], 0)
        self.assertEqual(report["account"]["money_fen"]["given"], served["shake"]["won_fen"])
        return report

    def test_garbage_and_halves(self):
        now = int(time.time())
        for data, why in ((b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50, "malformed"), (b"\xff" * 976, "malformed"),
                          (record(now, role=3), "malformed"), (record(9_000_000_001), "malformed")):
            before = self.monitor_process.status()["refused"][why]
            peer = self.connect()
            peer.sendall(data)
            self.wait_closed(peer)
            self.refused(**{why: before + 1})
        for size in (1, 8, 975):  # cut off by the end of the connection
            before = self.monitor_process.status()["refused"]["short"]
            peer = self.connect()
            peer.sendall(record(now)[:size])
            peer.close()
            self.refused(short=before + 1)
        self.assertEqual(len(self.finish()["sources"]), 2, "nobody came of all that")

    def test_a_record_that_trickles_ends(self):
        peer = self.connect()
        data = record(int(time.time()), **life(1))
        peer.sendall(data)          # a whole one first: it is a source
        closed = False
        for byte in data:           # and then a byte now and then
            try:
                peer.sendall(bytes([byte]))
                peer.settimeout(0.2)
                closed = peer.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
            if closed:
                break
        self.assertTrue(closed)
        self.refused(short=1)
        report = self.finish()
        self.assertEqual([one["users"]["first"] for one in report["account"]["never_back"]], [5000])

    def test_clocks_that_are_off(self):
        now = int(time.time())
        for number, off_s in ((1, 3600), (2, -3600), (3, 30)):
            peer = self.connect()
            for second in range(3):
                peer.sendall(record(now + off_s + second, **life(number, first_user=5000 + 100 * number)))
        page = self.monitor_process.wait_status(lambda page: page["records"]["clock_off"] == 9, "nine records of another time")
        off = sorted(source["clock_off_s"] for source in page["sources"] if source["clock_off"])
        self.assertTrue(-3601 < off[0] < -3590 and 20 < off[1] < 33 and 3590 < off[2] < 3603, off)
        self.assertRegex(self.monitor_process.log(), r"warning: client .* its clock is (59|60) m \d+ s ahead")
        self.assertRegex(self.monitor_process.log(), r"warning: client .* its clock is \d+ m \d+ s behind")
        self.finish()

    def test_users_in_common_are_said(self):
        peer = self.connect()
        peer.sendall(record(int(time.time()), **life(1, first_user=99, users=50)))  # the real one has 0-99
        processes.wait_until(lambda: "users 99-148 has users in common with client 127.0.0.1 users 0-99"
                             in self.monitor_process.log().replace(" (pid 1)", ""), "the overlap is said")
        self.finish()

    def test_a_flood_is_ended(self):
        peer = self.connect()
        data = record(int(time.time()), **life(1)) * 2000
        try:
            peer.sendall(data)
        except ConnectionError:
            pass
        self.wait_closed(peer)
        self.refused(flood=1, no_room=0)
        self.finish()

    def test_a_thousand_connections(self):
        now = int(time.time())
        peers = [self.connect() for _ in range(1000)]
        for number, peer in enumerate(peers):
            if number % 3 == 0:    # says nothing
                continue
            data = record(now, **life(number + 1, first_user=10_000 + 10 * number))
            peer.sendall(data if number % 3 == 1 else data[:500])
        self.monitor_process.wait_status(lambda page: len(page["sources"]) == 2 + 333, "333 sources more")
        self.rows_go_on()
        for peer in peers:
            peer.close()
        self.refused(short=333)
        report = self.finish()
        self.assertEqual(len(report["account"]["never_back"]), 333)

    def test_a_wrong_end_is_found(self):
        """A peer that says it got a fen which nobody gave, in order: exit code 4."""
        peer = self.connect()
        peer.sendall(record(int(time.time()), counts={LIFE: 1, USERS: 5000, END: 1}, totals={LIFE: 1, USERS: 10, 25: 1}))
        self.monitor_process.wait_status(lambda page: len(page["sources"]) == 3, "it has been taken")
        report = self.finish(code=4)
        self.assertEqual(report["account"]["money_fen"]["difference"], -1)
        self.assertIn("DOES NOT RECONCILE", self.monitor_process.rows())


if __name__ == "__main__":
    unittest.main()
