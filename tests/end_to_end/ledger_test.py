"""Money that survives, on real sockets and real kills: the protocol's rules 3 to 6, each kill point, a disk that fills up, and files
that are no ledger."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import sqlite3

import processes
import wire

from hongbao_tools.common.processes import AdminError, Died
from hongbao_tools.ledger import books, files

NOTHING_MORE = 2**64 - 1  # resume_after of a client that knows all


class LedgerCase(processes.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "ledger.sqlite")

    def up(self, *flags, **options):
        return self.server("--ledger", "sqlite:" + self.path, *flags, **options)

    def again(self, server, *flags):
        """Another server on the same file, the first one killed."""
        server.kill()
        return self.up(*flags)

    def peer(self, server, user, resume_after=NOTHING_MORE, version=2):
        peer = wire.Peer(server.port, version, user, resume_after=resume_after)
        self.addCleanup(peer.close)
        return peer

    def books(self):
        """Of the dead server's file; they must be in order."""
        with self.copied() as copy:
            code, out, err = processes.run(processes.SERVER, "--audit-only", "--ledger", "sqlite:" + copy)
            self.assertEqual(code, 0, out + err)
            found = books.Books(copy)
        self.assertEqual(list(found.problems()), [])
        return found

    @contextlib.contextmanager
    def copied(self):
        folder = os.path.join(self.folder, "copy")
        os.makedirs(folder)
        try:
            yield files.copy(self.path, folder)
        finally:
            shutil.rmtree(folder)


def win(peer):
    """Shakes until it wins: (stamp, the reply's bytes)."""
    while True:
        stamp = peer.send_shake()
        data = read_bytes(peer)
        if wire.decode(data, peer.version).result == wire.WON:
            return stamp, data


def read_bytes(peer):
    """The next frame that is no notice."""
    while True:
        data = peer.read_bytes()
        got = wire.decode(data, peer.version)
        if not isinstance(got, wire.Notice):
            return data
        peer.notices.append(got)


def ask(peer, kind, stamp, *words):
    """The bytes of the answer to a frame."""
    peer.write(wire.frame(kind, stamp, *words))
    return read_bytes(peer)


def until_statement(peer):
    """All that comes before the answer to a statement request that is sent now, and the answer."""
    stamp = peer.stamp()
    peer.write(wire.frame(wire.STATEMENT, stamp, peer.user))
    before = []
    while True:
        data = read_bytes(peer)
        got = wire.decode(data, peer.version)
        if isinstance(got, wire.Statement):
            return before, (got.grants, got.fen)
        before.append(data)


class ProtocolTest(LedgerCase):
    def test_repeated_win_is_the_first_win(self):
        server = self.up()
        server.shakes(rate=1000, count=8)
        peer = self.peer(server, 1)
        stamp, first = win(peer)
        self.assertEqual(ask(peer, wire.SHAKE, stamp, 1), first)
        peer.write(5 * wire.frame(wire.SHAKE, stamp, 1))
        self.assertEqual([read_bytes(peer) for _ in range(5)], 5 * [first])
        newer = self.peer(server, 1, resume_after=stamp)
        self.assertEqual(peer.wait_closed(), [])  # one session a user
        self.assertTrue(peer.superseded)
        self.assertEqual(ask(newer, wire.SHAKE, stamp, 1), first)
        server = self.again(server)
        last = self.peer(server, 1, resume_after=stamp)
        self.assertEqual(ask(last, wire.SHAKE, stamp, 1), first)
        self.assertEqual(last.statement()[2:], (1, wire.decode(first, 2).fen))
        server.stop()
        self.assertEqual(len(self.books().grants), 1)

    def test_pipelined_repeats_of_what_is_just_being_decided(self):
        server = self.up()
        server.shakes(rate=1000, count=40)
        peer = self.peer(server, 2)
        wins = {}
        win(peer)  # now there are some
        for _ in range(10):
            stamp = peer.stamp()
            peer.write(6 * wire.frame(wire.SHAKE, stamp, 2))
            won = {reply for reply in (read_bytes(peer) for _ in range(6)) if wire.decode(reply, 2).result == wire.WON}
            self.assertLessEqual(len(won), 1, "one request, one outcome")
            wins.update({stamp: reply for reply in won})
        self.assertTrue(wins)
        self.assertEqual(peer.statement().grants, 1 + len(wins))
        server.stop()
        self.assertEqual(len(self.books().grants), 1 + len(wins))

    def test_resume_sends_what_is_above_and_no_more(self):
        server = self.up()
        server.shakes(rate=1000, count=6)
        peer = self.peer(server, 3)
        told = dict(win(peer) for _ in range(4))
        server.gifts(rate=1000, count=1, users=3, first_user=3, last_user=5)
        gift = peer.notice().envelope
        stamp = peer.stamp()
        told[stamp] = ask(peer, wire.OPEN, stamp, 3, gift)
        stamps = sorted(told)
        fen = sum(wire.decode(data, 2).fen for data in told.values())
        for restart in (False, True):
            server = self.again(server) if restart else server
            for above, want in ((0, stamps), (stamps[1], stamps[2:]), (stamps[4] - 1, stamps[4:]), (stamps[4], []), (NOTHING_MORE, [])):
                newer = wire.Peer(server.port)
                self.addCleanup(newer.close)
                reply = newer.login(3, resume_after=above)
                self.assertEqual((reply.result, reply.last_stamp), (0, stamps[4]))
                resumed, statement = until_statement(newer)
                self.assertEqual(sorted(resumed), sorted(told[stamp] for stamp in want))
                self.assertEqual(statement, (5, fen))
        self.assertEqual(self.peer(server, 4).statement()[2:], (0, 0))
        server.stop()
        self.assertEqual({grant.stamp for grant in self.books().grants}, set(stamps))

    def test_repeated_send_is_one_gift_and_its_invites_are_told_once(self):
        server = self.up()
        sender, other = self.peer(server, 10), self.peer(server, 11)
        stamp = sender.stamp()
        words = (10, 300, 3, 11, 12, 13)
        first = ask(sender, wire.SEND, stamp, *words)
        gift = wire.decode(first, 2).envelope
        self.assertEqual(other.notice()[1:], (gift, 300, (11, 12, 13)))
        sender.write(3 * wire.frame(wire.SEND, stamp, *words))
        self.assertEqual([read_bytes(sender) for _ in range(3)], 3 * [first])
        self.assertEqual(ask(self.peer(server, 10), wire.SEND, stamp, *words), first)
        other.shake()
        self.assertEqual(other.notices, [])
        server = self.again(server)
        sender = wire.Peer(server.port)
        self.addCleanup(sender.close)
        self.assertEqual(sender.login(10).last_stamp, stamp)
        self.assertEqual(ask(sender, wire.SEND, stamp, *words), first)
        fen = 0
        for user in (11, 12, 13):
            with wire.Peer(server.port, 2, user) as peer:
                self.assertEqual(peer.notice().envelope, gift)
                fen += peer.open(gift).fen
                peer.shake()
                self.assertEqual(peer.notices, [])
        self.assertEqual(fen, 300)
        self.assertNotEqual(sender.send(300, [11, 12, 13]).envelope, gift)
        server.stop()
        self.assertEqual([e.total for e in self.books().envelopes.values() if e.sender == 10], [300, 300])

    def test_open_twice_is_the_first_amount(self):
        server = self.up("--gift-expiry", "4s")
        server.gifts(rate=1000, count=1, users=3, first_user=20, last_user=22, min_fen=300, max_fen=300)
        peer = self.peer(server, 20)
        gift = peer.notice().envelope
        stamp = peer.stamp()
        first = ask(peer, wire.OPEN, stamp, 20, gift)
        fen = wire.decode(first, 2).fen
        self.assertGreater(fen, 0)
        self.assertEqual(ask(peer, wire.OPEN, stamp, 20, gift), first)
        self.assertEqual(peer.open(gift).fen, fen)
        server = self.again(server, "--gift-expiry", "4s")
        peer = self.peer(server, 20)
        self.assertEqual((ask(peer, wire.OPEN, stamp, 20, gift), peer.open(gift).fen), (first, fen))
        server.wait_status(lambda page: page["gifts"]["refunded_shares"] == 2, "the rest goes back")
        self.assertEqual((ask(peer, wire.OPEN, stamp, 20, gift), peer.open(gift).fen), (first, fen))
        self.assertEqual(self.peer(server, 21).open(gift).fen, 0)
        self.assertEqual(self.peer(server, 23).open(gift).fen, 0)
        server = self.again(server)
        peer = self.peer(server, 20)
        self.assertEqual((ask(peer, wire.OPEN, stamp, 20, gift), peer.open(gift).fen), (first, fen))
        self.assertEqual(self.peer(server, 21).open(gift).fen, 0)
        self.assertEqual(peer.statement()[2:], (1, fen))
        server.stop()
        self.assertEqual([(e.left, e.state) for e in self.books().envelopes.values()], [(0, books.EXPIRED)])

    def test_a_gift_that_expires_while_nobody_serves_goes_back(self):
        server = self.up("--gift-expiry", "1s")
        server.gifts(rate=1000, count=1, users=3, first_user=20, last_user=22)
        gift = self.peer(server, 20).notice().envelope
        server.kill()
        with self.copied() as copy, contextlib.closing(sqlite3.connect(copy)) as db:
            expires_ms, = db.execute("SELECT expires_ms FROM envelopes WHERE id = ?", (gift,)).fetchone()
        processes.wait_until(lambda: wire.time.time() * 1000 > expires_ms, "it has expired")
        server = self.up()
        self.assertEqual(self.peer(server, 20).open(gift).fen, 0)
        server.stop()
        self.assertEqual([(e.left, e.state) for e in self.books().envelopes.values()], [(0, books.EXPIRED)])

    def test_newer_login_while_a_commit_is_under_way(self):
        """The older connection asks and is gone; the newer one asks the same again: one outcome, whoever hears of it."""
        server = self.up()
        server.shakes(rate=10_000, count=300)
        known, wins = 0, {}
        older = self.peer(server, 30)
        win_stamp, data = win(older)
        wins[win_stamp] = {data}
        for _ in range(60):
            stamp = known = max(older.stamp(), known + 1)
            older.write(wire.frame(wire.SHAKE, stamp, 30))
            newer = self.peer(server, 30, resume_after=stamp - 1)
            newer._stamp = stamp
            newer.write(wire.frame(wire.SHAKE, stamp, 30))
            replies, _ = until_statement(newer)
            replies += [wire.frame(wire.SHAKE_REPLY, reply.stamp, *reply[1:]) for reply in older.wait_closed()]
            self.keep_wins(replies, wins)
            older = newer
        statement = None
        while statement != (len(wins), sum(wire.decode(reply, 2).fen for replies in wins.values() for reply in replies)):
            replies, statement = until_statement(newer)  # what an older connection asked for may come to the newest at any time
            self.keep_wins(replies, wins)
            self.assertTrue(all(len(replies) == 1 for replies in wins.values()), wins)
        self.assertGreater(len(wins), 1)
        server.stop()
        self.assertEqual({grant.stamp for grant in self.books().grants}, set(wins))

    def keep_wins(self, replies, wins):
        for reply in replies:
            got = wire.decode(reply, 2)
            if got.result == wire.WON:
                wins.setdefault(got.stamp, set()).add(reply)

    def test_the_cap_and_version_1_survive_a_restart(self):
        server = self.up("--wins-per-user", "2")
        server.shakes(rate=1000, count=10)
        peer = self.peer(server, 40)
        win(peer), win(peer)
        old = self.peer(server, 41, version=1)
        win(old)
        server = self.again(server, "--wins-per-user", "2")
        self.assertEqual(self.peer(server, 40).shake().result, wire.CAP)
        old = self.peer(server, 41, version=1)
        win(old)
        self.assertEqual(old.shake().result, wire.CAP)
        self.assertEqual(self.peer(server, 41, resume_after=0).statement().grants, 2)
        server.stop()
        self.assertEqual(len(self.books().grants), 4)


class OrdersTest(LedgerCase):
    """Orders over HTTP: one for each key, listed, ended, and all of it after a kill -9 too."""

    def orders(self, server, **which):
        return server.order("GET", "/v1/envelopes/orders", **which)

    def test_a_key_is_one_order_over_restarts(self):
        server = self.up()
        asked = {"rate": 5, "count": 2_000_000_000, "key": "monday"}
        code, body = server.http("POST", "/v1/envelopes/shake", **asked)
        self.assertEqual(code, 201, body)
        for restart in (False, True, True):
            server = self.again(server) if restart else server
            self.assertEqual(server.http("POST", "/v1/envelopes/shake", **asked), (200, body))
            self.assertEqual(server.http("POST", "/v1/envelopes/shake", **{**asked, "rate": 6})[0], 409)
            self.assertEqual(self.orders(server)["count"], 1)
            self.assertEqual(self.orders(server, key="monday")["count"], 2_000_000_000)
        server.stop()
        self.assertEqual(len(self.books().orders), 1)

    def test_cancelled_orders_stay_so_and_what_was_issued_stays(self):
        server = self.up()
        first = server.shakes(rate=200, count=100_000, key="shakes")["first_id"]
        gifts = server.gifts(rate=100, count=100_000, users=2, key="gifts")["first_id"]
        server.wait_status(lambda page: page["shake"]["issued"] > 50 and page["gifts"]["sent"] > 5, "some are issued")
        code, shown = server.http("DELETE", "/v1/envelopes/orders", id=first)
        self.assertEqual(code, 200, shown)
        code, shown = server.http("DELETE", "/v1/envelopes/orders", key="gifts")
        self.assertEqual(code, 200, shown)
        ended = self.orders(server, id=first)
        self.assertEqual((ended["state"], ended["issued"] + ended["cancelled"]), ("cancelled", 100_000))
        server = self.again(server)
        self.assertEqual(self.orders(server, id=first)["cancelled"], ended["cancelled"])
        self.assertEqual(self.orders(server, id=gifts)["state"], "cancelled")
        self.assertEqual(server.http("DELETE", "/v1/envelopes/orders", id=first)[0], 200)
        peer = self.peer(server, 1)
        for _ in range(ended["issued"]):
            win(peer)
        stamp = peer.send_shake()
        self.assertNotEqual(wire.decode(read_bytes(peer), 2).result, wire.WON, stamp)
        server.stop()
        books_found = self.books()
        self.assertEqual(books_found.cancels[first].shares, ended["cancelled"])
        self.assertEqual(sum(grant.kind == books.LOT for grant in books_found.grants), ended["issued"])
        self.assertEqual(books_found.envelopes[first].left, 0)

    def test_killed_between_the_end_of_an_order_and_the_answer(self):
        server = self.up(environment={"HONGBAO_KILL_AT": "cancel"})
        first = server.shakes(rate=200, count=100_000)["first_id"]
        server.wait_status(lambda page: page["shake"]["issued"] > 20, "some are issued")
        with self.assertRaises((AdminError, Died)):
            server.http("DELETE", "/v1/envelopes/orders", id=first)
        self.assertEqual(server.process.wait(), -signal.SIGKILL)
        server = self.up()
        self.assertEqual(self.orders(server, id=first)["state"], "cancelled", "it was durable before it was answered")
        server.stop()
        self.books()

    def test_health_is_answered_while_two_billion_envelopes_are_ordered(self):
        server = self.up()
        first = server.shakes(rate=1, count=2_000_000_000)
        self.assertEqual(first["count"], 2_000_000_000)
        code, body = server.http("POST", "/v1/envelopes/shake", rate=1, count=200_000_000)
        self.assertEqual(code, 503, body)
        self.assertIn("ids are left", body)
        server.kill()
        server = self.up()  # and read again
        self.assertEqual(self.orders(server)["count"], 1)
        server.stop()


class KillPointTest(LedgerCase):
    def killed_at(self, point, passing):
        """A server that dies there, and the stamp of the shake that was under way."""
        server = self.up(environment={"HONGBAO_KILL_AT": f"{point}:{passing}"})
        server.shakes(rate=1000, count=3, min_fen=50, max_fen=50)  # the first commit
        peer = self.peer(server, 1)
        while True:
            try:
                stamp = peer.send_shake()
                self.assertEqual(peer.expect(wire.Shake).result, wire.NOTHING, "no reply left before its commit")
            except (wire.Closed, ConnectionError):
                break
        self.assertEqual(server.process.wait(processes.TIMEOUT_S), -signal.SIGKILL)
        return stamp

    def test_before_the_commit_nothing_has_happened(self):
        for point, passing in (("after_claim", 1), ("before_commit", 2)):
            with self.subTest(point=point):
                stamp = self.killed_at(point, passing)
                self.assertEqual(self.books().grants, [])
                server = self.up()
                peer = self.peer(server, 1, resume_after=0)
                self.assertEqual(peer.statement()[2:], (0, 0))
                while wire.decode(ask(peer, wire.SHAKE, stamp, 1), 2).result != wire.WON:
                    pass  # the share is back, and a lost shake may be asked again
                self.assertEqual(peer.statement()[2:], (1, 50))
                server.stop()
                self.assertEqual(sorted(e.left_shares for e in self.books().envelopes.values()), [2])
                os.remove(self.path)

    def test_after_the_commit_it_is_the_users(self):
        stamp = self.killed_at("after_commit", 2)
        grant, = self.books().grants
        self.assertEqual((grant.user, grant.stamp, grant.fen), (1, stamp, 50))
        server = self.up()
        resumed, statement = until_statement(self.peer(server, 1, resume_after=0))
        self.assertEqual(([wire.decode(data, 2)[:3] for data in resumed], statement), ([(stamp, 1, wire.WON)], (1, 50)))
        self.assertEqual(ask(self.peer(server, 1), wire.SHAKE, stamp, 1), resumed[0])
        server.stop()
        self.assertEqual(len(self.books().grants), 1)

    def test_during_recovery_and_again(self):
        self.killed_at("after_commit", 2)
        for _ in range(2):
            server = self.up(environment={"HONGBAO_KILL_AT": "recovery"}, wait=False)
            self.assertEqual(server.process.wait(processes.TIMEOUT_S), -signal.SIGKILL)
            self.assertEqual(len(self.books().grants), 1)
        self.up().stop()
        self.assertEqual(len(self.books().grants), 1)

    def test_during_a_checkpoint(self):
        server = self.up(environment={"HONGBAO_KILL_AT": "checkpoint"})
        peer = self.peer(server, 1)
        server.shakes(rate=1000, count=20)
        told = dict(win(peer) for _ in range(5))
        server.gifts(rate=20_000, count=200_000, users=50, first_user=100, last_user=9_999)
        self.assertEqual(server.process.wait(processes.TIMEOUT_S), -signal.SIGKILL)
        server = self.up()
        resumed, statement = until_statement(self.peer(server, 1, resume_after=0))
        self.assertEqual((sorted(resumed), statement[0]), (sorted(told.values()), 5))
        server.kill()

    def test_unknown_point_is_told(self):
        code, _, err = processes.run(processes.SERVER, "--ledger", "sqlite:" + self.path, environment={"HONGBAO_KILL_AT": "tea"})
        self.assertEqual(code, 1)
        self.assertIn("after_claim, before_commit", err)


class FullDiskTest(LedgerCase):
    def test_stops_at_once_and_comes_back_clean(self):
        port = files.free_port()
        listen = ("--listen", f"127.0.0.1:{port}")
        server = self.up(*listen, file_bytes=1_000_000)
        log = os.path.join(self.folder, "money.csv")
        client = self.client(port, "--users", 200, "--qps", 600, "--workers", 1, "--money-log", log)
        self.connected(client)
        server.shakes(rate=400, count=100_000)
        server.gifts(rate=50, count=100_000, first_user=0, last_user=199)
        self.assertEqual(server.process.wait(processes.TIMEOUT_S), 5, server.log())
        said = [line for line in server.log().splitlines() if line.startswith("hongbao: ")]
        self.assertEqual(len(said), 2, server.log())
        self.assertIn("a commit failed: ", said[0])
        before = len(self.books().grants)
        self.assertGreater(before, 0)
        server = self.up(*listen)
        answered = client.status()["requests"]["answered"]
        client.wait_status(lambda page: page["connections"]["live"] == 200 and page["requests"]["answered"] > answered + 300,
                           "they shake again")
        report = client.stop(code=143)  # all its identities hold, the statements among them
        self.assertEqual((report["statements"]["equal"], report["requests"]["lost"]), (200, 0))
        server.stop()
        found = {(g.user, g.stamp): g.fen for g in self.books().grants}
        self.assertGreater(len(found), before)
        with open(log, encoding="ascii") as file:
            told = [tuple(map(int, line.split(",")[1:])) for line in file.readlines()[1:]]
        self.assertEqual(len({line[:2] for line in told}), len(told))
        self.assertEqual({(user, stamp): fen for user, stamp, _, fen in told}, found)


def fingerprint(path):
    """What must not change of a file (of a folder: what is in it)."""
    if os.path.isdir(path):
        return sorted(os.listdir(path))
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest(), os.stat(path).st_mtime_ns


class BadFileTest(LedgerCase):
    def refused(self, path, words, code=1):
        """One line, the exit code, the file as it was and nothing beside it (but perhaps a log of no bytes)."""
        before = fingerprint(path) if os.path.exists(path) else None
        beside = sorted(os.listdir(self.folder))
        got, out, err = processes.run(processes.SERVER, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ledger", "sqlite:" + path)
        self.assertEqual((got, out), (code, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn(words, err)
        self.assertIn(path, err)
        self.assertEqual(fingerprint(path) if os.path.exists(path) else None, before)
        log = path + "-wal"
        if os.path.exists(log) and os.path.getsize(log) == 0:
            os.remove(log)
        self.assertEqual(sorted(os.listdir(self.folder)), beside)

    def good(self):
        """A good file that nobody has open, and a stamp in it."""
        server = self.up()
        server.shakes(rate=1000, count=5)
        stamp, _ = win(self.peer(server, 1))
        server.stop()
        return stamp

    def patch(self, offset, data):
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def test_what_is_no_ledger(self):
        path = pathlib.Path(self.path)
        path.write_text("no ledger at all\n" * 100, encoding="ascii")
        self.refused(self.path, "not a ledger")
        path.write_bytes(b"")
        self.refused(self.path, "not a ledger")
        path.unlink()
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.execute("CREATE TABLE grants(a)")
        self.refused(self.path, "not a ledger")
        self.refused(self.folder, "not a regular file")
        self.refused(os.path.join(self.folder, "missing", "ledger.sqlite"), "there is no folder")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
            other.bind(os.path.join(self.folder, "socket"))
            before = sorted(os.listdir(self.folder))
            code, _, err = processes.run(processes.SERVER, "--ledger", "sqlite:" + os.path.join(self.folder, "socket"))
            self.assertEqual((code, sorted(os.listdir(self.folder))), (1, before), err)

    def test_another_version(self):
        self.good()
        self.patch(60, (77).to_bytes(4, "big"))
        self.refused(self.path, "version 77")

    def test_flipped_bytes(self):
        stamp = self.good()
        with open(self.path, "rb") as file:
            data = file.read()
        places = [at for at in range(len(data)) if data.startswith(stamp.to_bytes(8, "big"), at)]
        self.assertEqual(len(places), 3, "a stamp stands twice in its row and once in an index")
        for place in (*places, 5 * 4096):  # and the kind of a page
            self.patch(place, bytes([data[place] ^ 1]))
            with self.copied() as copy:
                code, out, err = processes.run(processes.SERVER, "--audit-only", "--ledger", "sqlite:" + copy)
            self.assertEqual(code, 4, out + err)
            self.refused(self.path, "", code=4)
            self.patch(place, data[place:place + 1])
        self.up().stop()

    def test_read_only(self):
        self.good()
        os.chmod(self.path, 0o444)
        self.refused(self.path, "read-only")
        os.chmod(self.path, 0o644)
        self.up().stop()

    def test_in_use(self):
        server = self.up()
        server.shakes(rate=1000, count=5)
        stamp, data = win(self.peer(server, 1))
        self.refused(self.path, f"in use by process {server.pid}")
        self.assertEqual(ask(self.peer(server, 1), wire.SHAKE, stamp, 1), data)
        server.stop()

    def test_wrong_flags(self):
        for flag in ("", "sqlite:", "file:x", "sqlite"):
            code, _, err = processes.run(processes.SERVER, "--ledger", flag)
            self.assertEqual(code, 2, err)
        code, _, err = processes.run(processes.SERVER, "--audit-only")
        self.assertEqual(code, 1, err)


class NoLedgerTest(processes.EndToEndTest):
    def test_none_serves_as_ever(self):
        server = self.server("--ledger", "none")
        server.shakes(rate=500, count=500)
        server.gifts(rate=50, count=50, first_user=0, last_user=99)
        client = self.client(server, "--users", 100, "--qps", 300, "--duration", "2s")
        report = client.finish()
        self.assertEqual(report["statements"]["equal"], 100)
        self.assertGreater(report["won"]["count"], 0)
        server.stop()


if __name__ == "__main__":
    processes.main()
