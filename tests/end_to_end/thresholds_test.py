"""How a client ends and what it prints: --fail-if and its exit codes, --json, signals."""

import json
import os
import signal
import subprocess

import processes


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


class ThresholdsTest(processes.EndToEndTest):
    def run_client(self, server, *flags, code=0, qps=100):
        """Exit code as wanted; (report, stdout)."""
        asked = flags.index("--fail-if") + 1 if "--fail-if" in flags else None
        if asked:  # a busy machine keeps no rate
            flags = (*flags[:asked], flags[asked] + ",held>=0%" * (qps > 0), *flags[asked + 1:])
        client = self.client(server, "--users", 50, "--qps", qps, "--duration", "2s", *flags)
        self.assertEqual(client.exit_code(), code, client.log())
        return client.report(), client.rows()

    def test_what_holds_and_what_does_not(self):
        server = self.server()
        report, out = self.run_client(server, "--fail-if", "missed==0,p99<1h,rate>=100%,difference==0")
        self.assertEqual([one["ok"] for one in report["thresholds"]], [True] * 5)
        self.assertEqual(report["verdict"], "pass")
        self.assertIn("  threshold  ok      missed==0: 0\n", out)
        report, out = self.run_client(server, "--fail-if", "missed==0,max<1us", code=3)
        self.assertEqual([one["ok"] for one in report["thresholds"]], [True, False, True])
        self.assertGreater(report["thresholds"][1]["value"], 1)
        self.assertEqual(report["thresholds"][1]["unit"], "us")
        self.assertRegex(report["reasons"][0], r"^--fail-if max<1us: it was [\d,.]+ us$")
        self.assertEqual(report["verdict"], "fail")
        self.assertTrue(all(report["identities"].values()))
        self.assertIn("  threshold  FAILED  max<1us: ", out)
        self.assertTrue(out.startswith("result     FAIL\n"), out)
        self.assertIn("  rate held  >= 99 % of target in ", out)
        self.assertIn("  bound by   ", out)
        # No answer was ever won: what was not measured does not hold.
        report, _ = self.run_client(server, "--fail-if", "p99<1h", code=3, qps=0)
        self.assertIsNone(report["thresholds"][0]["value"])
        server.stop()

    def test_a_wrong_expression_shows_a_right_one(self):
        for wrong in ("", "p99<1", "p98<1ms", "missed=0", "p99<1ms,"):
            code, out, err = processes.run(processes.CLIENT, "--fail-if", wrong)
            self.assertEqual((code, out), (2, ""))
            self.assertIn("e.g. 'p99<1ms,missed<0.1%,lost==0'", err)

    def test_an_interrupted_run_is_not_judged(self):
        server = self.server()
        client = self.client(server, "--users", 50, "--qps", 200, "--duration", "1h", "--fail-if", "max<1us")
        client.wait_status(lambda page: page["requests"]["answered"] > 20, "it shakes")
        client.send_signal(signal.SIGUSR1)
        processes.wait_until(lambda: '"role": "client"' in client.log(), "the status is on stderr")
        report = client.stop(signal.SIGINT, code=130)
        self.assertIs(report["interrupted"], True)
        self.assertIsNone(report["thresholds"][0]["ok"])
        self.assertGreater(report["thresholds"][0]["value"], 1)
        self.assertIn("threshold  not judged  max<1us", client.rows())
        server.stop()

    def test_second_interrupt_leaves_at_once(self):
        server = self.server()
        client = self.client(server, "--users", 50, "--qps", 200, "--drain", "1h", "--fail-if", "max<1us")
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
        self.assertIsNone(report["thresholds"][0]["ok"])
        self.assertIn("FAIL (interrupted)", client.rows())  # it has left answers behind
        self.assertEqual(report["latency_us"]["schedule"]["count"], report["requests"]["sent"])
        server.stop()

    def start_loud(self, binary, *flags):
        """Without --quiet, which the others have."""
        process = processes.Process(binary, [*map(str, flags)], self.folder, "loud")
        self.addCleanup(process.kill)
        return process

    def test_json_has_rows_and_the_report_and_nothing_else(self):
        server = self.server()
        client = self.start_loud(processes.CLIENT, "--server", f"127.0.0.1:{server.port}", "--admin", "127.0.0.1:0", "--users", 50,
                                 "--qps", 100, "--duration", "3s", "--json", "--fail-if", processes.ANY_SCHEDULE)
        report = client.finish()
        *rows, last = lines(client.rows())
        self.assertEqual(last, report)
        self.assertIs(last["report"], True)
        self.assertEqual(rows, report["series"])
        self.assertGreaterEqual(len(rows), 3)
        self.assertEqual(sum(row["sent"] for row in rows), 300)
        self.assertNotIn("report", rows[0])
        self.assertEqual(sum(count for _, count in report["histogram_ns"]["schedule"]), 300)
        quiet, out = self.run_client(server, "--json")
        self.assertEqual(lines(out), [quiet])
        server.stop()

    def test_json_of_the_server(self):
        server = self.start_loud(processes.SERVER, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--users-max", "1k",
                                 "--json").wait_ready()
        self.run_client(server)
        report = server.stop()
        *rows, last = lines(server.rows())
        self.assertEqual(last, report)
        self.assertIs(last["report"], True)
        self.assertEqual(rows, report["series"])
        self.assertEqual(sum(row["received"] for row in rows), 200)

    def test_a_reader_that_goes_away_ends_the_rows_alone(self):
        """As `| head -1` does."""
        server = self.server()
        for json_flag in ((), ("--json",)):
            path = f"{self.folder}/head.json"
            client = subprocess.Popen(
                [processes.CLIENT, "--server", f"127.0.0.1:{server.port}", "--admin", "127.0.0.1:0", "--users", "50", "--qps",
                 "100", "--duration", "3s", "--report", path, "--fail-if", processes.ANY_SCHEDULE, *json_flag], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                preexec_fn=processes.die_with_parent)
            self.addCleanup(client.kill)
            self.assertTrue(client.stdout.readline())
            client.stdout.close()
            self.assertEqual(client.wait(processes.TIMEOUT_S), 0)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(json.load(file)["requests"]["answered"], 300)
            os.remove(path)
        server.stop()


if __name__ == "__main__":
    processes.main()
