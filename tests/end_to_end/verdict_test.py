"""What a client says of runs that went wrong: none of them passes, and each says why."""

import os
import signal
import socket
import threading

import processes

STRICT = ("--fail-if", None)  # as people start it: with what every run has to hold
TOKEN = "00112233445566778899aabbccddeeff"


class Relay:
    """Between clients and a server; from hang() on it forwards nothing more of every second connection."""

    def __init__(self, port):
        self._to = port
        self._hangs = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self):
        self._hangs.set()

    def close(self):
        for one in self._sockets:
            one.close()

    def _accept(self):
        number = 0
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            self._sockets += [client, server]
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(a, b, number % 2 == 0), daemon=True).start()
            number += 1

    def _pump(self, a, b, hangs):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                if not (hangs and self._hangs.is_set()):
                    b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class VerdictTest(processes.EndToEndTest):
    def failed(self, client, code=3):
        """The report of a client that has ended with `code` and no PASS."""
        self.assertEqual(client.exit_code(), code, client.log())
        report = client.report()
        self.assertEqual(report["verdict"], "fail")
        self.assertTrue(client.rows().startswith("result     FAIL"), client.rows())
        self.assertIn(report["reasons"][0], client.rows().splitlines()[1])
        self.assertTrue(all(report["identities"].values()), report["identities"])
        return report

    def shaking(self, client, answers=100):
        client.wait_status(lambda page: page["requests"]["answered"] >= answers, "it shakes")

    # ---- the schedule ----

    def test_a_server_that_dies_after_a_third(self):
        server = self.server()
        client = self.client(server, "--users", 50, "--qps", 200, "--duration", "6s", "--late-max", "1s", "--drain", "1s", *STRICT)
        self.shaking(client, 300)
        server.kill()
        report = self.failed(client)
        self.assertRegex(report["reasons"][0], r"^requests missed: [\d,]+ of 1,200 \(\d+\.\d %\); missed<=0\.1% has to hold; [\d,]+ without a session")
        self.assertTrue(any(reason.startswith("seconds with the rate held: ") for reason in report["reasons"]), report["reasons"])
        latency = report["latency_us"]["schedule"]
        self.assertEqual(latency["count"], report["requests"]["answered"] + report["requests"]["missed"] + report["requests"]["lost"])
        self.assertGreater(latency["p50"], 1e6, "most were never served, for seconds")

    def test_a_bound_is_stated(self):
        server = self.server()
        client = self.client(server, "--users", 50, "--qps", 200, "--duration", "4s", "--drain", "1s", "--no-statements",
                             "--fail-if", "missed<=90%,unanswered<=90%,held>=1%")
        self.shaking(client, 300)
        server.kill()
        self.assertEqual(client.exit_code(), 0, client.log())
        self.assertEqual(client.report()["verdict"], "pass")

    # ---- latencies of those who got no answer ----

    def stopped_for_half(self, protocol, go_on=False):
        server = self.server()
        hgrm = os.path.join(self.folder, "latency.hgrm")
        client = self.client(server, "--users", 50, "--qps", 200, "--duration", "8s", "--drain", "60s" if go_on else "1s", "--protocol", protocol,
                             "--hgrm", hgrm, "--no-statements",
                             "--fail-if", "p99<50ms,service.p99<50ms,unanswered>=0,missed<=100%,held>=0%")
        self.shaking(client, 500)
        server.send_signal(signal.SIGSTOP)
        try:
            if go_on:
                processes.wait_until(lambda: "waiting for" in client.log(), "it waits for answers")
                server.send_signal(signal.SIGCONT)
            report = self.failed(client)
        finally:
            server.send_signal(signal.SIGCONT)
        self.assertEqual([one["ok"] for one in report["thresholds"][:2]], [False, False])
        self.assertEqual({one["unit"] for one in report["thresholds"][:2]}, {"ms"})
        self.assertGreater(report["thresholds"][0]["value"], 1_000)
        requests, latency = report["requests"], report["latency_us"]["schedule"]
        self.assertEqual(latency["count"], requests["answered"] + requests["lost"] + requests["missed"])
        self.assertGreater(latency["p99"], 2e6)
        with open(hgrm, encoding="ascii") as file:
            self.assertIn(f"Total count    = {latency['count']:12d}]", file.read())
        phase, = report["phases"]
        self.assertEqual(phase["latency_us"]["schedule"]["count"], latency["count"])
        return report

    def test_a_server_that_is_stopped_for_half_of_the_run(self):
        for protocol in (1, 2):
            with self.subTest(protocol=protocol):
                report = self.stopped_for_half(protocol)
                self.assertGreater(report["requests"]["unanswered"], 400)
                waiting = [row for row in report["series"] if row["sent"] > 0 and row["answered"] == 0]
                self.assertGreater(len(waiting), 1)
                self.assertTrue(all(row["p99_us"] > 5e5 for row in waiting[1:]), [row["p99_us"] for row in waiting])

    def test_answers_after_the_end(self):
        report = self.stopped_for_half(2, go_on=True)
        self.assertEqual(report["requests"]["unanswered"], 0)

    def test_a_server_that_never_answers(self):
        """It lets everybody in, and then stands still."""
        server = self.server()
        client = self.client(server, "--users", 50, "--qps", 200, "--duration", "4s", "--drain", "1s", *STRICT)
        self.connected(client)
        server.send_signal(signal.SIGSTOP)
        try:
            report = self.failed(client)
        finally:
            server.send_signal(signal.SIGCONT)
        if report["requests"]["answered"] == 0:  # a slow machine may have stopped it late
            self.assertTrue(report["reasons"][0].startswith("nothing was measured: none of "), report["reasons"])
        self.assertGreater(report["latency_us"]["schedule"]["p50"], 1e6)

    def test_half_of_the_connections_hang(self):
        server = self.server()
        relay = Relay(server.port)
        self.addCleanup(relay.close)
        client = self.client(relay.port, "--users", 10, "--qps", 100, "--duration", "6s", "--drain", "1s", "--no-statements", *STRICT)
        self.shaking(client, 100)
        relay.hang()
        report = self.failed(client)
        self.assertTrue(any(reason.startswith("requests without an answer: ") for reason in report["reasons"]), report["reasons"])
        self.assertGreater(report["latency_us"]["schedule"]["p90"], 1e6)
        self.assertLess(report["latency_us"]["schedule"]["p50"], 1e6)
        self.assertGreater(report["series"][-2]["p90_us"], 5e5)

    def test_gateways_that_wait(self):
        """They miss nothing while they run: what finds no room is late, and at the end it is missed."""
        token = os.path.join(self.folder, "token")
        with open(token, "w", encoding="ascii") as file:
            file.write(TOKEN + "\n")
        server = self.server("--gateway-token-file", token)
        client = self.client(server, "--users", 1_000, "--qps", "20k", "--duration", "6s", "--drain", "1s", "--gateways", 2, "--window", 1_000,
                             "--gateway-token-file", token, "--no-statements", "--late-max", None, *STRICT)
        self.shaking(client, 20_000)
        server.send_signal(signal.SIGSTOP)
        try:
            report = self.failed(client)
        finally:
            server.send_signal(signal.SIGCONT)
        self.assertRegex(report["reasons"][0], r"^requests missed: .* behind too many without an answer$")
        self.assertGreater(report["latency_us"]["schedule"]["p90"], 5e5)

    # ---- users that somebody else has ----

    def two_of_the_same(self, server, first, second, reason_in=(0, 1)):
        flags = ("--users", 40, "--qps", 100, "--duration", "5s", "--drain", "2s", "--no-statements", *STRICT)
        clients = [self.client(server, *more, *flags) for more in (first, second)]
        reports = [self.failed(client) for client in clients]
        for index in reason_in:
            self.assertGreater(reports[index]["connections"]["superseded"], 0, reports[index]["reasons"])
            self.assertRegex(reports[index]["reasons"][0], r"^sessions ended because their users logged in elsewhere: [\d,]+; superseded==0 has to hold$")
            self.assertIn("another client has the same users", clients[index].log())
            self.assertEqual(sum(row["superseded"] for row in reports[index]["series"]), reports[index]["connections"]["superseded"])
        return reports

    def test_two_clients_of_the_same_users(self):
        for protocols in ((2, 2), (1, 1), (1, 2)):
            with self.subTest(protocols=protocols):
                self.two_of_the_same(self.server(), *(("--protocol", one) for one in protocols))

    def test_two_gateways_of_the_same_users(self):
        token = os.path.join(self.folder, "token")
        with open(token, "w", encoding="ascii") as file:
            file.write(TOKEN + "\n")
        gateways = ("--gateways", 2, "--gateway-token-file", token)
        server = self.server("--gateway-token-file", token)
        self.two_of_the_same(server, gateways, gateways)

    def test_a_server_that_comes_back_takes_no_user(self):
        """A server that ends and is started again ends sessions too, and nobody else has the users."""
        for protocol in (1, 2):
            server = self.server()
            client = self.client(server, "--users", 40, "--qps", 100, "--duration", "5s", "--drain", "2s", "--no-statements", "--protocol", protocol)
            self.shaking(client, 50)
            server.kill()
            self.server("--listen", f"127.0.0.1:{server.port}")
            self.assertEqual(client.exit_code(), 0, client.log())
            self.assertEqual(client.report()["connections"]["superseded"], 0)

    # ---- nothing measured ----

    def test_what_measured_nothing_is_no_pass(self):
        server = self.server("--users-max", 100)
        report = self.failed(self.client(server, "--users", 10, "--qps", 0, "--duration", "1s", *STRICT))
        self.assertEqual(report["reasons"], ["nothing was measured: no request was due"])
        client = self.client(server, "--users", "90-199/200", "--qps", 0, "--duration", "1h", *STRICT)  # some of them are unknown to the server
        self.connected(client)
        client.send_signal(signal.SIGINT)
        report = self.failed(client, 130)
        self.assertEqual(report["reasons"], ["nothing was measured: no request was due"])
        self.assertIn("result     FAIL (interrupted)", client.rows())

    def test_an_interrupted_client_that_never_logged_in(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts and says nothing
            client = self._start(processes.CLIENT, "client", ["--server", f"127.0.0.1:{silent.getsockname()[1]}", "--admin", "127.0.0.1:0",
                                                              "--users", 10, "--qps", 10], {})
            processes.wait_until(lambda: len(client.rows().splitlines()) >= 2, "it prints a row")
            client.send_signal(signal.SIGINT)
            self.assertEqual(client.exit_code(), 130, client.log())
        report = client.report()
        self.assertEqual(report["verdict"], "fail")
        self.assertIn("result     FAIL (interrupted)", client.rows())
        self.assertRegex(report["reasons"][0], r"^nothing was measured: none of 10 users logged in \(0 logins refused")


if __name__ == "__main__":
    processes.main()
