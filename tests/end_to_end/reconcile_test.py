"""A server and clients with shake envelopes and gifts: what one side has given is what the other has got, to the fen."""

import signal
import time

import processes
import wire

USERS = 200


def next_second():
    """A unix second, half a second away at least: time to tell everybody."""
    return int(time.time() + 0.5) + 1


class ReconcileTest(processes.EndToEndTest):
    def run_story(self, server, clients, shakes=60, gifts=30, qps=300):
        """Shakes, `shakes` envelopes and `gifts` gifts to 3 users each, until all is won and opened. Reports (server, clients)."""
        for client in clients:
            self.connected(client)
        at = next_second()
        for client in clients:
            client.set_rate(qps, at=at, name="story")
        server.shakes(rate=shakes, count=shakes, at=at)
        server.gifts(rate=gifts, count=gifts, at=at, first_user=0, last_user=USERS - 1)
        server.wait_status(lambda page: page["shake"]["won"] == shakes and page["gifts"]["opened"] == 3 * gifts,
                           "all is won and opened")
        for client in clients:
            client.wait_status(lambda page: page["gifts"]["opens_outstanding"] == 0, "all answers have come")
        client_reports = [client.stop(signal.SIGTERM, code=143) for client in clients]
        server.wait_status(lambda page: page["connections"]["live"] == 0, "all have gone")
        return server.stop(), client_reports

    def check(self, server, clients, shakes=60, gifts=30):
        def total(*path):
            values = clients
            for name in path:
                values = [value[name] for value in values]
            return sum(values)
        self.assertEqual(server["shake"]["issued"], shakes)
        self.assertEqual(total("won", "count"), server["shake"]["won"])
        self.assertEqual(total("won", "fen"), server["shake"]["won_fen"])
        self.assertEqual(server["shake"]["issued_fen"], total("won", "fen") + server["shake"]["left_fen"])
        self.assertEqual((server["gifts"]["sent"], server["gifts"]["shares"]), (gifts, 3 * gifts))
        self.assertEqual(total("gifts", "opened"), server["gifts"]["opened"])
        self.assertEqual(total("gifts", "opened_fen"), server["gifts"]["opened_fen"])
        self.assertEqual(total("gifts", "opened_fen"), server["gifts"]["sent_fen"])  # all shares of all gifts: their amounts
        self.assertEqual(total("gifts", "empty"), 0)
        self.assertEqual(total("gifts", "notices"), server["gifts"]["notices"])
        self.assertEqual(total("requests", "sent"), server["requests"]["received"])
        self.assertEqual(total("requests", "answered"), server["requests"]["replied"] + server["requests"]["refused"])
        self.assertEqual((total("requests", "lost"), total("requests", "missed")), (0, 0))
        for result in ("won", "nothing", "cap", "refused"):
            self.assertEqual(total("replies", result), server["replies"][result], result)
        self.assertEqual(server["connections"]["accepted"], USERS)
        # Defect 12: seconds filed late vanished from the series. Here they sum up to the totals.
        self.assertEqual(sum(row["won_fen"] for row in server["series"]), server["shake"]["won_fen"])
        self.assertEqual(sum(row["received"] for row in server["series"]), server["requests"]["received"])
        for client in clients:
            self.assertEqual(sum(row["sent"] for row in client["series"]), client["requests"]["sent"])

    def test_defect09_version_1(self):
        """What is received is counted as what it is; the prototype's client added envelopes to its requests."""
        server = self.server()
        self.check(*self.run_story(server, [self.client(server, "--users", USERS, "--protocol", 1)]))

    def test_defect23_version_2(self):
        """Shakes and opens of a user share a connection; the prototype's two goroutines wrote into each other's frames."""
        server = self.server()
        self.check(*self.run_story(server, [self.client(server, "--users", USERS)]))

    def test_both_versions_at_once(self):
        server = self.server()
        clients = [self.client(server, "--users", f"0-99/{USERS}", "--protocol", 1),
                   self.client(server, "--users", f"100-199/{USERS}", "--protocol", 2)]
        self.check(*self.run_story(server, clients))

    def test_regular_descriptors(self):
        """As on kernels before 6.13: connections are open files."""
        old = {"HONGBAO_RING_OFF": "direct,min_wait,silent"}
        server = self.server(environment=old)
        client = self.client(server, "--users", USERS, environment=old)
        self.assertIn("regular descriptors", server.log())
        self.check(*self.run_story(server, [client]))

    def test_several_sets_on_a_worker(self):
        """A limit of 120 open files and 200 connections on one worker: the set is the unit of scale, on both sides."""
        probe = self.server()
        if "direct descriptors" not in probe.log().replace("regular descriptors (direct", ""):
            self.skipTest("no direct descriptors on this kernel: a process has one set per worker")
        server = self.server("--workers", 1, "--connections-max", USERS + 10, open_files=120)
        # Few connects at a time: each takes a descriptor for a moment, and a process without any has none for its admin side, nor
        # for the pipe by which UBSan tells an object from none.
        client = self.client(server, "--users", USERS, "--workers", 1, "--connecting-max", 20, open_files=120)
        for process in (server, client):
            self.assertRegex(process.log(), r"1 worker, [2-9] sets of ")
        self.check(*self.run_story(server, [client]))

    def test_reconnecting_clients_lose_no_money(self):
        """Half of the users are thrown out by newer logins in mid-run; what they were owed comes at the next login."""
        server = self.server()
        client = self.client(server, "--users", USERS)
        self.connected(client)
        at = next_second()
        client.set_rate(300, at=at)
        server.gifts(rate=30, count=30, at=at, first_user=0, last_user=USERS - 1)
        for user in range(0, USERS, 2):
            wire.Peer(server.port, 2, user).close()
        server.wait_status(lambda page: page["gifts"]["opened"] == 90, "all shares are opened")
        client.wait_status(lambda page: page["gifts"]["opens_outstanding"] == 0 and page["connections"]["live"] == USERS,
                           "quiet again")
        client_report = client.stop(code=143)
        server_report = server.stop()
        self.assertEqual(client_report["gifts"]["opened_fen"], server_report["gifts"]["sent_fen"])
        self.assertEqual(client_report["connections"]["opened"], USERS + USERS // 2)
        self.assertEqual(server_report["users"]["superseded"] >= USERS // 2, True)

    def test_defect21_overload_is_refused_and_changes_nothing(self):
        """Offered four times what --max-qps lets in: result 17 for the rest, and nothing happens for a 17."""
        server = self.server("--max-qps", "100")
        client = self.client(server, "--users", USERS)
        self.connected(client)
        at = next_second()
        client.set_rate(400, at=at)
        client.set_rate(0, at=at + 3)
        server.shakes(rate=1000, count=1000, at=at)
        client.wait_status(lambda page: page["requests"]["due"] == 1200 and page["requests"]["outstanding"] == 0, "1200 are answered")
        client_report = client.stop(code=143)
        report = server.stop()
        self.assertEqual(client_report["requests"]["answered"], 1200)
        self.assertEqual(client_report["requests"]["refused"], report["requests"]["refused"])
        self.assertGreater(report["requests"]["refused"], 600)
        # 100 a second for the time that it took (the machine may have been slow), and what piles up in a pause.
        elapsed_s = client_report["series"][-1]["unix_s"] + 1 - at
        self.assertLessEqual(report["requests"]["replied"], 100 * elapsed_s + 20)
        self.assertGreater(report["requests"]["replied"], 0)
        self.assertEqual(client_report["won"], {"count": report["shake"]["won"], "fen": report["shake"]["won_fen"]})
        self.assertEqual(report["shake"]["issued_fen"], report["shake"]["won_fen"] + report["shake"]["left_fen"])
        self.assertEqual(report["requests"]["received"], 1200)

    def test_a_most_that_one_user_may_win(self):
        server = self.server("--wins-per-user", 3)
        server.shakes(rate=1000, count=20)
        server.wait_status(lambda page: page["shake"]["left"] == 20, "20 envelopes wait")
        with wire.Peer(server.port, 1, 1) as one, wire.Peer(server.port, 2, 2) as two:
            self.assertEqual([one.shake().result for _ in range(6)], 3 * [wire.WON] + 3 * [wire.CAP])
            self.assertEqual([two.shake().result for _ in range(2)], 2 * [wire.WON])
            self.assertEqual(two.statement().grants, 2)
        with wire.Peer(server.port, 2, 1) as one:  # kept over logins
            self.assertEqual(one.shake().result, wire.CAP)
        report = server.stop()
        self.assertEqual((report["shake"]["won"], report["shake"]["left"], report["replies"]["cap"]), (5, 15, 4))

    def test_the_prototypes_admin(self):
        """GET /yaohongbao, /fahongbao and the client's /qps: with --compat only."""
        plain = self.server()
        client = self.client(plain, "--users", 10)
        for process, paths in ((plain, ("/yaohongbao?qps=10&sum=10", "/fahongbao?qps=10&sum=10&min=0&max=9")),
                               (client, ("/qps?qps=10",))):
            for path in paths:
                self.assertEqual(process.http("GET", path)[0], 404, path)
        self.connected(client)
        client.stop(code=143)
        plain.stop()

        server = self.server("--compat")
        client = self.client(server, "--users", 20, "--compat")
        self.connected(client)
        server.order("GET", "/yaohongbao", qps=20, sum=20)
        server.order("GET", "/fahongbao", qps=10, sum=10, min=0, max=20)
        client.order("GET", "/qps", qps=100)
        for path, wrong in (("/yaohongbao", {"qps": 0, "sum": 5}), ("/fahongbao", {"qps": 1, "sum": 1, "min": 5, "max": 5}),
                            ("/fahongbao", {"qps": 1, "sum": 1, "min": 0}), ("/yaohongbao", {"qps": 1})):
            self.assertEqual(server.http("GET", path, **wrong)[0], 400, f"{path} {wrong}")
        server.wait_status(lambda page: page["shake"]["won"] == 20 and page["gifts"]["opened"] == 30, "all is won and opened")
        client.order("GET", "/qps", qps=0)  # the prototype divided by it (defect 24)
        client.wait_status(lambda page: page["target_qps"] == 0 and page["requests"]["outstanding"] == 0, "it is quiet")
        client_report = client.stop(code=143)
        report = server.stop()
        self.assertEqual(client_report["won"]["fen"], report["shake"]["won_fen"])
        self.assertEqual(client_report["gifts"]["opened_fen"], report["gifts"]["opened_fen"])
        self.assertTrue(200 <= report["shake"]["issued_fen"] <= 6180, report["shake"])


if __name__ == "__main__":
    processes.main()
