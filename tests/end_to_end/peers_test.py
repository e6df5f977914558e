"""hongbao-client and what it meets: nobody, a stranger, a server that is full, one that is not there yet, a way that forgets its
connections, an idle timeout that is too short. It says so in words, ends within its patience or goes on, and loses nothing."""

import os
import select
import signal
import socket
import threading

import processes


class Stranger:
    """Listens, and does with each connection what `act` says, until the test ends."""

    def __init__(self, test, act):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self._kept = []
        self._act = act
        test.addCleanup(self.socket.close)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            while True:
                peer, _ = self.socket.accept()
                self._kept.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()
        except OSError:
            pass

    def _serve(self, peer):
        try:
            self._act(peer)
        except OSError:
            pass


class Way:
    """A proxy in front of a server. forget(): the connections there are stay open and carry nothing any more; new ones do."""

    def __init__(self, test, port):
        self._to, self._age, self._lock = port, 0, threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        test.addCleanup(self.socket.close)
        threading.Thread(target=self._run, daemon=True).start()

    def forget(self):
        with self._lock:
            self._age += 1

    def _run(self):
        try:
            while True:
                near, _ = self.socket.accept()
                threading.Thread(target=self._carry, args=(near, self._age), daemon=True).start()
        except OSError:
            pass

    def _carry(self, near, age):
        far = socket.create_connection(("127.0.0.1", self._to))
        with near, far:
            while True:
                for one in select.select([near, far], [], [], 0.2)[0]:
                    data = one.recv(65_536)
                    if self._age != age:
                        threading.Event().wait(processes.TIMEOUT_S)  # neither a byte nor an end
                        return
                    if not data:
                        return
                    (far if one is near else near).sendall(data)


class MeetsNobodyTest(processes.EndToEndTest):
    def meets(self, port, *flags, code=1):
        """What a client says that cannot log in there."""
        client = self.client(port, "--users", 20, "--connect-timeout", "1s", *flags, wait=False)
        self.assertEqual(client.exit_code(), code, client.log())
        self.assertNotIn("ready", client.log())  # it never was
        return client.log()

    def test_one_that_says_nothing(self):
        self.assertIn("does not answer the login", self.meets(Stranger(self, lambda peer: None).port))

    def test_one_that_closes(self):
        self.assertIn("closes the connection instead of answering the login", self.meets(Stranger(self, socket.socket.close).port))

    def test_one_that_speaks_something_else(self):
        for first, words in ((b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP"), (b"SSH-2.0-OpenSSH_9\r\n", '"SSH-2.0-OpenSSH_"'),
                             (b"\x15\x03\x01\x00\x02\x02\x46", "it speaks TLS"), (bytes(64), r"\x00\x00")):
            with self.subTest(first=first):
                self.assertIn(words, self.meets(Stranger(self, lambda peer, first=first: peer.sendall(first)).port))

    def test_the_servers_own_admin_port(self):
        server = self.server()
        self.assertIn("it speaks HTTP, as hongbao-server's --admin port does", self.meets(server.admin_port))
        server.stop()

    def test_nobody(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.assertIn("nothing listens there", self.meets(free.getsockname()[1]))

    def test_gateways_meet_the_same(self):
        token = os.path.join(self.folder, "token")
        with open(token, "w", encoding="ascii") as file:
            file.write("00112233445566778899aabbccddeeff\n")
        gateways = ("--gateways", 2, "--gateway-token-file", token)
        self.assertIn("does not answer the login", self.meets(Stranger(self, lambda peer: None).port, *gateways))
        server = self.server()  # lets no gateway in
        self.assertIn("the same --gateway-token-file", self.meets(server.port, *gateways))
        server.stop()

    def test_a_name_that_stands_for_nothing(self):
        code, _, errors = processes.run(processes.CLIENT, "--server", "no-such-host.invalid:1025", "--admin", "127.0.0.1:0")
        self.assertEqual(code, 1)
        self.assertIn("cannot resolve the name 'no-such-host.invalid'", errors)
        self.assertNotIn("ready", errors)


class MeetsServerTest(processes.EndToEndTest):
    def test_a_full_server_lets_some_in_and_they_begin(self):
        server = self.server("--connections-max", 50, "--users-max", 300)
        client = self.client(server, "--users", 300, "--qps", 100, "--duration", "2s", "--connect-timeout", "1s")
        client.exit_code()
        self.assertIn("could not log in", client.log())
        self.assertIn("full", client.log())
        report = client.report()
        self.assertGreater(report["requests"]["sent"], 0)
        self.assertIn("could not log in", report["connections"]["trouble"])
        self.assertIn("connect    ", client.rows())
        server.stop()

    def test_it_waits_for_a_server_that_comes_later(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        client = self.client(port, "--users", 20, "--wait-for-server", "100s", "--connect-timeout", "100ms")
        client.wait_status(lambda page: page["connections"]["failed"].get("ECONNREFUSED", 0) > 200, "it keeps trying")
        server = self.server("--listen", f"127.0.0.1:{port}")
        self.connected(client)
        client.stop(signal.SIGTERM, code=143)
        server.stop()

    def test_forgotten_connections_are_made_anew_and_nothing_is_lost(self):
        server = self.server("--ledger", "sqlite:" + os.path.join(self.folder, "ledger.sqlite"))
        way = Way(self, server.port)
        client = self.client(way.port, "--users", 20, "--qps", 100, "--answer-timeout", "1s")
        self.connected(client)
        server.shakes(rate=50, count=10_000)
        client.wait_status(lambda page: page["won"]["count"] > 10, "money moves")
        way.forget()
        client.wait_status(lambda page: page["connections"]["closed_silent"] == 20, "all connections are given up")
        before = client.wait_status(lambda page: page["connections"]["live"] == 20, "all are back")
        client.wait_status(lambda page: page["requests"]["answered"] > before["requests"]["answered"] + 50, "it goes on")
        client.set_rate(0)
        client.wait_status(lambda page: page["requests"]["outstanding"] == 0, "everything is answered")
        report = client.stop(signal.SIGTERM, code=143)
        self.assertEqual(report["connections"]["closed_by"]["no_answer"], 20)
        self.assertEqual(report["requests"]["lost"], 0)
        self.assertEqual(report["won"]["fen"], server.stop()["shake"]["won_fen"])
        self.assertIn("said nothing for 1s", client.rows())

    def test_a_short_idle_timeout_is_named(self):
        server = self.server("--idle-timeout", "1s")
        client = self.client(server, "--users", 10, "--qps", 0)
        self.connected(client)
        client.wait_status(lambda page: page["connections"]["closed_idle"] >= 20, "the server closes idle connections")
        client.stop(signal.SIGTERM, code=143)
        self.assertIn("its --idle-timeout is below", client.rows())
        server.stop()

    def test_a_stopped_server_keeps_the_connections(self):
        server = self.server()
        client = self.client(server, "--users", 20, "--qps", 100, "--workers", 1, "--answer-timeout", "1s", "--connect-timeout", "60s")
        self.connected(client)
        client.wait_status(lambda page: page["requests"]["answered"] > 50, "it runs")
        server.send_signal(signal.SIGSTOP)
        self.addCleanup(server.send_signal, signal.SIGCONT)
        client.wait_status(lambda page: page["connections"]["closed_silent"] == 1, "one asks whether it is there")
        start = client.status()["requests"]["due"]
        client.wait_status(lambda page: page["requests"]["due"] > start + 500, "the others wait on")
        self.assertEqual(client.status()["connections"]["closed_silent"], 1)
        server.send_signal(signal.SIGCONT)
        client.wait_status(lambda page: page["connections"]["live"] == 20, "all are there")
        self.assertEqual(client.status()["connections"]["closed_silent"], 1)
        client.kill()


class OnceAgainTest(processes.EndToEndTest):
    def test_the_money_log_of_a_killed_client_is_gone_on_with(self):
        server = self.server("--ledger", "sqlite:" + os.path.join(self.folder, "ledger.sqlite"))
        log = os.path.join(self.folder, "money.csv")
        server.shakes(rate=200, count=100_000)

        def lines():
            with open(log, encoding="ascii") as file:
                return file.read().splitlines()
        first = self.client(server, "--users", 50, "--qps", 400, "--money-log", log)
        processes.wait_until(lambda: os.path.exists(log) and len(lines()) > 50, "money moves")
        first.kill()
        before = lines()
        second = self.client(server, "--users", 50, "--qps", 400, "--money-log", log)
        second.wait_status(lambda page: page["won"]["count"] > 20, "and moves on")
        second.stop(signal.SIGTERM, code=143)
        self.assertEqual(lines()[:len(before) - 1], before[:-1])
        self.assertGreater(len(lines()), len(before))
        server.stop()


class AddressesTest(processes.EndToEndTest):
    def pair(self, listen, server):
        process = self.server("--listen", listen)
        client = self.client(process, "--users", 20, "--qps", 100, "--server", server.format(process.port))
        self.connected(client)
        client.wait_status(lambda page: page["requests"]["answered"] > 20, "it runs")
        client.stop(signal.SIGTERM, code=143)
        process.stop()

    def test_names(self):
        self.pair("localhost:0", "localhost:{}")

    def test_ipv6_and_both(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            self.skipTest(f"no IPv6 here: {error}")
        self.pair("[::1]:0", "[::1]:{}")
        self.pair("[::1]:0", "localhost:{}")  # 127.0.0.1 refuses, the next address does not
        self.pair("[::]:0", "127.0.0.1:{}")
        self.pair("[::]:0", "[::1]:{}")

    def test_the_admin_side_of_a_client_needs_a_word_to_be_reached_from_elsewhere(self):
        for address in ("0.0.0.0:0", "[::]:0", "some.name:9090"):
            code, _, errors = processes.run(processes.CLIENT, "--admin", address)
            self.assertEqual(code, 2)
            self.assertIn("can change the rate", errors)
            self.assertIn("--admin-remote", errors)
        server = self.server()
        client = self.client(server, "--admin", "0.0.0.0:0", "--admin-remote")
        self.connected(client)
        client.stop(signal.SIGTERM, code=143)
        server.stop()


if __name__ == "__main__":
    processes.main()
