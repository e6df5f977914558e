"""Peers that are fast, half-closed, silent or cut off: each gets what it is owed, is made to wait, or is given up in time."""

import os
import shutil
import socket
import struct
import subprocess
import threading
import time
import unittest

import processes
import wire

NOBODYS_GIFT = 0xFFFFFFF0  # in the range of gifts, and never made


def shakes(user, first, count):
    return b"".join(wire.frame(wire.SHAKE, stamp, user) for stamp in range(first, first + count))


def now_stamp():
    return time.time_ns()


class Reader(threading.Thread):
    """Reads all that comes to a peer, to its end."""

    def __init__(self, peer):
        super().__init__(daemon=True)
        self.peer, self.frames, self.error = peer, [], None
        self.start()

    def run(self):
        try:
            while True:
                self.frames.append(self.peer.read())
        except wire.Closed:
            pass
        except BaseException as error:  # handed to the test's thread
            self.error = error

    def finish(self):
        self.join(processes.TIMEOUT_S)
        assert not self.is_alive(), "the connection does not end"
        if self.error is not None:
            raise self.error
        return self.frames


class PeersTest(processes.EndToEndTest):
    def server(self, *flags, **options):
        """Whoever waits for a deadline that is not the test's waits in vain: an answer that is counted as owed for ever shows."""
        return super().server("--unsent-deadline", "1h", *flags, **options) if "--unsent-deadline" not in flags else \
            super().server(*flags, **options)

    def ledger(self):
        return "--ledger", f"sqlite:{os.path.join(self.folder, 'money.ledger')}"

    # ---- half-closed ----

    def half_closed(self, server, requests, user, version=2):
        """Everything at once on one connection, then the end of what we send: `printf | nc -N`. All that comes until it is closed."""
        with wire.Peer(server.port, version) as peer:
            peer.write(requests)
            peer.socket.shutdown(socket.SHUT_WR)
            return [got for got in peer.wait_closed() if not isinstance(got, wire.Notice)]

    def test_a_half_closed_peer_gets_its_win_though_it_waits_for_the_commit(self):
        server = self.server(*self.ledger())
        server.shakes(rate=1_000_000, count=4_000)
        server.wait_status(lambda page: page["shake"]["left"] >= 3_000, "there is something to win")
        for user in range(20):
            for version in (1, 2):
                stamp = now_stamp() if version == 2 else int(time.time())
                got = self.half_closed(server, wire.login(version, user, stamp) + wire.frame(wire.SHAKE, stamp + 1, user), user, version)
                self.assertEqual([type(one).__name__ for one in got], ["Login", "Shake"], f"user {user}")
                self.assertEqual(got[1].result, wire.WON)
        report = server.stop()
        self.assertEqual(report["shake"]["won"], 40)

    def test_all_other_answers_that_come_from_elsewhere(self):
        """Opens that travel between workers, sends, statements, and a resume of more than one page; with a ledger and without."""
        for ledger in ((), self.ledger()):
            server = self.server(*ledger)
            server.shakes(rate=1_000_000, count=200)
            server.wait_status(lambda page: page["shake"]["left"] == 200, "there is something to win")
            with wire.Peer(server.port, 2, 5) as peer:
                won = sum(peer.shake().result == wire.WON for _ in range(200))
                self.assertEqual(won, 200)
            stamp = now_stamp()
            requests = wire.login(2, 5, stamp, resume_after=0)
            kinds = []
            for n in range(30):
                requests += wire.frame(wire.OPEN, stamp + 4 * n + 1, 5, NOBODYS_GIFT + n % 8)
                requests += wire.frame(wire.STATEMENT, stamp + 4 * n + 2, 5)
                requests += wire.frame(wire.SEND, stamp + 4 * n + 3, 5, 100, 1, 6)
                requests += wire.frame(wire.SHAKE, stamp + 4 * n + 4, 5)
                kinds += ["Opened", "Statement", "Sent", "Shake"]
            kinds += ["Shake"] * 200 if ledger else []
            got = self.half_closed(server, requests, 5)
            self.assertEqual(sorted(type(one).__name__ for one in got), sorted(["Login", *kinds]), ledger)
            server.stop()

    def test_half_closed_in_a_frame_or_before_a_login(self):
        server = self.server(*self.ledger())
        server.shakes(rate=1_000_000, count=100)
        server.wait_status(lambda page: page["shake"]["left"] == 100, "there is something to win")
        stamp = now_stamp()
        login, shake = wire.login(2, 7, stamp), wire.frame(wire.SHAKE, stamp + 1, 7)
        self.assertEqual([type(one).__name__ for one in self.half_closed(server, login + shake + shake[:9], 7)], ["Login", "Shake"])
        self.assertEqual(self.half_closed(server, b"", 7), [])
        self.assertEqual(self.half_closed(server, login[:20], 7), [])
        report = server.stop()
        self.assertEqual({reason: n for reason, n in report["connections"]["closed_by"].items() if n}, {"peer": 3})

    def test_a_half_closed_gateway(self):
        token = bytes(range(16))
        path = os.path.join(self.folder, "token")
        with open(path, "w", encoding="ascii") as file:
            file.write(token.hex())
        os.chmod(path, 0o600)
        server = self.server("--gateway-token-file", path, *self.ledger())
        server.shakes(rate=1_000_000, count=100)
        server.wait_status(lambda page: page["shake"]["left"] == 100, "there is something to win")
        stamp = now_stamp()
        requests = wire.login(2, 0, stamp, count=1_000, token=token)
        requests += b"".join(wire.frame(wire.SHAKE, stamp + 1 + user, user) for user in range(1_000))
        got = self.half_closed(server, requests, 0)
        self.assertEqual(len(got), 1_001)
        self.assertEqual(sum(getattr(one, "result", None) == wire.WON for one in got), 100)
        server.stop()

    def test_a_drain_ends_a_half_closed_peer_and_a_reset_too(self):
        server = self.server("--drain", "2s")
        peers = [wire.Peer(server.port, 2, user, receive_buffer=4096) for user in (7, 8)]
        for peer in peers:  # they read nothing, and have sent their last
            self.fill(peer)
            peer.socket.shutdown(socket.SHUT_WR)
        peers[1].reset()
        server.wait_status(lambda page: page["connections"]["live"] == 1, "the one that was reset is gone")
        server.stop()
        peers[0].close()

    # ---- fast ----

    def fill(self, peer):
        """Shakes without reading until the server takes no more: (the first stamp, bytes sent)."""
        first = now_stamp()
        data, at = shakes(peer.user, first, 1_200_000), 0  # 19 MB: more than the sockets take
        peer.socket.setblocking(False)
        stuck_since = time.monotonic()
        while at < len(data) and time.monotonic() - stuck_since < 1.5:
            try:
                at += peer.socket.send(data[at:at + 65_536])
                stuck_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        self.assertLess(at, len(data), "the server takes in everything, whoever reads the answers")
        return first, at

    def test_one_that_pipelines_is_held_back_and_gets_every_answer(self):
        for ledger, count in (((), 600), ((), 1_200), ((), 100_000), (self.ledger(), 20_000)):
            with self.subTest(ledger=bool(ledger), count=count):
                server = self.server(*ledger)
                if ledger:  # every tenth wins, and waits for its commit
                    server.shakes(rate=1_000_000, count=2_000)
                    server.wait_status(lambda page: page["shake"]["left"] == 2_000, "there is something to win")
                with wire.Peer(server.port, 2, 7) as peer, wire.Peer(server.port, 2, 9) as other:
                    first = now_stamp()
                    reader = Reader(peer)
                    peer.write(shakes(7, first, count))
                    for _ in range(20):
                        other.shake()  # is served meanwhile
                    peer.socket.shutdown(socket.SHUT_WR)
                    got = reader.finish()
                self.assertEqual(len(got), count)
                self.assertEqual({one.stamp for one in got}, set(range(first, first + count)))
                losers = [one.stamp for one in got if one.result != wire.WON]
                self.assertEqual(losers, sorted(losers), "in order")
                report = server.stop()
                self.assertEqual(report["connections"]["closed_by"]["unsent_bytes"], 0)
                self.assertEqual(report["requests"]["received"], count + 20)
                self.assertEqual(report["requests"]["dropped"], 0)
                won = sum(one.result == wire.WON for one in got)
                self.assertTrue(won <= report["shake"]["won"] <= won + 20, "the other's shakes may have won too")

    def test_one_that_does_not_read_waits_and_goes_on_when_it_reads(self):
        server = self.server()
        with wire.Peer(server.port, 2, 7, receive_buffer=4096) as peer:
            first, at = self.fill(peer)
            page = server.status()
            self.assertEqual(page["connections"]["live"], 1, "held back, not closed")
            count = at // 16
            self.assertLess(page["requests"]["received"], count)
            peer.socket.settimeout(processes.TIMEOUT_S)
            answers = bytearray()
            while len(answers) < 28 * count:
                answers += peer.socket.recv(1 << 20)
            stamps = [stamp for _, _, stamp, *_ in struct.iter_unpack(">HHQ4I", answers)]
            self.assertEqual(stamps, list(range(first, first + count)))
        server.stop()

    def test_one_that_never_reads_is_closed_by_the_unsent_deadline(self):
        server = self.server("--unsent-deadline", "1s")
        with wire.Peer(server.port, 2, 7, receive_buffer=4096) as peer:
            def flood():
                try:
                    peer.write(shakes(7, now_stamp(), 1_000_000))
                except OSError:
                    pass
            flooder = threading.Thread(target=flood, daemon=True)
            flooder.start()
            server.wait_status(lambda page: page["connections"]["closed_by"]["unsent_bytes"] == 1, "it is closed")
            flooder.join(processes.TIMEOUT_S)
        server.stop()

    def test_opens_of_nobodys_gifts_are_bounded(self):
        """16 connections that ask and ask, and read: what waits between the workers stays small, and others are served."""
        server = self.server()
        peers = [wire.Peer(server.port, 2, user) for user in range(16)]
        server.wait_status(lambda page: page["users"]["online"] == 16, "all are in")
        before = server.status()["memory"]["rss_bytes"]
        readers = [Reader(peer) for peer in peers]
        ending = threading.Event()

        def flood(peer, user):
            stamp = now_stamp()
            try:
                while not ending.is_set():
                    peer.write(b"".join(wire.frame(wire.OPEN, stamp + n, user, NOBODYS_GIFT + n % 4) for n in range(2_000)))
                    stamp += 2_000
            except OSError:
                pass

        flooders = [threading.Thread(target=flood, args=(peer, user), daemon=True) for user, peer in enumerate(peers)]
        for flooder in flooders:
            flooder.start()
        with wire.Peer(server.port, 2, 99) as other:
            server.wait_status(lambda page: page["gifts"]["empty"] > 200_000, "many were answered")
            other.shake()
        after = server.status()["memory"]["rss_bytes"]
        ending.set()
        for flooder in flooders:
            flooder.join(processes.TIMEOUT_S)
        for peer in peers:
            peer.socket.shutdown(socket.SHUT_WR)
        for reader, peer in zip(readers, peers):
            reader.finish()
            peer.close()
        if not processes.SANITIZED:
            self.assertLess(after - before, 64 << 20)
        report = server.stop()
        self.assertEqual(report["connections"]["closed_by"]["unsent_bytes"], 0)

    # ---- silent ----

    def test_the_earlier_of_two_deadlines_rules(self):
        for flags, data, reason in (
                (("--frame-deadline", "1h", "--idle-timeout", "1s"), b"\x00\x10\x00\x02", "idle"),
                (("--frame-deadline", "1s", "--idle-timeout", "1h"), b"\x00\x10\x00\x02", "frame_deadline"),
                (("--login-deadline", "1h", "--idle-timeout", "1s"), None, "idle"),
                (("--login-deadline", "1h", "--frame-deadline", "1s"), wire.login(2, 7, 1)[:9], "frame_deadline")):
            with self.subTest(flags=flags):
                server = self.server(*flags)
                logged_in = reason != "idle" and "--login-deadline" not in flags or data == b"\x00\x10\x00\x02"
                with wire.Peer(server.port, 2, 7 if logged_in else None) as peer:
                    peer.write(data or b"")
                    self.assertEqual(peer.wait_closed(), [])
                report = server.stop()
                self.assertEqual({name: n for name, n in report["connections"]["closed_by"].items() if n}, {reason: 1})


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("ip"), "needs root and ip(8), for network namespaces of its own")
class CutOffTest(processes.EndToEndTest):
    """A black hole: the cable between two network namespaces is pulled. Nobody is told, nothing comes through."""

    def setUp(self):
        super().setUp()
        self.space = f"hongbao-test-{os.getpid()}"
        ip = lambda *words: subprocess.run(["ip", *words], check=True, capture_output=True)
        try:
            ip("netns", "add", self.space)
            self.addCleanup(subprocess.run, ["ip", "netns", "del", self.space], check=False, capture_output=True)
            near, far = f"hb{os.getpid() % 100000}a", f"hb{os.getpid() % 100000}b"
            ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.space)
            self.addCleanup(subprocess.run, ["ip", "link", "del", near], check=False, capture_output=True)
            net = f"10.213.{os.getpid() % 250}"
            self.near_address, self.far_address = f"{net}.1", f"{net}.2"
            ip("addr", "add", f"{self.near_address}/24", "dev", near)
            ip("link", "set", near, "up")
            ip("-n", self.space, "addr", "add", f"{self.far_address}/24", "dev", far)
            ip("-n", self.space, "link", "set", far, "up")
            ip("-n", self.space, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            self.skipTest(f"no network namespace here: {error.stderr.decode().strip()}")
        self.near = near

    def cut(self):
        # The queue of our end lets nothing out, and nothing in answers: the addresses stay, nobody is told.
        subprocess.run(["ip", "-n", self.space, "link", "set", self.near[:-1] + "b", "down"], check=True)

    def mend(self):
        subprocess.run(["ip", "-n", self.space, "link", "set", self.near[:-1] + "b", "up"], check=False)

    def far_client(self, server, *flags):
        """A client in the other namespace; it is asked nothing by HTTP."""
        os.environ["HONGBAO_TEST_SPACE"] = self.space
        launcher = os.path.join(self.folder, "client")
        with open(launcher, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec ip netns exec {self.space} {processes.CLIENT} \"$@\"\n")
        os.chmod(launcher, 0o755)
        return self._start(launcher, "client", ["--server", f"{self.near_address}:{server.port}", "--admin", "127.0.0.1:0", "--users", "200",
                                                "--workers", "1", "--quiet", *flags], {}).wait_ready()

    def test_both_sides_give_up_within_seconds_and_come_back(self):
        """A client with requests on their way learns it from the time without an acknowledgement; a side that only waits, from
        keepalive."""
        for rate, keepalive in (("2000", "0"), ("0", "1s")):
            with self.subTest(rate=rate):
                server = self.server("--listen", "0.0.0.0:0", "--peer-timeout", "1500ms", "--keepalive", "1s")
                client = self.far_client(server, "--qps", rate, "--duration", "0", "--peer-timeout", "1500ms", "--keepalive", keepalive)
                server.wait_status(lambda page: page["users"]["online"] == 200, "all are in")
                if rate != "0":  # in the middle of answers
                    server.wait_status(lambda page: page["requests"]["received"] >= 2000, "requests come")
                self.addCleanup(self.mend)
                self.cut()
                server.wait_status(lambda page: page["users"]["online"] == 0, "the server knows that they are gone")
                page = server.status()
                self.assertEqual(page["connections"]["closed_by"]["reset"], 200)
                self.assertEqual(page["connections"]["closed_by"]["idle"], 0)
                self.mend()
                server.wait_status(lambda page: page["users"]["online"] == 200, "the client has come back")
                client.send_signal(15)
                client.exit_code()
                server.stop()


if __name__ == "__main__":
    processes.main()
