"""tools/simulate --ten-billion: its pure parts, and a small evening with the real programs, interrupted and gone on with."""

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest

from hongbao_tools.common.command_line import UsageError
from hongbao_tools.simulate import ten_billion

TOOL = os.path.join(os.environ["PYTHONPATH"], "simulate")


def part(**changed):
    return {"asked": 100, "answered": 100, "sent": 100, "lost": 0, "received": 100, "dropped": 0, "refused": 0, "repeated": 0, "late": 0,
            "won": 0, "won_fen": 30, "server_won": 0, "server_won_fen": 30, "left": 0, "left_fen": 0, "seconds": 1.0, "statements": {"different": 0, "equal": 2},
            "latency_us": {}, "cpu_s": {"server": 1, "client": 1}, "memory": {}, "broken": [], **changed}


class PureTest(unittest.TestCase):
    def state(self, *parts):
        with tempfile.TemporaryDirectory() as folder:
            options = ten_billion.parse(["--out", folder, "--requests", "200k"])
            state = ten_billion.State(options)
        state.document["asked"].update(requests=200, users=2)
        state.parts.extend(parts)
        return state

    def test_numbers_of_the_command_line(self):
        options = ten_billion.parse([])
        self.assertEqual((options.requests, options.qps, options.users), (10**10, 14_000_000, 10**6))
        self.assertEqual(ten_billion.parse(["--requests", "1G", "--qps", "30M"]).qps, 30_000_000)
        for wrong in (["--requests", "0"], ["--qps", "x"], ["--users", "1"], ["--gateways", "65"], ["--nonsense"]):
            with self.assertRaises(UsageError):
                ten_billion.parse(wrong)

    def broken(self, ledger, audit, *parts):
        found = ten_billion.identities(self.state(*parts), ledger, audit)
        return [one.name for one in found if not one.holds]

    def test_each_difference_is_found(self):
        ledger = {"won": 1, "won_fen": 60, "shake_left": 0, "shake_issued_fen": 60, "shake_left_fen": 0}
        first = part(won=1, server_won=1)
        self.assertEqual(self.broken(ledger, 0, first, part()), [])
        for changed, word in (({"answered": 99}, "asked"), ({"sent": 101}, "sent"), ({"won": 1}, "wins"), ({"won_fen": 31}, "money"),
                              ({"server_won": 3}, "wins: client = server"), ({"received": 99}, "received"), ({"broken": ["x"]}, "own"),
                              ({"refused": 1}, "refused"), ({"lost": 1}, "lost"), ({"statements": {"different": 1, "equal": 2}}, "differs"),
                              ({"statements": {"different": 0, "equal": 0}}, "is equal")):
            names = self.broken(ledger, 0, first, part(**changed))
            self.assertTrue(any(word in name for name in names), (changed, names))
        self.assertEqual(self.broken({**ledger, "won_fen": 59}, 0, first, part()), ["money: ledger = client", "money: ordered = won + left"])
        self.assertEqual(self.broken(ledger, 4, first, part()), ["the audit of the whole ledger"])

    def test_an_evening_without_envelopes_does_not_pass(self):
        nothing = {"won": 0, "won_fen": 0, "shake_left": 0, "shake_issued_fen": 0, "shake_left_fen": 0}
        self.assertEqual(self.broken(nothing, 0, part(won_fen=0, server_won_fen=0), part(won_fen=0, server_won_fen=0)),
                         ["wins: asked for = won + left"])

    def test_what_was_begun_goes_on_as_it_was_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            options = ten_billion.parse(["--out", folder, "--requests", "200k"])
            state = ten_billion.State(options)
            state.parts.append(part())
            state.save()
            self.assertEqual(ten_billion.State(options).left(), 199_900)
            with self.assertRaisesRegex(ten_billion.CouldNotRun, "--requests 200,000"):
                ten_billion.State(ten_billion.parse(["--out", folder, "--requests", "1M"]))
            state.parts.append({"asked": 5})  # killed: it never said what was answered
            state.save()
            with self.assertRaisesRegex(ten_billion.CouldNotRun, "did not end in order"):
                ten_billion.State(options)

    def test_flat_memory_is_what_was_added_after_the_first_quarter(self):
        self.assertEqual(ten_billion.flat([(0, 1, 1), (10, 5, 6), (25, 7, 8), (60, 9, 8), (100, 8, 8)]),
                         {"server_at_quarter": 7, "client_at_quarter": 8, "server_max": 9, "client_max": 8})
        self.assertEqual(ten_billion.flat([]), {})


class WholeTest(unittest.TestCase):
    """200,000 shakes a second for ten seconds, in two parts."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.join(folder.name, "evening")
        self.flags = [TOOL, "--ten-billion", "--requests", "2M", "--qps", "200k", "--users", "2k", "--out", self.folder]

    def test_interrupted_and_gone_on_with(self):
        log_path = self.folder + ".log"
        with open(log_path, "w", encoding="utf-8") as log:
            first = subprocess.Popen(self.flags, stdout=subprocess.PIPE, stderr=log, text=True)
        self.addCleanup(first.stdout.close)
        self.addCleanup(first.kill)
        self.assertTrue(re.search(r"[1-9]", first.stdout.readline()), "a row with what is done")
        first.send_signal(signal.SIGINT)
        self.assertEqual(first.wait(120), 130)
        with open(log_path, encoding="utf-8") as log:
            self.assertIn("go on with", log.read())
        with open(os.path.join(self.folder, ten_billion.STATE), encoding="utf-8") as file:
            done = json.load(file)["parts"][0]["answered"]
        self.assertTrue(0 < done < 2_000_000, done)
        second = subprocess.run(self.flags, capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(second.returncode, 0, second.stdout + second.stderr)
        with open(os.path.join(self.folder, "report.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual([len(report["parts"]), report["verdict"]], [2, "pass"])
        self.assertEqual(sum(one["answered"] for one in report["parts"]), 2_000_000)
        self.assertEqual(report["ledger"]["won"] + report["ledger"]["shake_left"], 2_000_000 // 280)
        self.assertGreater(report["ledger"]["won"], 5_000)
        with open(os.path.join(self.folder, "report.html"), encoding="utf-8") as file:
            page = file.read()
        for words in ("wins: ledger = client", "tools/simulate --ten-billion --requests 2000000"):
            self.assertIn(words, page)
        again = subprocess.run(self.flags, capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(again.returncode, 0, "all is done: only the last page again")
        self.assertIn("2,000,000 of 2,000,000", again.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
