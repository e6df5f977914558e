"""Every byte vector of docs/PROTOCOL.md through the real server, by the client in wire.py: whole, cut at every byte, joined."""

import struct
import time

import processes
import wire

V1 = 1486824165
V2 = 1486824165123456789

# As they stand in docs/PROTOCOL.md.
LOGIN_V1 = "0010000000000000589f22e500000007"
LOGIN_V1_REPLY = "0014000100000000589f22e50000000700000000"
SHAKE = "0010000200000000589f22e500000007"
SHAKE_NOTHING = "001c000300000000589f22e5000000070000000f0000000000000000"
SHAKE_WON = "001c000300000000589f22e5000000070000000e0010000100000101"
NOTICE = "0024000400000000589f22e5002000010000012c00000003000000070000000800000009"
OPEN_V1 = "0014000500000000589f22e50000000000200001"
OPEN_V1_REPLY = "0014000600000000589f22e50020000100000065"
LOGIN_V2 = "002c000014a242b35da67f150000000700000001000000000000000000000000000000000000000000000000"
LOGIN_V2_REPLY = "0024000114a242b35da67f15000000070000000014a242b35da682fd0000000000000000"
OPEN_V2_REPLY = "0018000614a242b35da67f15002000010000006500000007"
SEND = "0024000714a242b35da67f15000000070000012c0000000300000008000000090000000a"
SEND_REPLY = "0018000814a242b35da67f15000000070000000000200002"
STATEMENT = "0010000914a242b35da67f1500000007"
STATEMENT_REPLY = "001c000a14a242b35da67f1500000007000000020000000000000166"

# Vectors of v1 that a v2 session has too, with its stamp.
SHAKE_V2 = SHAKE.replace("00000000589f22e5", "14a242b35da67f15")
OPEN_V2 = "0014000514a242b35da67f150000000700200001"


def with_field(hex_frame, offset, value):
    """The frame with another u32 at `offset`: what is the server's choice."""
    data = bytearray.fromhex(hex_frame)
    struct.pack_into(">I", data, offset, value)
    return bytes(data)


class VectorsTest(processes.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.server_process = self.server()
        self.port = self.server_process.port

    def check(self, got, want, **where):
        self.assertEqual(got.hex(), want if isinstance(want, str) else want.hex(), where or None)

    def check_login_v2(self, got, last_stamp):
        self.check(got[:20], LOGIN_V2_REPLY[:40])
        server_ns, last = struct.unpack(">QQ", got[20:])
        self.assertLess(abs(server_ns - time.time_ns()), 3600 * 10**9)
        self.assertEqual(last, last_stamp)

    def wait_left(self, left):
        self.server_process.wait_status(lambda page: page["shake"]["left"] == left, f"{left} envelopes wait")

    def test_our_encoder_gives_the_vectors(self):
        """The independent half first: wire.py agrees with the page."""
        self.assertEqual(wire.login(1, 7, V1).hex(), LOGIN_V1)
        self.assertEqual(wire.login(2, 7, V2).hex(), LOGIN_V2)
        self.assertEqual(wire.frame(wire.SHAKE, V1, 7).hex(), SHAKE)
        self.assertEqual(wire.frame(wire.OPEN, V1, 0, 0x200001).hex(), OPEN_V1)
        self.assertEqual(wire.frame(wire.SEND, V2, 7, 300, 3, 8, 9, 10).hex(), SEND)
        self.assertEqual(wire.frame(wire.STATEMENT, V2, 7).hex(), STATEMENT)
        self.assertEqual(wire.decode(bytes.fromhex(SHAKE_WON), 1), wire.Shake(V1, 7, wire.WON, 0x100001, 257))
        self.assertEqual(wire.decode(bytes.fromhex(NOTICE), 1), wire.Notice(V1, 0x200001, 300, (7, 8, 9)))
        self.assertEqual(wire.decode(bytes.fromhex(STATEMENT_REPLY), 2), wire.Statement(V2, 7, 2, 358))

    def test_v1_login_shake_win(self):
        with wire.Peer(self.port, 1) as peer:
            peer.write(bytes.fromhex(LOGIN_V1))
            self.check(peer.read_bytes(), LOGIN_V1_REPLY)
            peer.write(bytes.fromhex(SHAKE))
            self.check(peer.read_bytes(), SHAKE_NOTHING)
            receipt = self.server_process.shakes(rate=1000, count=1, min_fen=257, max_fen=257)
            self.assertEqual(receipt["first_id"], 0x100001)
            self.wait_left(1)
            peer.write(bytes.fromhex(SHAKE))
            self.check(peer.read_bytes(), SHAKE_WON)
            peer.write(bytes.fromhex(SHAKE))
            self.check(peer.read_bytes(), SHAKE_NOTHING)
        self.server_process.stop()

    def test_v1_notice_and_open(self):
        with wire.Peer(self.port, 1, 8) as eight, wire.Peer(self.port, 1, 9) as nine, wire.Peer(self.port, 1) as seven:
            seven.write(bytes.fromhex(LOGIN_V1))
            self.check(seven.read_bytes(), LOGIN_V1_REPLY)
            before = int(time.time())
            receipt = self.server_process.gifts(rate=1000, count=1, users=3, first_user=7, last_user=9, min_fen=300,
                                                max_fen=300)
            frames = [peer.read_bytes() for peer in (seven, eight, nine)]
            shares = []
            for peer, data in zip((seven, eight, nine), frames):
                stamp, users = struct.unpack_from(">Q", data, 4)[0], struct.unpack(">3I", data[24:])
                self.assertTrue(before <= stamp <= int(time.time()) + 1, stamp)  # v1: seconds
                self.assertEqual(sorted(users), [7, 8, 9])  # all invited, in an order of the server's choice
                vector = bytearray(with_field(NOTICE, 12, receipt["first_id"]))
                vector[4:12], vector[24:] = data[4:12], data[24:]
                self.check(data, bytes(vector))
                peer.write(with_field(OPEN_V1, 16, receipt["first_id"]))
                reply = peer.read_bytes()
                shares.append(struct.unpack_from(">I", reply, 16)[0])
                self.check(reply, with_field(with_field(OPEN_V1_REPLY, 12, receipt["first_id"]).hex(), 16, shares[-1]))
            self.assertEqual(sum(shares), 300)
            self.assertGreaterEqual(min(shares), 1)
        self.server_process.stop()

    def test_v1_open_of_101_fen_gives_the_vector(self):
        """One share of 101 fen: nothing left to chance but the id."""
        with wire.Peer(self.port, 2, 1) as sender, wire.Peer(self.port, 1) as peer:
            peer.write(bytes.fromhex(LOGIN_V1))
            peer.read_bytes()
            gift = sender.send(101, [7])
            self.assertEqual(gift.result, 0)
            notice = peer.notice()
            self.assertEqual((notice.envelope, notice.fen, notice.users), (gift.envelope, 101, (7, 7, 7)))
            peer.write(with_field(OPEN_V1, 16, gift.envelope))
            self.check(peer.read_bytes(), with_field(OPEN_V1_REPLY, 12, gift.envelope))
        self.server_process.stop()

    def test_v2_whole_story(self):
        """login, send, open, win, statement: 2 grants of 101 + 257 = 358 fen, as in the vectors."""
        with wire.Peer(self.port, 2) as peer, wire.Peer(self.port, 2, 1) as sender:
            peer.write(bytes.fromhex(LOGIN_V2))
            self.check_login_v2(peer.read_bytes(), last_stamp=0)
            peer.write(bytes.fromhex(SEND))
            reply = peer.read_bytes()
            self.check(reply, with_field(SEND_REPLY, 20, struct.unpack_from(">I", reply, 20)[0]))
            gift = sender.send(101, [7])
            self.assertEqual(peer.notice()[1:], (gift.envelope, 101, (7,)))
            peer.write(with_field(OPEN_V2, 16, gift.envelope))
            self.check(peer.read_bytes(), with_field(OPEN_V2_REPLY, 12, gift.envelope))
            receipt = self.server_process.shakes(rate=1000, count=1, min_fen=257, max_fen=257)
            self.assertEqual(receipt["first_id"], 0x100001)
            self.wait_left(1)
            peer.write(bytes.fromhex(SHAKE_V2))
            self.check(peer.read_bytes(), SHAKE_WON.replace("00000000589f22e5", "14a242b35da67f15"))
            peer.write(bytes.fromhex(STATEMENT))
            self.check(peer.read_bytes(), STATEMENT_REPLY)
        self.server_process.stop()

    # ---- cut and joined ----

    STORIES = {1: (LOGIN_V1, SHAKE, OPEN_V1), 2: (LOGIN_V2, SHAKE_V2, OPEN_V2, SEND, STATEMENT)}

    def check_story(self, peer, where):
        """The answers to a story of STORIES (no envelope is there, 0x200001 is nobody's gift)."""
        if peer.version == 1:
            self.check(peer.read_bytes(), LOGIN_V1_REPLY, **where)
            self.check(peer.read_bytes(), SHAKE_NOTHING, **where)
            self.check(peer.read_bytes(), with_field(OPEN_V1_REPLY, 16, 0), **where)
            return
        login = peer.read_bytes()
        self.check(login[:20], LOGIN_V2_REPLY[:40], **where)
        self.check(peer.read_bytes(), SHAKE_NOTHING.replace("00000000589f22e5", "14a242b35da67f15"), **where)
        self.check(peer.read_bytes(), with_field(OPEN_V2_REPLY, 16, 0), **where)
        sent = peer.read_bytes()
        self.check(sent, with_field(SEND_REPLY, 20, struct.unpack_from(">I", sent, 20)[0]), **where)
        statement = bytearray.fromhex(STATEMENT_REPLY)
        statement[16:] = bytes(12)  # nothing won
        self.check(peer.read_bytes(), bytes(statement), **where)

    def received(self):
        return self.server_process.status()["rings"]["received_bytes"]

    def cut_everywhere(self, version):
        story = bytes.fromhex("".join(self.STORIES[version]))
        before = self.received()
        for cut in range(1, len(story)):
            with wire.Peer(self.port, version) as peer:
                peer.write(story[:cut])
                # Only then the rest: the two parts cannot meet in one receive.
                processes.wait_until(lambda: self.received() >= before + cut, f"the first {cut} bytes have arrived")
                peer.write(story[cut:])
                self.check_story(peer, {"cut": cut})
            before += len(story)
        return len(story) - 1

    def test_v1_cut_at_every_byte(self):
        cuts = self.cut_everywhere(1)
        report = self.server_process.stop()
        self.assertGreaterEqual(report["rings"]["receives"], 2 * cuts)
        self.assertEqual(report["connections"]["closed_by"]["malformed"], 0)

    def test_v2_cut_at_every_byte(self):
        cuts = self.cut_everywhere(2)
        report = self.server_process.stop()
        self.assertGreaterEqual(report["rings"]["receives"], 2 * cuts)
        self.assertEqual(report["gifts"]["sent"], cuts)
        self.assertEqual(report["connections"]["closed_by"]["malformed"], 0)

    def test_byte_by_byte(self):
        for version, story in self.STORIES.items():
            with wire.Peer(self.port, version) as peer:
                before = self.received()
                for number, byte in enumerate(bytes.fromhex("".join(story)), start=1):
                    peer.write(bytes([byte]))
                    processes.wait_until(lambda: self.received() >= before + number, f"byte {number} has arrived")
                self.check_story(peer, {"version": version})
        self.server_process.stop()

    def test_joined(self):
        """The whole story in one segment, and with 200 more shakes behind it, in the order of the requests."""
        for version, story in self.STORIES.items():
            data = bytes.fromhex("".join(story))
            shake = bytes.fromhex(SHAKE if version == 1 else SHAKE_V2)
            with wire.Peer(self.port, version) as peer:
                peer.write(data + 200 * shake)
                self.check_story(peer, {"version": version})
                for _ in range(200):
                    self.assertEqual(peer.expect(wire.Shake)[1:], (7, wire.NOTHING, 0, 0))
                with self.assertRaises(TimeoutError):  # not one answer more
                    peer.socket.settimeout(0.05)
                    peer.read_bytes()
        report = self.server_process.stop()
        self.assertEqual(report["requests"]["received"], 402)


if __name__ == "__main__":
    processes.main()
