"""hongbao-client --gateways against the real server: every request answered and counted once, the money to the fen, to the end by
itself; gifts; a server that is killed in the middle and comes back; clients that share the users of one schedule."""

import os
import time
import unittest

import processes

USERS = 2_000


class GatewayClientTest(processes.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.token = os.path.join(self.folder, "token")
        with open(self.token, "w", encoding="ascii") as file:
            file.write("00112233445566778899aabbccddeeff\n")

    def up(self, *flags):
        return self.server("--gateway-token-file", self.token, "--workers", "1", *flags)

    def gateways(self, server, number, *flags, **options):
        return self.client(server, "--gateways", number, "--gateway-token-file", self.token, "--users", USERS, "--workers", "1",
                           *flags, **options)

    def ledger(self):
        return "--ledger", "sqlite:" + os.path.join(self.folder, "ledger.sqlite")

    def check(self, client, server, requests):
        """Both reports agree about so many requests and their money."""
        self.assertEqual([client["requests"][key] for key in ("due", "sent", "answered", "lost", "missed")],
                         [requests, requests, requests, 0, 0])
        self.assertEqual((client["won"]["count"], client["won"]["fen"]), (server["shake"]["won"], server["shake"]["won_fen"]))

    def test_a_number_of_requests_at_a_rate(self):
        server = self.up(*self.ledger())
        server.shakes(rate=2_000, count=1_000)
        client = self.gateways(server, 3, "--qps", "60k", "--requests", "100k", "--window", "4096")
        report = client.finish()
        self.check(report, server.stop(), 100_000)
        self.assertGreater(report["won"]["count"], 0)
        self.assertEqual(report["statements"]["equal"], USERS)
        self.assertEqual((report["gateways"], report["latency_sample_every"]), (3, 64))
        phase, = report["phases"]
        self.assertEqual((phase["sent"], phase["target_qps"]), (100_000, 60_000))
        # One request in 64 of each gateway, the first included.
        self.assertTrue(1_560 <= phase["latency_us"]["schedule"]["count"] <= 1_566, phase)
        self.assertEqual(sum(row["sent"] for row in report["series"]), 100_000)

    def test_as_fast_as_it_goes(self):
        server = self.up()
        server.shakes(rate=1_000, count=500)
        client = self.gateways(server, 2, "--qps", "max", "--requests", "300k")
        report = client.finish()
        self.check(report, server.stop(), 300_000)
        self.assertEqual(report["statements"]["equal"], USERS)
        self.assertEqual(report["config"]["qps"], "max")

    def test_clients_that_share_the_users_send_the_schedule_together(self):
        server = self.up()
        at = int(time.time()) + 4
        flags = ("--qps", "20k", "--requests", "30k", "--at", at, "--no-statements")
        parts = [self.client(server, "--gateways", n, "--gateway-token-file", self.token, "--users", users, *flags)
                 for n, users in ((2, f"0-699/{USERS}"), (3, f"700-1999/{USERS}"))]
        reports = [part.finish() for part in parts]
        self.assertEqual(sum(report["requests"]["sent"] for report in reports), 30_000)
        self.assertEqual(server.stop()["requests"]["received"], 30_000)

    def test_gifts_are_opened_for_the_gateways_users(self):
        server = self.up("--users-max", USERS, *self.ledger())
        client = self.gateways(server, 2, "--qps", "5k")
        self.connected(client)
        server.gifts(rate=500, count=200, users=3)
        client.wait_status(lambda page: page["gifts"]["opened"] >= 600, "all shares are opened")
        report = client.stop(code=143)
        books = server.stop()
        self.assertEqual(report["gifts"]["opened"], 600)
        self.assertEqual(report["statements"]["equal"], USERS)
        self.assertEqual(report["won"]["fen"] + report["gifts"]["opened_fen"], books["gifts"]["opened_fen"])

    def test_a_second_client_knows_what_its_users_had_before(self):
        server = self.up(*self.ledger())
        server.shakes(rate=10_000, count=400)
        first = self.gateways(server, 2, "--qps", "20k", "--requests", "20k").finish()
        self.assertGreater(first["won"]["count"], 0)
        server.shakes(rate=10_000, count=400)
        second = self.gateways(server, 4, "--qps", "20k", "--requests", "20k").finish()
        self.assertGreater(second["statements"]["bases"], 0)
        self.assertEqual(second["statements"]["equal"], USERS)
        server.stop()

    def test_a_server_that_is_killed_comes_back_and_nothing_is_lost(self):
        server = self.up(*self.ledger())
        server.shakes(rate=3_000, count=6_000)
        client = self.gateways(server, 3, "--qps", "50k", "--requests", "250k", "--drain", "60s")
        client.wait_status(lambda page: page["requests"]["answered"] > 40_000, "it is under way")
        server.kill()
        client.wait_status(lambda page: page["connections"]["live"] == 0, "it has noticed")
        server = self.up(*self.ledger(), "--listen", f"127.0.0.1:{server.port}")
        report = client.finish()
        server.stop()
        self.assertEqual([report["requests"][key] for key in ("sent", "answered", "lost", "missed")], [250_000, 250_000, 0, 0])
        self.assertGreater(report["requests"]["late"], 0)
        # What each user got, by the answers over all connections, is what the ledger says.
        self.assertEqual(report["statements"]["equal"], USERS)
        self.assertGreater(report["won"]["count"], 0)

    def test_the_wrong_token_is_told(self):
        server = self.up()
        with open(self.token, "w", encoding="ascii") as file:
            file.write("ff112233445566778899aabbccddeeff\n")
        code, _, err = processes.run(processes.CLIENT, "--server", f"127.0.0.1:{server.port}", "--admin", "127.0.0.1:0", "--users", "100",
                                     "--gateways", "2", "--gateway-token-file", self.token)
        self.assertEqual(code, 1)
        self.assertIn("--gateway-token-file", err)
        server.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
