"""What a peer of version 1 (the 2017 prototype's client) lives through, from login to the last fen."""

import time

import processes
import wire


class V1StoryTest(processes.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.server_process = self.server()
        self.port = self.server_process.port

    def peers(self, *users, version=1):
        peers = {}
        for user in users:
            peers[user] = wire.Peer(self.port, version, user)
            self.addCleanup(peers[user].close)
        return peers

    def gift(self, first, last, fen=300, users=3):
        return self.server_process.gifts(rate=1000, count=1, users=users, first_user=first, last_user=last, min_fen=fen,
                                         max_fen=fen)["first_id"]

    def test_a_whole_story(self):
        """Login, shakes, a win, the notice, the open with user_id 0, the amount; all shares together are the amount."""
        peers = self.peers(*range(10))
        for _ in range(3):  # the prototype shakes once a second; the server has no minimum
            for peer in peers.values():
                self.assertEqual(peer.shake().result, wire.NOTHING)
        self.server_process.shakes(rate=1000, count=5, min_fen=10, max_fen=309)
        self.server_process.wait_status(lambda page: page["shake"]["left"] == 5, "five envelopes wait")
        wins = [reply for reply in (peer.shake() for peer in peers.values()) if reply.result == wire.WON]
        self.assertEqual(len(wins), 5)
        self.assertTrue(all(10 <= win.fen <= 309 for win in wins), wins)
        gift = self.gift(2, 4)
        opened = {}
        for user in (2, 3, 4):
            notice = peers[user].notice()
            self.assertEqual((notice.envelope, notice.fen, sorted(notice.users)), (gift, 300, [2, 3, 4]))
            opened[user] = peers[user].open(gift, user=0).fen
        self.assertEqual(sum(opened.values()), 300)
        report = self.server_process.stop()
        self.assertEqual(report["shake"]["won_fen"], sum(win.fen for win in wins))
        self.assertEqual((report["gifts"]["opened"], report["gifts"]["opened_fen"]), (3, 300))

    def test_defect02_nothing_is_dropped_when_much_comes_at_once(self):
        """300 shakes in one write, from ten peers: the prototype's full queues dropped requests without an answer."""
        peers = self.peers(*range(10))
        for user, peer in peers.items():
            peer.write(300 * wire.frame(wire.SHAKE, 1, user))
        for user, peer in peers.items():
            for _ in range(300):
                self.assertEqual(peer.read(), wire.Shake(1, user, wire.NOTHING, 0, 0))
        self.assertEqual(self.server_process.stop()["requests"]["replied"], 3000)

    def test_defect04_opens_are_not_mixed_up(self):
        """Opens of many gifts back to back: the prototype overwrote a queued open by another user's message."""
        senders, peers = self.peers(30, 31, version=2), self.peers(1, 2, 3)
        gifts = {peer: {} for peer in peers.values()}
        for n in range(40):
            for sender in senders.values():
                for user, peer in peers.items():
                    gifts[peer][sender.send(1000 * user + n, [user]).envelope] = 1000 * user + n
        for peer, mine in gifts.items():
            peer.write(b"".join(wire.frame(wire.OPEN, 1, 0, gift) for gift in mine))
        for peer, mine in gifts.items():
            opened = dict(peer.expect(wire.Opened)[1:3] for _ in mine)
            self.assertEqual(opened, mine)
        report = self.server_process.stop()
        self.assertEqual(report["gifts"]["opened_fen"], report["gifts"]["sent_fen"])

    def test_defect05_notice_reaches_only_the_invited(self):
        peers = self.peers(*range(8))
        gift = self.gift(5, 7)
        for user in (5, 6, 7):
            self.assertEqual(peers[user].notice().envelope, gift)
        self.server_process.wait_status(lambda page: page["gifts"]["notices"] == 3, "three notices went out")
        for user, peer in peers.items():  # a stranger's next frame is the answer to its own shake
            stamp = peer.send_shake()
            self.assertEqual(peer.read(), wire.Shake(stamp, user, wire.NOTHING, 0, 0))
        self.server_process.stop()

    def test_defect07_open_once_and_by_the_invited_only(self):
        peers = self.peers(*range(5))
        gift = self.gift(0, 2)
        self.assertEqual({peers[user].notice().envelope for user in (0, 1, 2)}, {gift})
        first = {user: peers[user].open(gift).fen for user in (0, 1, 2)}
        for user in (0, 1, 2):
            self.assertEqual(peers[user].open(gift).fen, first[user], "the second open gives the first amount")
            self.assertEqual(peers[user].open(gift, user=user if user else 0).fen, first[user])
        for user in (3, 4):
            self.assertEqual(peers[user].open(gift).fen, 0, "a stranger gets nothing")
        for unknown in (0, 1, 0x200001, 0x7fffffff, gift + 1, 0x80000000, 0xc0000000, 0xffffffff):
            self.assertEqual(peers[3].open(unknown).fen, 0, hex(unknown))  # and each open gets an answer
        self.assertEqual(sum(first.values()), 300)
        report = self.server_process.stop()
        self.assertEqual((report["gifts"]["opened"], report["gifts"]["opened_fen"]), (3, 300))
        self.assertEqual(report["gifts"]["opened_again"], 6)
        self.assertEqual(report["gifts"]["empty"], 10)

    def test_split_no_share_is_empty_and_the_last_is_not_the_largest(self):
        """The prototype's split gave 0 fen to some and the most to the last opener, always."""
        peers = self.peers(0, 1, 2)
        receipt = self.server_process.gifts(rate=1000, count=60, users=3, first_user=0, last_user=2, min_fen=10, max_fen=309)
        # Gifts have different owners, so their notices may overtake each other.
        notices = [{notice.envelope: notice.fen for notice in (peers[user].notice() for _ in range(60))} for user in (0, 1, 2)]
        self.assertEqual(notices[0], notices[1])
        self.assertEqual(notices[0], notices[2])
        self.assertEqual(sorted(notices[0]), list(range(receipt["first_id"], receipt["first_id"] + 60)))
        last_is_largest = 0
        for gift, fen in notices[0].items():
            shares = [peers[user].open(gift).fen for user in (0, 1, 2)]
            self.assertEqual(sum(shares), fen)
            self.assertGreaterEqual(min(shares), 1)
            last_is_largest += shares[2] == max(shares)
        self.assertLess(last_is_largest, 55)  # a third of them is to be expected
        self.server_process.stop()

    def test_defect06_recipients_are_distinct(self):
        peers = self.peers(20, 21, 22)
        receipt = self.server_process.gifts(rate=1000, count=30, users=3, first_user=20, last_user=22)
        for _ in range(30):
            for user in (20, 21, 22):
                self.assertEqual(sorted(peers[user].notice().users), [20, 21, 22])
        code, body = self.server_process.http("POST", "/v1/envelopes/gift", rate=1, count=1, users=3, first_user=5,
                                              last_user=5)
        self.assertEqual(code, 400, body)  # three of one user: refused, not a crash
        self.assertIn("error", body)
        self.assertEqual(receipt["count"], 30)
        self.server_process.stop()

    def test_defect08_each_envelope_has_its_own_id(self):
        peers = self.peers(1, 2)
        first = self.server_process.shakes(rate=1000, count=20)["first_id"]
        ids = []

        def all_won():
            ids.extend(reply.envelope for reply in (peer.shake() for peer in peers.values()) if reply.result == wire.WON)
            return len(ids) >= 20
        processes.wait_until(all_won, "all 20 are won")
        self.assertEqual(sorted(ids), list(range(first, first + 20)))
        self.server_process.stop()

    def test_an_offline_invited_user_is_told_at_the_next_login(self):
        peers = self.peers(6, 7)
        gift = self.gift(5, 7)
        for user in (6, 7):
            self.assertEqual(peers[user].notice().envelope, gift)
        late = wire.Peer(self.port, 1)
        self.addCleanup(late.close)
        late.login(5)  # the answer comes first, then the notice
        notice = late.notice()
        self.assertEqual((notice.envelope, notice.fen, sorted(notice.users)), (gift, 300, [5, 6, 7]))
        shares = [peer.open(gift).fen for peer in (late, *peers.values())]
        self.assertEqual(sum(shares), 300)
        again = wire.Peer(self.port, 1, 5)  # opened: nothing to be told
        self.addCleanup(again.close)
        self.assertEqual(again.shake().result, wire.NOTHING)
        self.assertEqual(again.notices, [])
        self.server_process.stop()

    def test_all_of_many_gifts_are_told_in_the_end(self):
        """A user who was away for 150 gifts is told of some at the login, and of the next as he opens them."""
        server = self.server("--gifts-per-pair", "0")
        with wire.Peer(server.port, 2, 9) as sender:
            sent = {sender.send(100 + n, list(range(1000, 1050))).envelope for n in range(150)}
        with wire.Peer(server.port, 2, 1007) as away:
            opened = set()
            while opened != sent:
                notice = away.notice()
                if notice.envelope not in opened:
                    self.assertGreater(away.open(notice.envelope).fen, 0)
                    opened.add(notice.envelope)
        self.assertEqual(server.stop()["gifts"]["opened"], 150)

    def test_defect10_what_is_not_opened_expires_and_goes_back(self):
        server = self.server("--gift-expiry", "300ms")
        with wire.Peer(server.port, 1, 1) as one:
            gift = server.gifts(rate=1000, count=1, users=2, first_user=0, last_user=1, min_fen=100, max_fen=100)["first_id"]
            one.notice()
            share = one.open(gift).fen  # may be late on a busy machine: then the whole gift is refunded
            page = server.wait_status(lambda page: page["gifts"]["left_shares"] == 0, "the gift has expired")
            self.assertEqual(page["gifts"]["refunded_fen"], 100 - share)
            self.assertEqual(page["gifts"]["refunded_shares"], 2 - (share > 0))
            with wire.Peer(server.port, 1, 0) as zero:
                self.assertEqual(zero.shake().result, wire.NOTHING)
                self.assertEqual(zero.notices, [])  # no notice of what is gone
                self.assertEqual(zero.open(gift).fen, 0)
        server.stop()

    def test_defect17_gifts_never_run_out(self):
        """The prototype lost one of its pooled messages with each gift, and stopped when the pool was empty."""
        server = self.server("--gifts-per-pair", "0")
        server.gifts(rate=100_000, count=20_000, users=3, first_user=0, last_user=9_999)
        page = server.wait_status(lambda page: page["gifts"]["sent"] == 20_000, "all gifts are sent")
        self.assertEqual((page["gifts"]["shares"], page["mint_waiting"]), (60_000, 0))
        with wire.Peer(server.port, 2, 9) as sender, wire.Peer(server.port, 1, 1) as peer:
            for n in range(300):
                gift = sender.send(n + 1, [1]).envelope
                self.assertEqual(peer.open(gift).fen, n + 1)
        server.stop()

    def test_defect18_a_newer_login_closes_the_older_connection_and_stays(self):
        """The late close of the old connection must not take the user's new one away."""
        sender = wire.Peer(self.port, 2, 9)
        self.addCleanup(sender.close)
        for attempt in range(20):
            old = wire.Peer(self.port, 1, 50)
            new = wire.Peer(self.port, 1, 50)
            self.addCleanup(new.close)
            if attempt % 2:
                old.wait_closed()
            old.close()  # before or after the server's own close
            page = self.server_process.wait_status(lambda page: page["connections"]["live"] == 2, "one connection is left")
            self.assertEqual(page["users"]["online"], 2)
            self.assertEqual(new.shake().result, wire.NOTHING)
            gift = sender.send(77, [50]).envelope  # it is still the one that is told
            self.assertEqual(new.notice()[1:3], (gift, 77))
            self.assertEqual(new.open(gift).fen, 77)
            new.close()
            self.server_process.wait_status(lambda page: page["connections"]["live"] == 1, "both are gone")
        sender.close()
        self.server_process.wait_status(lambda page: page["connections"]["live"] == 0, "all are gone")
        report = self.server_process.stop()
        self.assertEqual(report["logins"]["ok"], 41)
        self.assertEqual(report["users"]["superseded"], 20)
        closes = report["connections"]["closed_by"]
        self.assertEqual(closes["superseded"] + closes["peer"] + closes["reset"], 41)

    def test_v1_and_v2_meet(self):
        """A v2 user sends to v1 users; the list of a v1 notice always names three, the recipient among them."""
        one, two, three = self.peers(1, 2, 3).values()
        sender = wire.Peer(self.port, 2, 9)
        self.addCleanup(sender.close)
        for users in ([1], [1, 2], [1, 2, 3], [4, 5, 6, 1, 2, 3]):
            gift = sender.send(600, users)
            self.assertEqual(gift.result, 0)
            got = 0
            for user, peer in ((1, one), (2, two), (3, three)):
                if user in users:
                    notice = peer.notice()
                    self.assertEqual((notice.envelope, notice.fen), (gift.envelope, 600))
                    self.assertIn(user, notice.users)
                    self.assertLessEqual(set(notice.users), set(users))
                    got += peer.open(gift.envelope).fen
            (self.assertEqual if len(users) <= 3 else self.assertLess)(got, 600)
        self.server_process.stop()

    def test_version_2_requests_are_malformed_in_a_v1_session(self):
        for frame in (wire.frame(wire.SEND, 1, 1, 100, 1, 2), wire.frame(wire.STATEMENT, 1, 1)):
            with wire.Peer(self.port, 1, 1) as peer:
                peer.write(frame)
                self.assertEqual(peer.wait_closed(), [])
        report = self.server_process.stop()
        self.assertEqual(report["connections"]["closed_by"]["malformed"], 2)

    def test_stamps_of_v1_are_seconds(self):
        with wire.Peer(self.port, 1, 1) as peer:
            gift = self.gift(1, 1, users=1)
            notice = peer.notice()
            self.assertEqual(notice.envelope, gift)
            self.assertLess(abs(notice.stamp - time.time()), 3600)
        self.server_process.stop()


if __name__ == "__main__":
    processes.main()
