"""Gateways: one connection that carries many users, against the real server. Requests pipelined back to back, answers in any
order, matched by (user, stamp); let in with the token only."""

import collections
import os
import select

import processes
import wire

TOKEN = bytes.fromhex("00112233445566778899aabbccddeeff")
USERS = 1_000


class Gateway(wire.Peer):
    """A Peer that has logged in for `count` users from `first` on."""

    def __init__(self, port, first, count, token=TOKEN):
        super().__init__(port)
        self.first, self.count = first, count
        stamp = self.stamp()
        self.write(wire.login(2, first, stamp, count=count, token=token))
        self.reply = self.expect(wire.Login)
        assert (self.reply.stamp, self.reply.user) == (stamp, first), self.reply

    def shakes(self, number):
        """Shakes of its users in turn, and {(user, stamp)}."""
        keys = [(self.first + i % self.count, self.stamp()) for i in range(number)]
        return b"".join(wire.frame(wire.SHAKE, stamp, user) for user, stamp in keys), keys

    def answers(self, number):
        return [self.expect(wire.Shake) for _ in range(number)]


class GatewayTest(processes.EndToEndTest):
    def token_file(self, digits=TOKEN.hex()):
        path = os.path.join(self.folder, "token")
        with open(path, "w", encoding="ascii") as file:
            file.write(digits + "\n")
        return path

    def gateway_server(self, *flags, **options):
        return self.server("--gateway-token-file", self.token_file(), *flags, **options)

    def test_it_is_let_in_with_the_token_only(self):
        server = self.gateway_server("--gateways-max", "1", "--workers", "1")
        wrong = Gateway(server.port, 0, 10, token=bytes(16))
        self.assertEqual(wrong.reply.result, 2)
        self.assertEqual(wrong.wait_closed(), [])
        self.assertEqual(Gateway(server.port, 9_995, 10).reply.result, 1)
        first = Gateway(server.port, 0, 10)
        self.assertEqual((first.reply.result, first.reply.last_stamp), (0, 0))
        self.assertEqual(Gateway(server.port, 20, 10).reply.result, 3, "there is room for one")
        first.close()
        server.wait_status(lambda page: page["connections"]["live"] == 0, "it has gone")
        self.assertEqual(Gateway(server.port, 20, 10).reply.result, 0)
        server.stop()
        without = self.server()
        self.assertEqual(Gateway(without.port, 0, 10).reply.result, 2)
        without.stop()

    def test_a_bad_token_file_is_told(self):
        for digits in ("", "12", "zz" * 16, "00" * 16):
            code, _, errors = processes.run(processes.SERVER, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                                            "--gateway-token-file", self.token_file(digits))
            self.assertNotEqual(code, 0)
            self.assertIn("token", errors)

    def story(self, *flags, number=20_000, envelopes=300):
        """Pipelines `number` shakes while envelopes come, in large pieces cut anywhere; everything is answered once."""
        server = self.gateway_server("--workers", "1", *flags)
        gateway = Gateway(server.port, 100, USERS)
        server.shakes(rate=100 * envelopes, count=envelopes)
        won = {}
        for part in range(10):
            data, keys = gateway.shakes(number // 10)
            cut = 7 + 1_000 * part  # within a frame
            gateway.write(data[:cut])
            gateway.write(data[cut:])
            answers = gateway.answers(len(keys))
            self.assertEqual(collections.Counter((a.user, a.stamp) for a in answers), collections.Counter(keys))
            won.update({(a.user, a.stamp): a for a in answers if a.result == wire.WON})
        while len(won) < envelopes:
            data, keys = gateway.shakes(500)
            gateway.write(data)
            won.update({(a.user, a.stamp): a for a in gateway.answers(500) if a.result == wire.WON})
        self.assertEqual(len({a.envelope for a in won.values()}), envelopes, "each envelope once")
        return server, gateway, won

    def check_statements(self, gateway, won):
        owed = collections.Counter()
        for (user, _), answer in won.items():
            owed[user] += answer.fen
        for user in range(100, 100 + USERS, 50):
            stamp = gateway.stamp()
            gateway.write(wire.frame(wire.STATEMENT, stamp, user))
            statement = gateway.expect(wire.Statement)
            self.assertEqual((statement.user, statement.fen), (user, owed[user]))

    def test_every_shake_is_answered_once_and_the_money_reconciles(self):
        server, gateway, won = self.story()
        self.check_statements(gateway, won)
        gateway.close()
        server.wait_status(lambda page: page["connections"]["live"] == 0, "it has gone")
        report = server.stop()
        self.assertEqual(report["shake"]["won"], len(won))
        self.assertEqual(report["shake"]["won_fen"], sum(a.fen for a in won.values()))

    def test_with_a_ledger_a_repeat_on_a_new_connection_gets_the_first_outcome(self):
        server, gateway, won = self.story("--ledger", "sqlite:" + os.path.join(self.folder, "books"))
        self.check_statements(gateway, won)
        gateway.reset()
        again = Gateway(server.port, 100, USERS)
        for (user, stamp), answer in list(won.items())[:50]:
            again.write(wire.frame(wire.SHAKE, stamp, user))
            self.assertEqual(again.expect(wire.Shake), answer)
        again.close()
        server.wait_status(lambda page: page["connections"]["live"] == 0, "it has gone")
        report = server.stop()
        self.assertEqual(report["shake"]["won_fen"], sum(a.fen for a in won.values()))

    def test_who_sends_faster_than_it_reads_is_made_to_wait_not_closed(self):
        server = self.gateway_server("--workers", "1")
        gateway = Gateway(server.port, 0, USERS)
        number = 500_000  # 14 MB of answers: more than the server holds for it and the sockets take
        data, _ = gateway.shakes(number)
        gateway.socket.setblocking(False)
        sent = 0
        while True:
            try:
                sent += gateway.socket.send(data[sent:sent + 1_000_000])
            except BlockingIOError:
                before = server.status()["requests"]["received"]
                processes.time.sleep(0.5)
                if server.status()["requests"]["received"] == before:
                    break  # the server has stopped reading
            if sent == len(data):
                break
        page = server.status()  # what was sent may lie in sockets, as much as the kernel likes; what was taken in is the server's
        self.assertLess(page["requests"]["received"], number, "the server took everything, whoever reads the answers")
        self.assertEqual(page["connections"]["live"], 1)
        gateway.socket.settimeout(wire.TIMEOUT_S)
        received, got = 0, 0
        while received < number:
            if sent < len(data):
                gateway.socket.settimeout(0.01)
                try:
                    sent += gateway.socket.send(data[sent:sent + 100_000])
                except (BlockingIOError, TimeoutError):
                    pass
                gateway.socket.settimeout(wire.TIMEOUT_S)
            got += len(gateway.socket.recv(1 << 20))
            received = got // 28
        self.assertEqual(got, number * 28)
        gateway.close()
        server.wait_status(lambda page: page["connections"]["live"] == 0, "it has gone")
        self.assertEqual(server.stop()["requests"]["replied"], number)

    def test_gifts_of_its_users_come_to_it(self):
        server = self.gateway_server()
        server.gifts(rate=1000, count=20, first_user=100, last_user=100 + USERS - 1)
        server.wait_status(lambda page: page["gifts"]["sent"] == 20, "they are made")
        gateway = Gateway(server.port, 100, USERS)  # they were made for users who were offline
        opened = 0
        for _ in range(60):
            notice = gateway.notice()
            for user in notice.users:
                gateway.write(wire.frame(wire.OPEN, gateway.stamp(), user, notice.envelope))
                while True:
                    got = gateway.read()
                    if isinstance(got, wire.Opened):
                        break
                    gateway.notices.append(got)
                self.assertEqual((got.user, got.envelope), (user, notice.envelope))
                self.assertGreater(got.fen, 0)
            opened += 1
        self.assertEqual(opened, 60)
        gateway.close()
        server.wait_status(lambda page: page["connections"]["live"] == 0, "it has gone")
        report = server.stop()
        self.assertEqual(report["gifts"]["opened"], 60)
        self.assertEqual(report["gifts"]["opened_fen"], report["gifts"]["sent_fen"])

    def test_a_user_that_logs_in_directly_ends_the_gateway_only_with_the_token(self):
        server = self.gateway_server()
        gateway = Gateway(server.port, 0, 10)
        for version in (1, 2):
            with wire.Peer(server.port, version=version) as stranger:
                self.assertEqual(stranger.login(5).result, 2)
                self.assertEqual(stranger.wait_closed(), [])
        data, _ = gateway.shakes(10)
        gateway.write(data)
        self.assertEqual({answer.result for answer in gateway.answers(10)}, {wire.NOTHING}, "the gateway is still there")
        with wire.Peer(server.port, user=5, token=TOKEN) as direct:
            self.assertEqual(gateway.wait_closed(), [])
            self.assertTrue(gateway.superseded)
            self.assertEqual(direct.shake().result, wire.NOTHING)
        server.wait_status(lambda page: page["connections"]["live"] == 0, "all have gone")
        server.stop()

    def test_gateways_are_spread_over_the_workers_wherever_they_are_accepted(self):
        for regular in (False, True):
            for start in range(8):
                with self.subTest(regular=regular, start=start):
                    self.check_spread(regular)

    def check_spread(self, regular):
        environment = {"HONGBAO_RING_OFF": "direct"} if regular else {}
        server = self.gateway_server("--workers", "2", "--users-max", "200k", environment=environment)
        # Each with its first request, which goes with it wherever it goes.
        gateways = []
        for first in (0, 100_000):
            gateway = wire.Peer(server.port)
            stamp = gateway.stamp()
            gateway.write(wire.login(2, first, stamp, count=50_000, token=TOKEN) + wire.frame(wire.SHAKE, stamp + 1, first))
            self.assertEqual(gateway.expect(wire.Login)[:3], (stamp, first, 0))
            self.assertEqual(gateway.expect(wire.Shake)[:2], (stamp + 1, first))
            gateways.append((gateway, first))
        page = server.status()
        self.assertEqual(page["gateways"]["by_worker"], [1, 1])
        self.assertEqual((page["connections"]["live"], page["users"]["online"], page["logins"]["ok"]), (2, 100_000, 2))
        for gateway, first in gateways:
            stamps = [gateway.stamp() for _ in range(2_000)]
            gateway.write(b"".join(wire.frame(wire.SHAKE, stamp, first + i) for i, stamp in enumerate(stamps)))
            answers = [gateway.expect(wire.Shake)[:2] for _ in stamps]
            self.assertEqual(answers, [(stamp, first + i) for i, stamp in enumerate(stamps)])
        # One that comes back while its former connection is there still is counted once.
        former, first = gateways[0]
        again = Gateway(server.port, first, 50_000)
        self.assertEqual(again.reply.result, 0)
        former.wait_closed()
        former.close()
        server.wait_status(lambda page: page["connections"]["live"] == 2, "the former has gone")
        self.assertEqual(server.status()["gateways"]["by_worker"], [1, 1])
        again.close()
        gateways[1][0].close()
        server.wait_status(lambda page: page["connections"]["live"] == 0 and page["users"]["online"] == 0, "all have gone")
        self.assertEqual(server.status()["gateways"]["by_worker"], [0, 0])
        server.stop()

    def test_others_are_served_while_a_gateway_of_millions_logs_in_and_leaves(self):
        users = 8_000_000
        server = self.gateway_server("--workers", "1", "--users-max", users + 10)
        with wire.Peer(server.port, user=users) as direct, wire.Peer(server.port) as gateway:
            stamp = gateway.stamp()
            # With what it asks before it is answered.
            gateway.write(wire.login(2, 0, stamp, count=users, token=TOKEN) + wire.frame(wire.SHAKE, stamp + 1, users - 1))
            served = 0
            while not select.select([gateway.socket], [], [], 0)[0]:
                self.assertEqual(direct.shake().result, wire.NOTHING)
                served += 1
            self.assertGreater(served, 20, "its worker goes on between the parts of the login")
            self.assertEqual(gateway.expect(wire.Login)[:3], (stamp, 0, 0))
            answer = gateway.expect(wire.Shake)
            self.assertEqual((answer.stamp, answer.user, answer.result), (stamp + 1, users - 1, wire.NOTHING))
            gateway.close()
            server.wait_status(lambda page: page["users"]["online"] == 1, "it has left")
        server.stop()


if __name__ == "__main__":
    processes.main()
