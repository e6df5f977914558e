"""hongbao-monitor beside real servers and clients: every count adds up, and a client that is killed costs no fen."""

import csv
import os
import signal
import time
import unittest

import processes


def table(path):
    with open(path, encoding="ascii", newline="") as file:
        return list(csv.DictReader(file))


def total(rows, column):
    return sum(int(row[column]) for row in rows if row[column])


class MonitorTest(processes.MonitoredTest):
    def test_counts_in_the_rows_are_those_of_the_reports(self):
        monitor = self.monitor()
        server = self.server("--monitor", monitor.address)
        clients = [self.client(server, "--users", users, "--qps", "500", "--duration", "4s", "--monitor", monitor.address)
                   for users in ("0-99/200", "100-199/200")]
        server.shakes(rate=100, count=1000)
        server.gifts(rate=20, count=60, first_user=0, last_user=199)
        reports = [client.finish() for client in clients]
        served = server.stop()
        monitor.wait_status(lambda page: [s["condition"] for s in page["sources"]] == ["ended"] * 3, "all three have ended")
        report = monitor.close()
        rows = table(monitor.csv_path)

        def told(*keys):
            return sum(self.dig(one, keys) for one in reports)
        self.assertEqual(total(rows, "sent"), told("requests", "sent"))
        self.assertEqual(total(rows, "answered"), told("requests", "answered"))
        self.assertEqual(total(rows, "target"), sum(row["scheduled"] for one in reports for row in one["series"]))
        self.assertEqual(total(rows, "won"), told("won", "count"))
        self.assertEqual(total(rows, "nothing"), told("replies", "nothing"))
        self.assertEqual(total(rows, "opened"), told("gifts", "opened"))
        got = told("won", "fen") + told("gifts", "opened_fen")
        self.assertGreater(got, 0)
        self.assertEqual(total(rows, "got_fen"), got)
        self.assertEqual(total(rows, "received"), served["requests"]["received"])
        self.assertEqual(total(rows, "given_fen"), served["shake"]["won_fen"] + served["gifts"]["opened_fen"])
        self.assertEqual(total(rows, "issued"), served["shake"]["issued"])
        self.assertEqual(int(rows[-1]["given_total_fen"]), got)
        self.assertEqual(int(rows[-1]["difference_fen"]), 0)
        seconds = [int(row["unix_s"]) for row in rows]
        self.assertEqual(seconds, sorted(set(seconds)), "in order, each once")
        # The same, source by source.
        by_source = table(monitor.sources_path)
        for column in ("sent", "answered"):
            clients_only = [row for row in by_source if row["role"] == "client"]
            self.assertEqual(total(clients_only, column), told("requests", column))
        self.assertEqual({row["host"] for row in by_source}, {"127.0.0.1"})
        # And the report.
        self.assertEqual(report["account"]["money_fen"]["difference"], 0)
        self.assertEqual(report["verdict"], "pass")
        self.assertEqual(len(report["rows"]), len(rows))
        self.assertEqual(report["records"]["late"], 0)
        self.assertIn("difference 0.00  ok", monitor.rows())

    def dig(self, document, keys):
        for key in keys:
            document = document[key]
        return document

    def killed_under_load(self, monitor, flags=()):
        """A server with a ledger and two clients, of which the second dies under load; the server, and both."""
        server = self.server("--ledger", "sqlite:" + os.path.join(self.folder, "ledger.db"), "--monitor", monitor.address)
        clients = [self.client(server, "--users", users, "--qps", "1k", "--monitor", monitor.address, *flags)
                   for users in ("0-99/200", "100-199/200")]
        server.shakes(rate=400, count=100_000)
        clients[1].wait_status(lambda page: page["won"]["count"] > 200, "the one to be killed has won")
        clients[1].kill()
        monitor.wait_status(lambda page: "silent" in [s["condition"] for s in page["sources"]], "its silence is known")
        return server, clients

    def test_a_killed_client_that_comes_back_costs_no_fen(self):
        monitor = self.monitor()
        server, clients = self.killed_under_load(monitor)
        processes.wait_until(lambda: "1c!/1s" in monitor.rows() and "in flight" in monitor.rows(), "the rows show it")
        self.assertRegex(monitor.log(), r"client 127\.0\.0\.1 users 100-199 \(pid \d+\) silent")
        again = self.client(server, "--users", "100-199/200", "--qps", "1k", "--monitor", monitor.address)
        again.wait_status(lambda page: page["won"]["count"] > 200, "it has won again")
        for client in (clients[0], again):
            client.send_signal(signal.SIGINT)
            client.finish(130)
        server.stop()
        report = monitor.close()
        money = report["account"]["money_fen"]
        self.assertEqual(money["difference"], 0, monitor.rows())
        self.assertGreater(money["given"], 0)
        self.assertTrue(report["account"]["in_order"])
        conditions = sorted(source["condition"] for source in report["sources"])
        self.assertEqual(conditions, ["ended", "ended", "ended", "replaced"])
        self.assertRegex(monitor.rows(), r"account .*difference 0\.00  ok")
        rows = table(monitor.csv_path)
        self.assertEqual(int(rows[-1]["difference_fen"]), 0)
        silent = [row for row in rows if row["silent"] == "1"]
        self.assertTrue(silent)
        self.assertTrue(any(int(row["difference_fen"]) > 0 for row in silent), "what the dead one had not told is in flight")

    def test_a_killed_client_that_never_comes_back_is_named(self):
        monitor = self.monitor()
        server, clients = self.killed_under_load(monitor)
        clients[0].send_signal(signal.SIGINT)
        clients[0].finish(130)
        server.stop()
        report = monitor.close()  # exit code 0: nobody knows whether a fen is missing
        self.assertEqual([one["pid"] for one in report["account"]["never_back"]], [clients[1].pid])
        self.assertFalse(report["account"]["in_order"])
        self.assertRegex(monitor.rows(), rf"never back client 127\.0\.0\.1 users 100-199 \(pid {clients[1].pid}\)")

    def test_a_killed_server_that_comes_back_costs_no_fen(self):
        monitor = self.monitor()
        server, clients = self.killed_under_load(monitor)
        server.kill()
        next_server = self.server("--listen", f"127.0.0.1:{server.port}", "--ledger",
                                  "sqlite:" + os.path.join(self.folder, "ledger.db"), "--monitor", monitor.address)
        again = self.client(next_server, "--users", "100-199/200", "--qps", "1k", "--monitor", monitor.address)
        again.wait_status(lambda page: page["won"]["count"] > 100, "it wins")
        for client in (clients[0], again):
            client.send_signal(signal.SIGINT)
            client.finish(130)
        next_server.stop()
        report = monitor.close()
        self.assertEqual(report["account"]["money_fen"]["difference"], 0, monitor.rows())
        self.assertTrue(report["account"]["in_order"])

    def test_a_monitor_that_is_killed_comes_back_to_all_that_was_counted(self):
        monitor = self.monitor()
        server = self.server("--monitor", monitor.address)
        client = self.client(server, "--qps", "500", "--monitor", monitor.address)
        server.shakes(rate=100, count=100_000)
        processes.wait_until(lambda: len(table(monitor.csv_path)) >= 3, "rows")
        monitor.kill()
        killed_s = int(time.time())
        time.sleep(3)  # seconds without a monitor: they wait in the links
        again = self.monitor("--listen", monitor.address, csv=monitor.csv_path)
        again.wait_status(lambda page: len(page["sources"]) == 2 and page["newest_s"] > 0, "both have found it")
        for process, number in ((client, signal.SIGINT), (server, signal.SIGTERM)):
            process.send_signal(number)
            process.exit_code()
        report = again.close()
        self.assertEqual(report["account"]["money_fen"]["difference"], 0)
        self.assertEqual(report["account"]["money_fen"]["given"], server.report()["shake"]["won_fen"])
        seconds = {int(row["unix_s"]): row for row in table(monitor.csv_path)}
        self.assertEqual(len(seconds), len(table(monitor.csv_path)), "no second twice")
        # What a killed monitor had received and not printed has no row; what came to pass without one has.
        for second in (killed_s + 1, killed_s + 2):
            self.assertEqual((seconds[second]["hosts"], seconds[second]["silent"]), ("2", "0"))

    def test_what_no_client_may_do_is_a_fail(self):
        """Two clients of the same users: the rows, the account and the exit code say it."""
        monitor = self.monitor("--fail-if", None)
        server = self.server("--monitor", monitor.address)
        clients = [self.client(server, "--users", 40, "--qps", 100, "--duration", "4s", "--drain", "1s", "--no-statements",
                               "--monitor", monitor.address) for _ in range(2)]
        reports = [client.finish() for client in clients]
        server.stop()
        report = monitor.close(code=3)
        self.assertEqual(report["verdict"], "fail")
        superseded = sum(one["connections"]["superseded"] for one in reports)
        self.assertGreater(superseded, 0)
        self.assertEqual(report["account"]["reasons"][0], f"sessions ended because their users logged in elsewhere: {superseded:,}; superseded==0 has to hold")
        self.assertEqual(total(table(monitor.csv_path), "superseded"), superseded)
        self.assertIn("  FAIL       sessions ended", monitor.rows())

    def test_nobody_to_watch_is_no_pass(self):
        monitor = self.monitor()
        report = monitor.close()
        self.assertEqual(report["verdict"], "none")
        self.assertNotIn("  ok", monitor.rows())

    def test_what_is_left_in_a_ledger_counts_once(self):
        monitor = self.monitor()
        ledger = "sqlite:" + os.path.join(self.folder, "ledger.db")
        left = []
        for _ in range(2):
            server = self.server("--ledger", ledger, "--monitor", monitor.address)
            client = self.client(server, "--users", 20, "--qps", "100", "--monitor", monitor.address)
            server.shakes(rate=200, count=200)
            client.wait_status(lambda page: page["won"]["count"] > 50, "it wins")
            client.stop(signal.SIGINT, code=130)
            left.append(server.stop()["shake"]["left_fen"])
        report = monitor.close()
        self.assertGreater(left[1], 0)
        self.assertEqual(report["account"]["money_fen"]["left"], left[1], left)

    def test_without_a_monitor_nothing_is_different(self):
        server = self.server("--monitor", "127.0.0.1:1")
        client = self.client(server, "--qps", "200", "--duration", "2s", "--monitor", "127.0.0.1:1")
        self.assertEqual(client.finish()["requests"]["missed"], 0)
        server.stop()
        self.assertIn("ECONNREFUSED", client.log())

    def test_json_rows_and_no_text(self):
        monitor = self.monitor("--json")
        server = self.server("--monitor", monitor.address)
        processes.wait_until(lambda: monitor.rows().count("\n") >= 2, "rows")
        server.stop()
        monitor.close()
        lines = [processes.json.loads(line) for line in monitor.rows().splitlines()]
        self.assertIn("unix_s", lines[0])
        self.assertIn("account", lines[-1])


if __name__ == "__main__":
    unittest.main()
