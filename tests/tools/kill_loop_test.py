"""tools/kill_loop: its plan, its proof against planted losses, and twenty rounds with the real programs."""

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import unittest

from hongbao_tools.common import command_line
from hongbao_tools.kill_loop import options, plan, proof
from hongbao_tools.ledger import books, files

TOOLS = os.environ["PYTHONPATH"]


class OptionsTest(unittest.TestCase):
    def test_defaults_and_wrong_usage(self):
        self.assertEqual(options.parse([]).rounds, 20)
        self.assertTrue(options.parse(["--folder", "x"]).keep)
        for arguments, reason in ((["--rounds", "0"], "--rounds: must be from 1"), (["--users", "x"], "is not a count"),
                                  (["--nope"], "--nope"), (["stray"], "stray")):
            with self.assertRaises(command_line.UsageError) as caught:
                options.parse(arguments)
            self.assertIn(reason, str(caught.exception))

    def test_exit_codes(self):
        run = lambda *arguments: subprocess.run(  # noqa: E731
            [os.path.join(TOOLS, "kill_loop"), *arguments], capture_output=True, text=True, check=False, timeout=60,
            env=dict(os.environ, HONGBAO_BUILD_DIR="/nonexistent"))
        self.assertEqual(run("--help").returncode, 0)
        self.assertEqual(run("--rounds", "none").returncode, 2)
        self.assertEqual(run().returncode, 1)


class PlanTest(unittest.TestCase):
    def test_a_seed_repeats_the_plan(self):
        self.assertEqual(plan.plan(50, 7), plan.plan(50, 7))
        self.assertNotEqual(plan.plan(50, 7), plan.plan(50, 8))

    def test_twenty_rounds_have_each_point(self):
        for seed in range(20):
            self.assertEqual({kill.point for kill in plan.plan(20, seed)}, set(plan.POINTS))

    def test_named_points_are_told_to_the_server(self):
        for kill in plan.plan(300, 1):
            named = kill.point not in ("random", "start")
            self.assertEqual(bool(kill.environment), named)
            if named:
                self.assertEqual(kill.environment["HONGBAO_KILL_AT"], f"{kill.point}:{kill.passing}")


# The tables as libhongbao/ledger/schema.cc has them, without what guards them: here they are to be broken.
SCHEMA = """
CREATE TABLE orders(first_id INTEGER PRIMARY KEY, is_gift, count);
CREATE TABLE envelopes(id INTEGER PRIMARY KEY, kind, sender, total_fen, shares, left_fen, left_shares, state);
CREATE TABLE invites(envelope_id, share_idx, user_id);
CREATE TABLE grants(grant_id INTEGER PRIMARY KEY, user_id, grant_no, stamp, envelope_id, share_idx, kind, fen);
CREATE TABLE entries(ref_kind, ref_id, debit, credit, fen);
INSERT INTO orders VALUES(100, 0, 3);
INSERT INTO envelopes VALUES(100, 1, -1, 60, 3, 30, 1, 1), (900, 2, -1, 10, 2, 0, 0, 3);
INSERT INTO invites VALUES(900, 0, 7), (900, 1, 8);
INSERT INTO grants VALUES(1, 7, 1, 1001, 100, 0, 1, 10), (2, 7, 2, 1002, 900, 0, 2, 4), (3, 9, 1, 1003, 100, 1, 1, 20);
INSERT INTO entries VALUES(1, 100, 0, 8589934592 | 100, 60), (1, 900, 0, 8589934592 | 900, 10), (3, 900, 8589934592 | 900, 0, 6),
  (4, 1, 8589934592 | 100, 4294967296 | 7, 10), (4, 2, 8589934592 | 900, 4294967296 | 7, 4), (4, 3, 8589934592 | 100, 4294967296 | 9, 20);
"""
LOG = "kind,user,stamp,envelope,fen\nshake,7,1001,100,10\nopen,7,1002,900,4\nshake,9,1003,101,20\n"


class ProofTest(unittest.TestCase):
    """A checker that never failed proves nothing."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.ledger, self.log = os.path.join(folder.name, "ledger.sqlite"), os.path.join(folder.name, "money.csv")

    def look(self, sql="", log=LOG, receipts=((100, 0, 3),), client_users=100):
        if os.path.exists(self.ledger):
            os.remove(self.ledger)
        db = sqlite3.connect(self.ledger)
        db.executescript(SCHEMA + sql)
        db.close()
        with open(self.log, "w", encoding="ascii") as file:
            file.write(log)
        judged = proof.Proof(self.ledger, self.log, "true")
        judged.look(receipts, client_users=client_users)
        return judged

    def test_good_books(self):
        judged = self.look()
        self.assertEqual(list(judged.told()), [])
        self.assertEqual((judged.grants, judged.failed), (3, False))

    def test_half_a_line_is_read_when_it_is_whole(self):
        self.look(log=LOG + "shake,9,1004,1", client_users=None)
        log = proof.MoneyLog(self.log)
        log.read_on()
        self.assertEqual(len(log.lines), 3)
        with open(self.log, "a", encoding="ascii") as file:
            file.write("02,30\n")
        log.read_on()
        self.assertEqual(log.lines[3:], [proof.Line(books.LOT, 9, 1004, 102, 30)])

    def test_what_a_client_saw_must_be_in_the_ledger(self):
        for log in (LOG + "shake,9,1004,102,30\n", LOG.replace("101,20", "101,21"), LOG.replace("1003,101", "1003,102"),
                    LOG.replace("9,1003", "9,1004"), LOG.replace("open,7,1002", "open,8,1002")):
            self.assertTrue(self.look(log=log, client_users=None).lost, log)

    def test_every_grant_must_have_come_once(self):
        self.assertTrue(self.look(log=LOG.replace("shake,9,1003,101,20\n", "")).lost)
        self.assertTrue(self.look(log=LOG + "shake,9,1003,101,20\n").doubled)
        self.assertEqual(self.look(log=LOG.replace("shake,9,1003,101,20\n", ""), client_users=9).lost, [])  # not the client's user

    def test_a_confirmed_order_must_be_there(self):
        self.assertTrue(self.look(receipts=((100, 0, 3), (200, 0, 5))).lost)

    def test_each_planted_breach_is_found(self):
        for sql in (
            "UPDATE grants SET fen = 11 WHERE grant_id = 1", "UPDATE grants SET stamp = 1001, user_id = 7 WHERE grant_id = 3",
            "UPDATE grants SET share_idx = 0 WHERE grant_id = 3", "DELETE FROM grants WHERE grant_id = 2", "UPDATE grants SET grant_no = 3 WHERE grant_id = 2",
            "INSERT INTO entries VALUES(4, 1, 8589934592 | 100, 4294967296 | 7, 10)", "DELETE FROM entries WHERE ref_kind = 3",
            "UPDATE entries SET credit = 4294967296 | 8 WHERE ref_kind = 4 AND ref_id = 1", "UPDATE envelopes SET left_fen = 29 WHERE id = 100",
            "UPDATE envelopes SET left_shares = 2 WHERE id = 100", "UPDATE envelopes SET state = 1 WHERE id = 900",
            "UPDATE invites SET user_id = 9 WHERE user_id = 7", "DELETE FROM invites WHERE user_id = 8", "DELETE FROM envelopes WHERE id = 100",
        ):
            with self.subTest(sql=sql):
                self.assertTrue(self.look(sql, client_users=None).open_sums)


class WholeTest(unittest.TestCase):
    def test_twenty_rounds(self):
        done = subprocess.run([os.path.join(TOOLS, "kill_loop"), "--rounds", "20", "--users", "300", "--qps", "2k", "--check-every", "7"],
                              capture_output=True, text=True, check=False, timeout=500)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        last = done.stdout.splitlines()[-1]
        self.assertRegex(last, r"^result PASS  rounds 20, kills by point: .*; grants [\d,]+, lost 0, doubled 0, sums closed$")
        self.assertGreater(int(re.search(r"grants ([\d,]+)", last).group(1).replace(",", "")), 1000)
        self.assertFalse(os.path.exists(re.search(r"in (/\S+)", done.stderr).group(1)), "its folder is gone")

    def test_ports_are_not_the_kernels(self):
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            first, last = map(int, file.read().split())
        self.assertFalse(first <= files.free_port() <= last)

    def test_where_all_ports_are_the_kernels_it_is_one_of_them_all_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "range")
            with open(path, "w", encoding="ascii") as file:
                file.write("1024\t65535\n")
            self.assertGreaterEqual(files.free_port(path), 10_000)  # 0 would be another one at each start of the server


if __name__ == "__main__":
    sys.exit(unittest.main())
