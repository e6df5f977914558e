"""tools/simulate with the real programs, small: a pass, two clients, an interruption, a death on either side, a server that comes
back on its ledger."""

import csv
import html
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from hongbao_tools.simulate import seconds, thresholds

MONITOR = os.path.join(os.environ["HONGBAO_BUILD_DIR"], "tools", "monitor", "hongbao-monitor")
TOOL = os.path.join(os.environ["PYTHONPATH"], "simulate")


class SimulateTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.join(folder.name, "run")
        self.log = os.path.join(folder.name, "stderr")

    def start(self, *arguments, **settings):
        with open(self.log, "w", encoding="utf-8") as log:
            process = subprocess.Popen([TOOL, *arguments, "--out", self.folder], stdout=subprocess.PIPE, stderr=log, text=True, **settings)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def said(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def wait_until_said(self, pattern):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = re.search(pattern, self.said(), re.MULTILINE)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"never said {pattern}: {self.said()}")

    def report(self):
        with open(os.path.join(self.folder, "report.json"), encoding="utf-8") as file:
            return json.load(file)

    def run_through(self, *arguments):
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=240)
        return process.returncode, out

    def check_passed(self, code, report):
        """A pass; on a machine too busy to keep the rate, that and nothing else may be the complaint."""
        if code != 0:
            self.assertEqual(code, 3, self.said())
            for reason in report["reasons"]:
                self.assertRegex(reason, r"^(requests missed|requests refused as overloaded|seconds with the rate held): .* has to hold$")

    def check_reconciled(self, report):
        self.assertEqual([identity for identity in report["identities"] if not identity["holds"]], [])
        money = report["money_fen"]
        self.assertGreater(money["received"], 0)
        self.assertEqual(money["difference"], 0)
        self.assertEqual(money["won"], money["received"])
        self.assertEqual(money["issued"], money["won"] + money["left"] + money["refunded"])

    def test_pass(self):
        hgrm = self.folder + ".hgrm"
        code, out = self.run_through("--users", "300", "--phases", "100:2s,200:3s", f"--client-flags=--hgrm {hgrm}")
        report = self.report()
        self.check_passed(code, report)
        self.assertEqual(report["verdict"], "pass" if code == 0 else "fail")
        self.check_reconciled(report)
        self.assertEqual(report["connections"], {**report["connections"], "target": 300, "established": 300})
        self.assertEqual([(p["name"], p["target_qps"], p["sent"] + p["missed"]) for p in report["phases"]],
                         [("100", 100, 200), ("200", 200, 600)])
        for phase in report["phases"]:
            for kind in ("schedule", "service"):
                self.assertLessEqual({"p50", "p90", "p99", "p999", "max"}, set(phase["latency_us"][kind]))
        self.assertGreater(report["gifts"]["opened"], 0)
        self.assertGreater(report["memory"]["server_rss_bytes"], 0)
        self.assertIn(f"result     {report['verdict'].upper()}", out)
        self.check_ledger(report, 0)
        self.assertEqual((report["not_judged"], report["ledger"]["path"]), ([], os.path.join(self.folder, "ledger.sqlite")))
        with open(os.path.join(self.folder, "series.csv"), encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        sent = sum(int(row["sent"]) for row in rows if row["role"] == "client")
        self.assertEqual(sent, report["requests"]["sent"])
        self.check_folder(report, out, hgrm)
        self.assertNotRegex(out + self.said(), "[\r\x1b\b]")  # nothing moves off a terminal
        self.assertEqual(len(re.findall(r"^\d\d:\d\d:\d\d ", out, re.MULTILINE)), 5)
        self.assertNotRegex(self.said(), r"(?m)^\d\d:\d\d:\d\d |^result")

    def check_folder(self, report, out, clients_hgrm):
        """The client's own percentiles and those made from its report are the same; the page holds what the report says."""
        files = re.search(r"^  files      (.*)/\{(.*)\}$", out, re.MULTILINE)
        self.assertEqual(files.group(1), self.folder)
        for name in files.group(2).replace("plot-*.png", "plot-qps.png,plot-money.png" if shutil.which("gnuplot") else "report.json").split(","):
            self.assertGreater(os.path.getsize(os.path.join(self.folder, name)), 0, name)
        with open(clients_hgrm, encoding="ascii") as theirs, open(os.path.join(self.folder, "latency.hgrm"), encoding="ascii") as ours:
            self.assertEqual(theirs.read(), ours.read())
        self.assertEqual(report["latency_us"]["schedule"]["count"], report["requests"]["answered"] + report["requests"]["missed"])
        self.assertEqual(report["thresholds"], [])
        self.assertEqual([one["expr"] for one in report["conditions"]], thresholds.STANDARD.split(","))
        self.assertEqual(shlex.split(report["command"])[:5], ["tools/simulate", "--users", "300", "--phases", "100=100:2s,200=200:3s"])
        self.assertIn("kernel", dict(report["environment"]))
        with open(os.path.join(self.folder, "report.html"), encoding="utf-8") as file:
            text = html.unescape(file.read().replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&"))
        self.assertNotRegex(text, r"<(script|img|iframe|source)[^>]*\ssrc=(?![\"']?data:)|<link[^>]*\shref=(?![\"']?data:)|@import|url\([\"']?https?:")
        for words in (report["command"], report["identities"][0]["name"], "Latency, ms"):
            self.assertIn(words, text)

    def test_two_clients_of_protocol_1_without_a_ledger(self):
        code, out = self.run_through("--users", "301", "--phases", "150:3s", "--clients", "2", "--protocol", "1", "--ledger", "none",
                                   "--fail-if", "p99>=0,lost==0", "--fail-if", "wins<1", "--quiet")
        self.assertTrue(out.startswith("result     FAIL\n"), out)
        self.assertNotRegex(self.said(), r"(?m)^(phase|server|connect|preflight)")
        report = self.report()
        self.assertEqual((code, report["exit_code"], report["verdict"]), (3, 3, "fail"))
        self.assertEqual([one["ok"] for one in report["thresholds"]], [True, True, False])
        self.assertRegex(report["reasons"][-1], r"^--fail-if wins<1: it was \d")
        self.assertEqual(report["latency_us"]["schedule"]["count"], report["requests"]["answered"] + report["requests"]["missed"])
        self.check_reconciled(report)
        self.assertEqual(report["phases"][0]["sent"] + report["phases"][0]["missed"], 450)
        self.assertIsNone(report["ledger"]["path"])
        self.assertNotIn("ledger.sqlite", os.listdir(self.folder))

    def check_ledger(self, report, restarts):
        ledger = report["ledger"]
        self.assertEqual([restart["how"] for restart in ledger["restarts"]], ["SIGKILL"] * restarts)
        self.assertTrue(all(restart["grants"] > 0 and restart["recovery_ms"] > 0 for restart in ledger["restarts"]))
        self.assertGreater(ledger["grants"], 0)
        self.assertEqual(ledger["added"]["won_fen"] + ledger["added"]["opened_fen"], report["money_fen"]["received"])
        self.assertTrue(any(identity["name"].startswith("ledger: ") for identity in report["identities"]))

    def test_killed_server_comes_back(self):
        """Once by the tool, once by hand; then a second run goes on with the same file."""
        process = self.start("--users", "200", "--phases", "100:3s,200:8s", "--kill-server", "4s")
        self.wait_until_said(r"^restart .*SIGKILL")
        pid = int(re.findall(r"^restart .* pid (\d+)\)", self.said(), re.MULTILINE)[-1])
        time.sleep(1.5)
        os.kill(pid, signal.SIGKILL)
        out, _ = process.communicate(timeout=240)
        report = self.report()
        self.check_passed(process.returncode, report)
        self.assertGreater(report["requests"]["missed"], 0)  # and the outage explains it
        self.check_reconciled(report)
        self.check_ledger(report, 2)
        self.assertEqual(report["phases"][1]["restarts"], 2)
        self.assertTrue(report["not_judged"])
        self.assertEqual(report["requests"]["lost"], 0)
        before = report["ledger"]["grants"]
        code, _ = self.run_through("--users", "200", "--phases", "100:2s")
        self.assertEqual(code, 1)
        self.assertIn("ledger of an earlier run", self.said())
        code, _ = self.run_through("--users", "200", "--phases", "100:2s", "--ledger", os.path.join(self.folder, "ledger.sqlite"))
        self.check_passed(code, self.report())
        self.check_reconciled(self.report())
        self.check_ledger(self.report(), 0)
        self.assertLess(self.report()["ledger"]["grants"], before)

    def test_what_is_no_ledger_is_left_alone(self):
        path = self.folder + ".txt"
        with open(path, "w", encoding="ascii") as file:
            file.write("no ledger\n" * 1000)
        code, _ = self.run_through("--users", "20", "--phases", "10:1s", "--ledger", path)
        self.assertEqual(code, 1)
        self.assertIn(f"the ledger {path} could not be read", self.said())
        self.assertNotIn("Traceback", self.said())
        self.assertEqual(os.path.getsize(path), 10_000)

    def test_an_interruption_keeps_a_partial_report(self):
        """Of a run with rows for scripts, which is asked how it does before."""
        process = self.start("--users", "100", "--phases", "50:120s", "--json", "--fail-if", "wins<1")
        out = process.stdout.readline() + process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        status = self.wait_until_said(r"^status +phase 50, second \d+ of 120; 100 of 100 users; (\d+) sent, .* won; given - got \S+ yuan; report in ")
        process.send_signal(signal.SIGINT)
        out += process.communicate(timeout=120)[0]
        self.assertEqual(process.returncode, 130, self.said())
        report = self.report()
        self.assertTrue(report["interrupted"])
        self.assertEqual(report["thresholds"], [])  # half a run is not judged
        self.check_reconciled(report)
        self.assertLessEqual(int(status.group(1)), report["requests"]["sent"])
        *rows, last = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(last, report)
        self.assertGreater(len(rows), 1)
        self.assertEqual([row["unix_s"] for row in rows], list(range(rows[0]["unix_s"], rows[0]["unix_s"] + len(rows))))
        for row in rows:
            self.assertEqual(list(row), seconds.COLUMNS)
            self.assertEqual((row["users"], row["hosts"], row["silent"]), (100, 2, 0))
        self.assertLessEqual(sum(row["sent"] for row in rows), report["requests"]["sent"])
        self.assertIn("report.html", os.listdir(self.folder))

    def test_an_interruption_of_the_report_keeps_the_figures(self):
        tools = os.path.dirname(self.log)
        drawing = os.path.join(tools, "drawing")
        with open(os.path.join(tools, "gnuplot"), "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\ntouch {drawing}\nexec sleep 120\n")
        os.chmod(file.name, 0o755)
        process = self.start("--users", "100", "--phases", "50:1s", "--no-monitor", env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"})
        deadline = time.monotonic() + 120
        while not os.path.exists(drawing) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 143, self.said())
        self.assertIn("result     INTERRUPTED", out)
        self.assertIn("{report.json,series.csv}", out)
        self.assertTrue(self.report()["interrupted"])
        self.check_reconciled(self.report())

    def test_what_cannot_be_written_is_told_and_the_result_shown(self):
        os.makedirs(os.path.join(self.folder, "report.html.partial"))
        code, out = self.run_through("--users", "100", "--phases", "50:1s", "--no-monitor")
        self.assertEqual(code, 1, self.said())
        self.assertIn("report.html.partial: Is a directory", self.said())
        self.assertNotIn("Traceback", self.said())
        self.assertIn("result     PASS", out)
        self.check_reconciled(self.report())

    def test_a_profile_is_followed(self):
        said = subprocess.run([os.path.join(os.environ["HONGBAO_BUILD_DIR"], "client", "hongbao-client"), "--help"], capture_output=True, text=True,
                              timeout=60, check=True).stdout
        if "--profile" not in said:
            self.skipTest("this client has no --profile")
        code, out = self.run_through("--users", "200", "--clients", "2", "--profile", "0s:0,2s:100,4s:100", "--no-monitor")
        report = self.report()
        self.check_passed(code, report)
        self.check_reconciled(report)
        (phase,) = report["phases"]
        self.assertEqual((phase["target_qps"], phase["duration_s"], phase["due"], phase["sent"] + phase["missed"]), (100, 4, 250, 250))
        self.assertEqual(report["shake"]["issued"], 250 * 16 // 100)  # a sixth of the peak's rate, as of the plain run's last step
        self.assertLess(report["shake"]["won"], phase["sent"] / 4)
        self.assertEqual(len(re.findall(r"^\d\d:\d\d:\d\d ", out, re.MULTILINE)), 4)
        self.assertIn("--profile 0s:0,2s:100,4s:100 --duration 4s", report["command"])

    def test_a_second_signal_leaves_at_once(self):
        process = self.start("--users", "100", "--phases", "50:120s")
        client = int(self.wait_until_said(r"^client .*\(pid (\d+)\)").group(1))
        self.wait_until_said(r"^phase ")
        time.sleep(4)
        os.kill(client, signal.SIGSTOP)  # it would keep the first signal waiting for long
        process.send_signal(signal.SIGTERM)
        self.wait_until_said(r"^stopping ")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 143, self.said())
        self.assertTrue(self.report()["interrupted"])
        self.assertNotIn("report.html", os.listdir(self.folder))  # nobody was to wait for it
        with self.assertRaises(ProcessLookupError):
            os.kill(client, 0)

    @unittest.skipUnless(os.access(MONITOR, os.X_OK), "no hongbao-monitor in this build")
    def test_the_monitor_watches_and_is_not_needed(self):
        """Its page answers during the run and after it, and its file holds what the report says."""
        process = self.start("--users", "100", "--phases", "50:5s", "--linger", "60s")
        address = self.wait_until_said(r"^watch +http://(127\.0\.0\.1:\d+)/ +metrics http://\1/metrics ").group(1)
        out = process.stdout.readline() + process.stdout.readline()
        self.assertIn("unix_s", self.fetch(address, "/v1/history"))
        self.wait_until_said(r"^linger +http://" + address)
        history = json.loads(self.fetch(address, "/v1/history"))
        self.assertEqual(history["columns"], seconds.COLUMNS)
        process.send_signal(signal.SIGINT)  # the run is over: this ends only the waiting
        out += process.communicate(timeout=60)[0]
        report = self.report()
        self.check_passed(process.returncode, report)
        self.assertIn("monitor.csv", out)
        rows = seconds.from_monitor(os.path.join(self.folder, "monitor.csv"))
        self.assertEqual(sum(row["sent"] or 0 for row in rows), report["requests"]["sent"])
        self.assertEqual(sum(row["given_fen"] or 0 for row in rows), report["money_fen"]["won"])

    @unittest.skipUnless(os.access(MONITOR, os.X_OK), "no hongbao-monitor in this build")
    def test_a_monitor_that_dies_is_told_once(self):
        process = self.start("--users", "100", "--phases", "50:5s", "--ledger", "none")
        self.wait_until_said(r"^watch ")
        with open(os.path.join(self.folder, "monitor.log"), encoding="utf-8") as log:
            pid = int(re.search(r"\(pid (\d+)\)", log.read()).group(1))
        self.wait_until_said(r"^phase ")
        os.kill(pid, signal.SIGKILL)
        out, _ = process.communicate(timeout=120)
        report = self.report()
        self.check_passed(process.returncode, report)
        self.assertEqual(self.said().count("the monitor was killed by SIGKILL; the run goes on without it"), 1)
        self.assertIn("SIGKILL", report["monitor"]["trouble"])
        self.assertIn("report.html", out)

    def fetch(self, address, path):
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.read().decode()

    @unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/proc/self/ns/mnt"), "needs root, for a disk of 1 MB")
    def test_a_full_disk_is_the_first_thing_said(self):
        """What the programs could not write down is unknown, not 0."""
        disk = os.path.join(os.path.dirname(self.log), "disk")
        os.makedirs(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, check=False).returncode != 0:
            self.skipTest("no tmpfs can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        self.folder = os.path.join(disk, "x")
        code, out = self.run_through("--users", "200", "--phases", "100:3s,200:4s", "--no-monitor")
        self.assertEqual(code, 1, out + self.said())
        first, cause, *rest = out.splitlines()
        self.assertEqual(first, "result     FAIL")
        self.assertIn(f"the disk of {self.folder} is full", cause)
        self.assertNotIn("0 of 0", out)
        self.assertNotIn("connect    0 of", out)
        self.assertNotRegex(out, r"\{\}")
        self.assertTrue(any("unknown" in line for line in rest), out)
        self.assertNotIn("Traceback", self.said())

    def test_a_death_is_told_and_the_report_kept(self):
        for victim in ("server", "client"):  # without a ledger a server's money is gone with it
            with self.subTest(victim=victim):
                process = self.start("--users", "100", "--phases", "50:120s", "--no-monitor", "--ledger", "none" if victim == "server" else self.folder + ".sqlite")
                pid = int(self.wait_until_said(rf"^{victim} .*\(pid (\d+)\)").group(1))
                self.wait_until_said(r"^phase ")
                os.kill(pid, signal.SIGKILL)
                process.communicate(timeout=120)
                self.assertEqual(process.returncode, 1, self.said())
                self.assertIn(f"{victim} was killed by SIGKILL", self.said())
                self.assertEqual(self.report()["verdict"], "fail")


if __name__ == "__main__":
    sys.exit(unittest.main())
