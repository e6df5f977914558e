"""Peers that do what they must not. Each is counted under its reason and closed; nobody else is slowed; the money stays right.

In each test a well-behaved peer (or two, of both versions) shakes all the while, and the server ends with all identities.
"""

import os
import random
import re
import socket
import struct
import threading
import time

import processes
import wire

LOGIN_V1 = wire.login(1, 7, 1)
LOGIN_V2 = wire.login(2, 7, 1)


class HostileTest(processes.EndToEndTest):
    def hosted(self, *flags, **options):
        """A server, with two peers that behave well."""
        self.server_process = self.server(*flags, **options)
        self.port = self.server_process.port
        self.steady = [wire.SteadyPeer(self.port, 9000, 1), wire.SteadyPeer(self.port, 9001, 2)]
        self.server_process.shakes(rate=200, count=100_000)
        return self.server_process

    def live(self, number, accepted=0):
        """Waits until so many connections have come (at least) and so many are left, beside the two."""
        return self.server_process.wait_status(
            lambda page: page["connections"]["live"] == number + 2 and page["connections"]["accepted"] >= accepted + 2,
            f"{number} connections are left of {accepted}")

    def finish(self, **closed_by):
        """Nobody was harmed; the books close; of the named reasons so many closes, of all others none."""
        self.live(0, accepted=sum(closed_by.values()))
        for steady in self.steady:
            before = steady.shakes
            processes.wait_until(lambda: steady.shakes > before or not steady.is_alive(), "the others are served")
            steady.finish()
        self.server_process.wait_status(lambda page: page["connections"]["live"] == 0, "all have gone")
        report = self.server_process.stop()
        got = {reason: number for reason, number in report["connections"]["closed_by"].items() if number}
        got["peer"] -= 2
        self.assertEqual({reason: number for reason, number in got.items() if number}, closed_by)
        self.assertEqual(report["shake"]["won_fen"] + report["shake"]["left_fen"], report["shake"]["issued_fen"])
        return report

    def refused(self, data, version=1, user=None, answers=0):
        """Sends the bytes on a new connection, and reads that the server closes it after so many answers."""
        with wire.Peer(self.port, version, user) as peer:
            try:
                peer.write(data)
            except ConnectionError:
                pass  # closed before all was sent
            self.assertEqual(len(peer.wait_closed()), answers, data[:64].hex())

    # ---- bytes ----

    def test_defect13_lengths_and_types_out_of_range(self):
        """Four bytes of these ended the prototype's whole process."""
        self.hosted()
        heads = [(length, wire.LOGIN) for length in (0, 1, 3, 4, 11, 12, 15, 17, 20, 43, 45, 256, 257, 40000, 65535)]
        heads += [(16, kind) for kind in (1, 2, 3, 4, 5, 11, 255, 256, 65535)]
        for length, kind in heads:
            self.refused(struct.pack(">HH", length, kind) + bytes(12))
            self.refused(struct.pack(">HH", length, kind))  # the head alone says enough
        self.refused(b"\x00\x00")
        self.refused(b"\xff\xff")
        self.finish(malformed=2 * len(heads) + 2)

    def test_defect15_short_and_long_frames(self):
        """A frame of a known type with another length: the prototype decoded what its buffer held before."""
        self.hosted()
        frames = 0
        for version in (1, 2):
            right = {wire.SHAKE: [16], wire.OPEN: [20]}
            right.update({wire.SEND: range(24, 257, 4), wire.STATEMENT: [16]} if version == 2 else {})
            for kind in (wire.SHAKE, wire.OPEN, wire.SEND, wire.STATEMENT):
                for length in (12, 16, 20, 24, 28, 250, 256):
                    if length not in right.get(kind, []):
                        self.refused(struct.pack(">HHQ", length, kind, 1) + bytes(max(0, length - 12)), version, 7)
                        frames += 1
        self.finish(malformed=frames)

    def test_unexpected_frames(self):
        self.hosted()
        for version, first in ((1, LOGIN_V1), (2, LOGIN_V2)):
            other = wire.login(3 - version, 7, 1)
            self.refused(first + first, version, answers=1)          # a second login
            self.refused(first + other, version, answers=1)          # of the other version
            self.refused(wire.frame(wire.SHAKE, 1, 7), version)      # a shake before the login
            self.refused(wire.frame(wire.OPEN, 1, 7, 1), version)
            for answer, words in ((wire.LOGIN_REPLY, 2), (wire.SHAKE_REPLY, 4), (wire.NOTICE, 6), (wire.OPEN_REPLY, 2),
                                  (wire.SEND_REPLY, 3), (wire.STATEMENT_REPLY, 4)):  # what only a server sends
                self.refused(first + wire.frame(answer, 1, *[7] * words), version, answers=1)
            self.refused(first + wire.frame(wire.SHAKE, 1, 8), version, answers=1)      # for another user
            self.refused(first + wire.frame(wire.OPEN, 1, 8, 1), version, answers=1)
        self.refused(LOGIN_V2 + wire.frame(wire.OPEN, 1, 0, 1), 2, answers=1)           # "me" is version 1's
        self.refused(LOGIN_V2 + wire.frame(wire.SEND, 1, 8, 100, 1, 9), 2, answers=1)
        self.refused(LOGIN_V2 + wire.frame(wire.STATEMENT, 1, 8), 2, answers=1)
        self.refused(LOGIN_V2 + wire.frame(wire.SEND, 1, 7, 100, 2, 9), 2, answers=1)   # count and length disagree
        self.refused(LOGIN_V1 + wire.frame(wire.SEND, 1, 7, 100, 1, 9), answers=1)      # version 2's in version 1
        self.refused(LOGIN_V1 + wire.frame(wire.STATEMENT, 1, 7), answers=1)
        self.refused(wire.login(2, 7, 1, count=0), 2)                                   # a login of nobody
        self.refused(wire.login(2, 2**32 - 1, 1, count=2), 2)
        self.finish(malformed=32)

    def test_good_frames_before_a_bad_one_are_answered(self):
        self.hosted()
        shake = wire.frame(wire.SHAKE, 1, 7)
        self.refused(LOGIN_V1 + 50 * shake + b"\x00\x03\xff\xff", answers=51)
        self.finish(malformed=1)

    def test_garbage(self):
        self.hosted()
        dice = random.Random(2015)
        for round_number in range(60):
            data = dice.randbytes(dice.randrange(4, 3000))
            if data[:4] in (LOGIN_V1[:4], LOGIN_V2[:4]):
                continue
            self.refused(data if round_number % 2 else LOGIN_V1 + data, answers=(round_number + 1) % 2)
        self.refused(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        report = self.finish(malformed=62)
        self.assertEqual(report["logins"]["ok"], 32)

    # ---- logins ----

    def test_defect14_user_id_out_of_range(self):
        """The prototype indexed an array by it."""
        self.hosted("--users-max", "9002")
        users = [9002, 10**6, 1199872, 2**31, 2**32 - 1]
        for version in (1, 2):
            for user in users:
                with wire.Peer(self.port, version) as peer:
                    self.assertEqual(peer.login(user).result, 1)
                    self.assertEqual(peer.wait_closed(), [])
        with wire.Peer(self.port, 2, 9001 - 2) as peer:  # also as a recipient
            self.assertEqual(peer.send(100, [9002]).result, wire.REFUSED)
            self.assertEqual(peer.send(100, [1, 2**32 - 1]).result, wire.REFUSED)
        report = self.finish(refused=2 * len(users), peer=1)
        self.assertEqual(report["logins"]["out_of_range"], 2 * len(users))
        self.assertEqual(report["gifts"]["sent"], 0)

    def test_a_gateway_without_the_token(self):
        self.hosted()
        for token in (bytes(16), b"\xff" * 16):
            with wire.Peer(self.port, 2) as peer:
                peer.write(wire.login(2, 0, 5, count=100, token=token))
                self.assertEqual(peer.read()[:3], (5, 0, 2))
                self.assertEqual(peer.wait_closed(), [])
        report = self.finish(refused=2)
        self.assertEqual(report["logins"]["bad_token"], 2)

    def test_sends_that_cannot_be(self):
        self.hosted()
        with wire.Peer(self.port, 2, 7) as peer:
            for fen, users in ((0, [1]), (1, [1, 2]), (2, [1, 2, 3]), (100, []), (10_000, list(range(51))),
                               (10_000, list(range(58))), (100, [1, 1]), (100, [1, 10_000])):
                reply = peer.send(fen, users)
                self.assertEqual((reply.result, reply.envelope), (wire.REFUSED, 0), f"{fen} fen for {users}")
            self.assertEqual(peer.send(3, [1, 2, 3]).result, 0)
            self.assertEqual(peer.send(2**32 - 1, list(range(50))).result, 0)
        report = self.finish(peer=1)
        self.assertEqual((report["gifts"]["sent"], report["gifts"]["sent_fen"]), (2, 3 + 2**32 - 1))
        self.assertEqual(report["gifts"]["left_fen"], 3 + 2**32 - 1)

    # ---- time ----

    def test_defect22_one_that_never_logs_in(self):
        self.hosted("--login-deadline", "300ms")
        silent = [wire.Peer(self.port) for _ in range(10)]
        talker = wire.Peer(self.port)  # part of a login does not prolong it
        talker.write(LOGIN_V1[:15])
        for peer in (*silent, talker):
            self.assertEqual(peer.wait_closed(), [])
            peer.close()
        self.finish(login_deadline=11)

    def test_defect22_one_that_sends_a_byte_now_and_then(self):
        """The deadline counts from the first byte of the frame: another byte does not move it."""
        self.hosted("--frame-deadline", "500ms")
        with wire.Peer(self.port, 1, 7) as peer:
            shake = wire.frame(wire.SHAKE, 1, 7)
            peer.write(shake[:3])
            with self.assertRaises((wire.Closed, ConnectionError)):
                for n in range(3, 16):
                    peer.socket.settimeout(0.2)
                    try:
                        peer.read()
                    except TimeoutError:
                        peer.write(shake[n:n + 1])
        with wire.Peer(self.port, 2, 8) as peer:  # whole frames at that pace are fine
            for _ in range(5):
                peer.shake()
                time.sleep(0.15)
        self.finish(frame_deadline=1, peer=1)

    def test_defect22_idle(self):
        self.hosted("--idle-timeout", "400ms", "--login-deadline", "400ms")
        idle = [wire.Peer(self.port, 1 + user % 2, user) for user in range(5)]
        for peer in idle:
            self.assertEqual(peer.wait_closed(), [])
            peer.close()
        self.finish(idle=5)

    # ---- readers ----

    def test_defect19_one_that_never_reads(self):
        """It is held back, so that the server keeps so many bytes and not one more, and closed when it takes nothing for the
        unsent deadline; the prototype's writes blocked thousands of users."""
        self.hosted("--unsent-deadline", "1s")
        shakes = 1000 * wire.frame(wire.SHAKE, 1, 7)
        with wire.Peer(self.port, 1, 7, receive_buffer=4096) as peer:
            peer.socket.setblocking(False)
            deadline = time.monotonic() + processes.TIMEOUT_S
            closed = False
            while not closed and time.monotonic() < deadline:
                try:
                    peer.socket.send(shakes)
                except BlockingIOError:
                    time.sleep(0.001)
                except ConnectionError:
                    closed = True
            self.assertTrue(closed, "the server closes it")
        report = self.finish(unsent_bytes=1)
        self.assertGreaterEqual(report["rings"]["holds"], 1)
        self.assertEqual(report["requests"]["dropped"], 0)

    def test_defect03_a_win_is_never_lost_with_a_dead_peer(self):
        """Peers that shake and vanish: an envelope is won and counted, or left; never gone without a trace."""
        server = self.hosted()
        for user in range(60):
            peer = wire.Peer(self.port, 1 + user % 2, user)
            peer.write(20 * wire.frame(wire.SHAKE, 1, user))
            (peer.reset if user % 3 else peer.close)()
        self.live(0, accepted=60)
        for steady in self.steady:
            steady.finish()
        server.wait_status(lambda page: page["connections"]["live"] == 0, "all have gone")
        with wire.Peer(self.port, 2, 3) as peer:  # the user's statement knows what was won before
            statement = peer.statement()
            self.assertGreaterEqual(statement.fen, statement.grants)
        report = server.stop()
        self.assertEqual(report["shake"]["won_fen"] + report["shake"]["left_fen"], report["shake"]["issued_fen"])
        self.assertGreaterEqual(report["shake"]["won_fen"], sum(steady.fen for steady in self.steady))

    def test_peers_that_vanish(self):
        """Within a frame, with an end or a reset; before the login and after it.

        A reset right behind the bytes of a part of a frame may escape a multishot receive (a race of the kernel, where one
        wake-up stands for two events): the deadlines are there for such peers too.
        """
        self.hosted("--login-deadline", "1s", "--frame-deadline", "1s")
        shake = wire.frame(wire.SHAKE, 1, 7)
        for n, (logged_in, data) in enumerate(((False, b""), (False, LOGIN_V2[:1]), (False, LOGIN_V2[:43]), (True, b""),
                                               (True, shake[:1]), (True, shake[:15]))):
            for user, end in ((2 * n, wire.Peer.close), (2 * n + 1, wire.Peer.reset)):
                peer = wire.Peer(self.port, 1, user if logged_in else None)
                peer.write(data)
                end(peer)
        page = self.live(0, accepted=12)
        self.assertEqual(page["connections"]["closed_by"]["malformed"], 0)
        closes = page["connections"]["closed_by"]
        self.assertEqual(closes["peer"], 6, closes)
        self.assertGreaterEqual(closes["reset"], 1)
        self.assertEqual(closes["reset"] + closes["login_deadline"] + closes["frame_deadline"], 6, closes)
        self.finish(**{reason: number for reason, number in closes.items() if number})

    def test_half_closed_peer_gets_its_answers(self):
        self.hosted()
        with wire.Peer(self.port, 2) as peer:
            peer.write(LOGIN_V2 + 100 * wire.frame(wire.SHAKE, 1, 7))
            peer.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(len(peer.wait_closed()), 101)
        self.finish(peer=1)

    # ---- many ----

    def test_defect16_reconnect_storm(self):
        """All users come back ten times over, at once; the prototype lost two of its pooled messages each time."""
        server = self.hosted()
        users, rounds = 40, 10
        peers = [wire.Peer(self.port, 1 + user % 2, user) for user in range(users)]
        for round_number in range(rounds):
            old, peers = peers, []
            for user in range(users):
                peer = wire.Peer(self.port, 1 + user % 2)
                peer.write(wire.login(peer.version, user, round_number))
                peers.append(peer)
                if user % 2:
                    old[user].close()
            for user, peer in enumerate(peers):
                self.assertEqual(peer.expect(wire.Login).result, 0)
                peer.user = user
                old[user].close()
        self.live(users)
        for peer in peers:
            peer.shake()
            peer.close()
        page = self.live(0)
        closes = page["connections"]["closed_by"]
        self.assertEqual(sum(closes.values()), users * (rounds + 1))
        self.assertEqual(page["users"]["online"], 2)
        self.assertEqual(page["logins"]["ok"], users * (rounds + 1) + 2)
        self.finish(**{reason: number for reason, number in closes.items() if number})
        self.assertEqual(server.report()["connections"]["closed_by"]["malformed"], 0)

    def test_table_full(self):
        """Who comes too late is told so; who is there is not disturbed; when places are free again they are given out."""
        self.hosted("--connections-max", 12)
        inside = [wire.Peer(self.port, 1 + user % 2, user) for user in range(10)]
        for version in (1, 2):
            for user in range(100, 110):
                with wire.Peer(self.port, version) as peer:
                    self.assertEqual(peer.login(user).result, 3)
                    self.assertEqual(peer.wait_closed(), [])
        page = self.live(10)
        self.assertEqual(page["logins"]["full"], 20)
        self.assertEqual(page["connections"]["closed_by"]["full"], 20)
        for peer in inside[:5]:
            peer.close()
        self.live(5)
        again = [wire.Peer(self.port, 2, user) for user in range(100, 105)]
        for peer in (*inside[5:], *again):
            peer.shake()
            peer.close()
        self.finish(full=20, peer=15)

    def test_table_overrun(self):
        """Far more connections than slots, none of which logs in: closed or left waiting, then all is as before."""
        server = self.hosted("--connections-max", 12, "--login-deadline", "500ms")
        crowd = [wire.Peer(self.port) for _ in range(400)]
        for peer in crowd:
            self.assertEqual(peer.wait_closed(), [])
            peer.close()
        self.live(0)
        with wire.Peer(self.port, 1, 7) as peer:
            peer.shake()
        self.live(0)
        for steady in self.steady:
            steady.finish()
        server.wait_status(lambda page: page["connections"]["live"] == 0, "all have gone")
        report = server.stop()
        self.assertGreater(report["connections"]["closed_by"]["login_deadline"], 0)

    def test_defect20_open_files_exhausted(self):
        """accept() fails with EMFILE: the prototype spun on it. Served are those who are inside, and all when files are free."""
        server = self.hosted("--connections-max", 60, "--login-deadline", "2s", open_files=130,
                             environment={"HONGBAO_RING_OFF": "direct"})
        crowd = [wire.Peer(self.port) for _ in range(150)]  # the kernel's backlog takes those that the server cannot
        # The admin's own connections need descriptors as well: none is free until the crowd is thrown out.
        before = [steady.shakes for steady in self.steady]
        cpu_s, begin = server.cpu_s(), time.monotonic()
        time.sleep(1)
        cpu_s, elapsed = server.cpu_s() - cpu_s, time.monotonic() - begin
        self.assertLess(cpu_s, 0.7 * elapsed, "CPU seconds while accept fails: it must not spin")
        for steady, shakes in zip(self.steady, before):
            processes.wait_until(lambda: steady.shakes > shakes or not steady.is_alive(), "the others are served")
        for peer in crowd:
            self.assertEqual(peer.wait_closed(), [])
            peer.close()
        self.live(0)
        with wire.Peer(self.port, 2, 7) as peer:
            peer.shake()
        self.live(0)
        for steady in self.steady:
            steady.finish()
        server.wait_status(lambda page: page["connections"]["live"] == 0, "all have gone")
        report = server.stop()
        self.assertGreater(report["rings"]["accept_pauses"], 0)
        self.assertGreater(report["connections"]["closed_by"]["login_deadline"], 0)

    def test_defect22_admin_and_hostile_http(self):
        """Loopback only, and garbage there harms nothing either."""
        server = self.hosted()
        code, _, stderr = processes.run(processes.SERVER, "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0")
        self.assertEqual(code, 1)
        self.assertIn("0.0.0.0:0", stderr)
        for data in (b"\x00" * 100, b"GET /" + b"x" * 100_000, b"POST /v1/envelopes/shake?rate=1&count=1 HTTP/1.1\r\n",
                     b"GET /v1/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.admin_port)) as admin:
                try:
                    admin.sendall(data)
                except ConnectionError:
                    pass
        for method, path, code in (("GET", "/v1/envelopes/shake", 405), ("POST", "/v1/status", 405), ("GET", "/nothing", 404)):
            self.assertEqual(server.http(method, path)[0], code, f"{method} {path}")
        issued = {"rate": 10, "count": 5}
        for wrong in ({"rate": 0}, {"count": 0}, {"rate": -1}, {"rate": 10**7}, {"min_fen": 0}, {"min_fen": 400},
                      {"max_fen": 2**40}, {"at": "x"}, {"speed": 3}, {"rate": "1e3"}):
            for kind in ("shake", "gift"):
                code, body = server.http("POST", f"/v1/envelopes/{kind}", **{**issued, **wrong})
                self.assertEqual(code, 400, f"{kind} {wrong}: {body}")
                self.assertIn("error", body)
        for wrong in ({"users": 0}, {"users": 51}, {"first_user": 5, "last_user": 4}, {"last_user": 10_000},
                      {"users": 3, "max_fen": 2, "min_fen": 1}):
            code, body = server.http("POST", "/v1/envelopes/gift", **{**issued, **wrong})
            self.assertEqual(code, 400, f"{wrong}: {body}")
        report = self.finish()
        self.assertEqual(report["gifts"]["sent"], 0)

    def begun(self, data, number):
        """So many connections to the admin port that have sent no more than `data`."""
        peers = [socket.create_connection(("127.0.0.1", self.server_process.admin_port)) for _ in range(number)]
        for peer in peers:
            self.addCleanup(peer.close)
            peer.sendall(data)
        return peers

    @staticmethod
    def is_open(peer):
        peer.setblocking(False)
        try:
            return peer.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def test_http_peers_that_are_idle_or_slow_delay_nobody(self):
        """Health and metrics are answered while all of them are still there, not after their deadlines have passed."""
        server = self.hosted("--ledger", "sqlite:" + os.path.join(self.folder, "slow.ledger"))
        order = threading.Thread(target=server.http, args=("POST", "/v1/envelopes/shake"), kwargs={"rate": 1, "count": 2_000_000})
        order.start()
        self.begun(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n", 1)
        for data in (b"", b"GET /met", b"POST /v1/envelopes/shake HTTP/1.1\r\nContent-Length: 50\r\n\r\nrate="):
            peers = self.begun(data, 20)
            for path in ("/-/healthy", "/metrics", "/v1/status"):
                self.assertEqual(server.http("GET", path)[0], 200)
            self.assertTrue(all(map(self.is_open, peers)), f"all that sent {data} are there still")
        order.join()
        self.finish()

    def test_thousands_of_idle_http_peers(self):
        """The oldest make room: descriptors do not run out, and it goes on serving."""
        server = self.hosted(open_files=1_000)
        peers = self.begun(b"", 2_500)
        for path in ("/-/healthy", "/metrics"):
            self.assertEqual(server.http("GET", path)[0], 200)
        self.assertTrue(self.is_open(peers[-1]))
        dropped = re.search(r'hongbao_http_dropped_total{cause="room"} (\d+)', server.http("GET", "/metrics")[1])
        self.assertGreater(int(dropped.group(1)), 2_000)
        self.finish()


if __name__ == "__main__":
    processes.main()
