"""Ends of processes: drained, interrupted, killed. What is owed is sent, and both sides' books close."""

import signal
import threading
import time

import processes
import wire


class StopTest(processes.EndToEndTest):
    def loaded(self, *client_flags, server_flags=(), users=150, qps=600):
        """A server and a client that shakes and wins, seconds into the run."""
        server = self.server(*server_flags)
        client = self.client(server, "--users", users, "--qps", qps, *client_flags)
        self.connected(client)
        server.shakes(rate=200, count=100_000)
        server.gifts(rate=40, count=100_000, first_user=0, last_user=users - 1)
        client.wait_status(lambda page: page["won"]["count"] >= 30 and page["gifts"]["opened"] >= 20, "money moves")
        return server, client

    def check_books(self, server, client, lost=True):
        """`server`, `client`: reports. What one side says of the other's money and answers."""
        self.assertEqual(client["requests"]["answered"], server["requests"]["replied"] + server["requests"]["refused"])
        self.assertEqual(client["won"]["count"], server["shake"]["won"])
        self.assertEqual(client["won"]["fen"], server["shake"]["won_fen"])
        self.assertEqual(server["shake"]["issued_fen"], client["won"]["fen"] + server["shake"]["left_fen"])
        if not lost:
            self.assertEqual(client["requests"]["lost"], 0)
        connections = server["connections"]
        self.assertEqual(connections["accepted"], connections["closed"] + connections["live"])
        self.assertEqual(connections["live"], 0)

    def test_server_stopped_under_load(self):
        for protocol in (1, 2):
            with self.subTest(protocol=protocol):
                server, client = self.loaded("--protocol", protocol, "--drain", "1s")  # for answers that never come
                server_report = server.stop()  # exit 0, all identities
                self.assertTrue(server_report["draining"])
                client.wait_status(lambda page: page["connections"]["live"] == 0, "the client sees the end")
                client_report = client.stop(signal.SIGTERM, code=143)
                self.check_books(server_report, client_report)
                self.assertEqual(server_report["connections"]["closed_by"]["drain"], 150)
                # A share is opened on the server or it is not: the answer to it may be lost with the connection, no more.
                self.assertLessEqual(client_report["gifts"]["opened_fen"], server_report["gifts"]["opened_fen"])

    def test_replies_owed_are_sent(self):
        """Shakes that the server has taken in are answered, to the last, though SIGTERM comes in between."""
        server = self.server()
        peers = [wire.Peer(server.port, 2, user) for user in range(20)]
        answers = []

        def shake_until_closed(peer):
            try:
                while True:
                    for _ in range(10):
                        peer.send_shake()
                    for _ in range(10):
                        answers.append(peer.expect(wire.Shake))
            except (wire.Closed, ConnectionError):  # by sending, perhaps: then there may be answers to read
                answers.extend(peer.wait_closed())
        threads = [threading.Thread(target=shake_until_closed, args=(peer,), daemon=True) for peer in peers]
        for thread in threads:
            thread.start()
        server.shakes(rate=1000, count=100_000)
        server.wait_status(lambda page: page["requests"]["replied"] > 2000 and page["shake"]["won"] > 20, "it is busy")
        report = server.stop()
        for thread in threads:
            thread.join(processes.TIMEOUT_S)
        for peer in peers:
            peer.close()
        self.assertEqual(report["requests"]["dropped"], 0)
        self.assertEqual(len(answers), report["requests"]["replied"])
        wins = [answer for answer in answers if answer.result == wire.WON]
        self.assertEqual(sum(win.fen for win in wins), report["shake"]["won_fen"])
        self.assertEqual(len({win.envelope for win in wins}), report["shake"]["won"])

    def test_while_draining_nobody_new_comes_in(self):
        """A connection that does not read keeps the drain waiting; meanwhile the status pages say what goes on."""
        server, peer = self.stuck_server("--drain", "60s", "--frame-deadline", "60s")
        server.send_signal(signal.SIGTERM)
        page = server.wait_status(lambda page: page["draining"], "it drains")
        self.assertFalse(page["ready"])
        self.assertEqual(server.http("GET", "/-/ready")[0], 503)
        self.assertEqual(server.http("GET", "/-/healthy")[0], 200)
        self.assertEqual(server.http("POST", "/v1/envelopes/shake", rate=1, count=1)[0], 409)
        shakes = 0
        while shakes < self.stuck_shakes:  # reads after all: gets every answer that is owed
            shakes += isinstance(peer.read(), wire.Shake)
        self.assertEqual(peer.wait_closed(), [])
        report = server.finish()
        self.assertEqual(report["requests"]["replied"], self.stuck_shakes)
        self.assertEqual(report["connections"]["closed_by"]["drain"], 1)

    def test_second_signal_leaves_at_once(self):
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            server, _ = self.stuck_server("--drain", "1h", "--frame-deadline", "1h")
            server.send_signal(number)
            server.wait_status(lambda page: page["draining"], "it drains")
            server.send_signal(number)
            self.assertEqual(server.exit_code(), code)

    def stuck_server(self, *flags):
        """A server one of whose peers does not read, with answers waiting that the kernel no longer takes."""
        server = self.server(*flags)
        peer = wire.Peer(server.port, 1, 1, receive_buffer=4096)
        self.addCleanup(peer.close)
        shake = wire.frame(wire.SHAKE, 1, 1)
        sent = 0
        while True:
            peer.write(300 * shake)  # fewer answers than the unsent cap holds
            sent += 300
            page = server.wait_status(lambda page: page["requests"]["received"] == sent, "the shakes have arrived")
            if page["rings"]["sent_bytes"] < 20 + 28 * sent:
                time.sleep(0.05)  # the send may just be under way
                if server.status()["rings"]["sent_bytes"] < 20 + 28 * sent:
                    break
            self.assertLess(sent, 1_000_000)
        self.stuck_shakes = sent
        return server, peer

    def test_client_killed(self):
        """SIGKILL: the server gives the slots back, accepted = closed + live, and the next client is served."""
        server, client = self.loaded()
        client.kill()
        page = server.wait_status(lambda page: page["connections"]["live"] == 0, "all slots are free again")
        connections = page["connections"]
        self.assertEqual((connections["accepted"], connections["closed"]), (150, 150))
        self.assertEqual(connections["closed_by"]["peer"] + connections["closed_by"]["reset"], 150)
        self.assertEqual(page["users"]["online"], 0)
        again = self.client(server, "--users", 150, "--qps", 300)
        self.connected(again)
        # What was sent to the dead ones and not opened is told again.
        again.wait_status(lambda page: page["won"]["count"] > 0 and page["gifts"]["opened"] > 0, "the next client is served")
        again.stop(code=143)
        server.stop()

    def test_client_interrupted(self):
        """SIGINT and SIGTERM: a partial report that says so, exit 130 and 143, and nothing lost on either side."""
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(signal=number):
                server, client = self.loaded()
                client_report = client.stop(number, code)
                self.assertIs(client_report["interrupted"], True)
                self.assertEqual(client_report["requests"]["unanswered"], 0)
                server.wait_status(lambda page: page["connections"]["live"] == 0, "the client is gone")
                self.check_books(server.stop(), client_report, lost=False)

    def test_client_ends_by_itself(self):
        server = self.server()
        client = self.client(server, "--users", 50, "--qps", 100, "--duration", "2s")
        client_report = client.finish(code=0)
        self.assertIs(client_report["interrupted"], False)
        self.assertEqual(client_report["requests"]["due"], 200)
        self.check_books(server.stop(signal.SIGINT), client_report, lost=False)

    def test_client_second_signal_leaves_at_once(self):
        """With a server that does not answer (stopped by SIGSTOP) the client would wait for its answers."""
        server = self.server()
        client = self.client(server, "--users", 50, "--qps", 200, "--drain", "1h")
        self.connected(client)
        client.wait_status(lambda page: page["requests"]["answered"] > 0, "it shakes")
        server.send_signal(signal.SIGSTOP)
        try:
            client.wait_status(lambda page: page["requests"]["outstanding"] > 10, "answers are outstanding")
            client.send_signal(signal.SIGINT)
            processes.wait_until(lambda: "waiting for" in client.log(), "it waits for answers")
            client.send_signal(signal.SIGINT)
            report = client.finish(code=130)
        finally:
            server.send_signal(signal.SIGCONT)
        self.assertIs(report["interrupted"], True)
        self.assertGreater(report["requests"]["unanswered"], 0)
        self.assertEqual(report["requests"]["sent"], report["requests"]["answered"] + report["requests"]["lost"] +
                         report["requests"]["outstanding"])
        server.stop()

    def test_server_killed_and_started_again(self):
        """The client reconnects with back-off by itself; what was under way is asked again, and nothing is lost.

        Without a ledger the server has forgotten who got what: --no-statements."""
        server, client = self.loaded("--no-statements")
        port = server.port
        server.kill()
        client.wait_status(lambda page: page["connections"]["live"] == 0, "the connections are gone")
        again = self.server("--listen", f"127.0.0.1:{port}")
        client.wait_status(lambda page: page["connections"]["live"] == 150, "all are back")
        before = client.status()["requests"]["answered"]
        client.wait_status(lambda page: page["requests"]["answered"] > before + 100, "they shake again")
        report = client.stop(code=143)
        again.stop()
        self.assertEqual((report["requests"]["lost"], report["requests"]["unanswered"]), (0, 0))
        self.assertEqual(report["statements"]["asked"], 0)


if __name__ == "__main__":
    processes.main()
