"""What the programs say and how they end when they cannot start: one clear line with the cure; exit 1 could not run, 2 usage."""

import os
import socket

import processes
from processes import ANY_SCHEDULE, CLIENT, SERVER, run

FREE = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")


class FlagsTest(processes.EndToEndTest):
    def check_usage(self, binary, *flags, says):
        code, stdout, stderr = run(binary, *flags)
        self.assertEqual((code, stdout), (2, ""), f"{flags}: {stderr}")
        lines = stderr.splitlines()
        self.assertEqual(len(lines), 2, stderr)  # the reason, and where the options are explained
        self.assertIn(says, lines[0])
        self.assertIn("--help", lines[1])

    def check_cannot_run(self, binary, *flags, says, environment=None):
        """`says`: parts of the one line on stderr: what is wrong, and what to do."""
        code, stdout, stderr = run(binary, *flags, environment=environment)
        self.assertEqual((code, stdout), (1, ""), f"{flags}: {stderr}")
        reasons = [line for line in stderr.splitlines() if all(part in line for part in says)]
        self.assertEqual(len(reasons), 1, f"one line with {says}: {stderr}")
        return stderr

    def test_help_and_version(self):
        for binary, name in ((SERVER, "hongbao-server"), (CLIENT, "hongbao-client")):
            for flag in ("-h", "--help"):
                code, stdout, stderr = run(binary, flag)
                self.assertEqual((code, stderr), (0, ""))
                self.assertIn(name, stdout)
                for option in ("--admin", "--report", "--workers", "--help", "--version"):
                    self.assertIn(option, stdout)
            code, stdout, stderr = run(binary, "--version")
            self.assertEqual((code, stderr), (0, ""))
            self.assertRegex(stdout, rf"^{name} \d+\.\d+\.\d+\n$")

    def test_contract_of_the_flags(self):
        """Others script against these: they stay."""
        help_text = {binary: run(binary, "--help")[1] for binary in (SERVER, CLIENT)}
        for option in ("--listen", "--admin", "--users-max", "--connections-max", "--workers", "--max-qps", "--login-deadline",
                       "--frame-deadline", "--idle-timeout", "--drain", "--compat", "--report", "0.0.0.0:1025",
                       "127.0.0.1:8989"):
            self.assertIn(option, help_text[SERVER])
        for option in ("--server", "--users", "--qps", "--duration", "--protocol", "--admin", "--report", "127.0.0.1:9090"):
            self.assertIn(option, help_text[CLIENT])

    def test_wrong_flags_of_the_server(self):
        for flags, says in (
                (["--no-such-flag"], "--no-such-flag"), (["stray"], "stray"), (["--listen"], "--listen"),
                (["--listen", "127.0.0.1"], "--listen"), (["--listen", "he re:1025"], "--listen"),
                (["--listen", "127.0.0.1:65536"], "--listen"), (["--listen", "::1:1025"], "--listen"),
                (["--admin", "127.0.0.1:"], "--admin"), (["--users-max", "0"], "--users-max"),
                (["--users-max", "-5"], "--users-max"), (["--users-max", "5G"], "--users-max"),
                (["--connections-max", "many"], "--connections-max"), (["--connections-max", "0"], "--connections-max"),
                (["--workers", "1.5"], "--workers"), (["--workers", "257"], "--workers"), (["--max-qps", "1q"], "--max-qps"),
                (["--login-deadline", "5"], "--login-deadline"), (["--frame-deadline", "5 s"], "--frame-deadline"),
                (["--frame-deadline", "0"], "--frame-deadline"), (["--idle-timeout", "-1s"], "--idle-timeout"),
                (["--queue-wait-max", "500ns"], "multiple of 1us"), (["--drain", "1d"], "--drain"), (["--gift-expiry", "0s"], "--gift-expiry")):
            with self.subTest(flags=flags):
                self.check_usage(SERVER, *FREE, *flags, says=says)
        self.check_usage(SERVER, "--listen", "::1:1025", says="[::1]:1025")  # the message shows what is taken

    def test_wrong_flags_of_the_client(self):
        for flags, says in (
                (["--qsp", "5"], "--qsp"), (["--server", "127.0.0.1:0"], "--server"), (["--server", "::1:1025"], "[::1]:1025"),
                (["--users", "5-4/10"], "--users"), (["--users", "0-10/10"], "--users"), (["--users", "0"], "--users"),
                (["--users", "1-2"], "--users"), (["--qps", "-1"], "--qps"), (["--qps", "1e3"], "--qps"),
                (["--duration", "soon"], "--duration"), (["--duration", "30"], "--duration"), (["--protocol", "3"], "--protocol"),
                (["--protocol", "0"], "--protocol"), (["--source", "10.0.0.300"], "--source"),
                (["--duration", "1500ms"], "multiple of 1s"), (["--duration", "2001ms"], "multiple of 1s"),
                (["--connect-rate", "0"], "--connect-rate"), (["--late-max", "0"], "--late-max")):
            with self.subTest(flags=flags):
                self.check_usage(CLIENT, "--admin", "127.0.0.1:0", *flags, says=says)

    def test_sizes_and_times_with_units(self):
        server = self.server("--users-max", "0.5k", "--connections-max", "1k", "--max-qps", "1M", "--idle-timeout", "2m",
                             "--login-deadline", "1500ms", "--drain", "1h")
        self.assertEqual(server.status()["users"]["max"], 500)
        server.stop()

    def test_occupied_ports(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = f"127.0.0.1:{other.getsockname()[1]}"
            self.check_cannot_run(SERVER, "--listen", taken, "--admin", "127.0.0.1:0", says=[taken, "choose another port"])
            self.check_cannot_run(SERVER, "--listen", "127.0.0.1:0", "--admin", taken, says=[taken, "--admin"])
            server = self.server()
            self.check_cannot_run(CLIENT, "--server", f"127.0.0.1:{server.port}", "--users", "10", "--admin", taken,
                                  says=[taken, "--admin"])
            # Not beside a server that runs either: SO_REUSEPORT is for the sets of one process.
            self.check_cannot_run(SERVER, "--listen", f"127.0.0.1:{server.port}", "--admin", "127.0.0.1:0",
                                  says=[f"127.0.0.1:{server.port}", "choose another port"])
            server.stop()

    def test_an_address_that_is_not_of_this_machine(self):
        self.check_cannot_run(SERVER, "--listen", "192.0.2.1:0", "--admin", "127.0.0.1:0", says=["192.0.2.1:0", "ip addr"])

    def test_no_io_uring(self):
        without = {"HONGBAO_RING_OFF": "io_uring"}
        self.check_cannot_run(SERVER, *FREE, environment=without, says=["io_uring", "seccomp"])
        self.check_cannot_run(CLIENT, "--server", "127.0.0.1:9", "--users", "10", "--admin", "127.0.0.1:0", environment=without,
                              says=["io_uring", "seccomp"])

    def test_report_that_cannot_be_written(self):
        for path in ("/nowhere/at/all/report.json", self.folder, os.path.join(self.folder, "x", "report.json")):
            self.check_cannot_run(SERVER, *FREE, "--report", path, says=[path])
            self.check_cannot_run(CLIENT, "--server", "127.0.0.1:9", "--users", "10", "--admin", "127.0.0.1:0", "--report", path,
                                  says=[path])

    def test_more_connections_than_open_files(self):
        """Without direct descriptors each connection is an open file; the line says how many are too few."""
        self.check_cannot_run(SERVER, *FREE, "--connections-max", "60M", environment={"HONGBAO_RING_OFF": "direct"},
                              says=["60000000 connections", "open files", "ulimit"])
        self.check_cannot_run(CLIENT, "--server", "127.0.0.1:9", "--users", "20M", "--admin", "127.0.0.1:0",
                              environment={"HONGBAO_RING_OFF": "direct"}, says=["open files", "ulimit"])

    def test_client_of_a_closed_port(self):
        with socket.socket() as closed:  # bound and not listening: nobody else gets the port
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            _, _, stderr = result = run(CLIENT, "--server", f"127.0.0.1:{port}", "--users", "10", "--admin", "127.0.0.1:0",
                                        "--quiet")
        self.assertEqual(result[0], 1, stderr)
        lines = [line for line in stderr.splitlines() if line.startswith("error:")]
        self.assertEqual(len(lines), 1, stderr)
        for part in (f"127.0.0.1:{port}", "ECONNREFUSED", "start hongbao-server"):
            self.assertIn(part, lines[0])

    def test_client_with_users_that_the_server_does_not_know(self):
        server = self.server("--users-max", "10")
        code, _, stderr = run(CLIENT, "--server", f"127.0.0.1:{server.port}", "--users", "10-19/20", "--admin", "127.0.0.1:0",
                              "--quiet")
        self.assertEqual(code, 1, stderr)
        self.assertIn("--users-max", stderr)
        server.stop()

    def test_rows_go_to_stdout_and_talk_to_stderr(self):
        server = self.server()
        code, stdout, stderr = run(CLIENT, "--server", f"127.0.0.1:{server.port}", "--users", "20", "--qps", "40", "--duration",
                                   "2s", "--admin", "127.0.0.1:0", "--fail-if", ANY_SCHEDULE)
        self.assertEqual(code, 0, stderr)
        self.assertIn("ready: admin 127.0.0.1:", stderr)
        self.assertIn("PASS", stdout)
        self.assertRegex(stdout, r"\d\d:\d\d:\d\d")
        self.assertNotIn("ready", stdout)
        server.stop()


if __name__ == "__main__":
    processes.main()
