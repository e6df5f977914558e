"""tools/audit on real files: good, broken in several ways, in use, and none at all."""

import contextlib
import hashlib
import os
import pathlib
import sqlite3
import subprocess

import processes
import wire

TOOL = processes.ROOT / "tools/audit"
BUILD = pathlib.Path(processes.SERVER).resolve().parents[1]


class AuditTest(processes.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "ledger.sqlite")

    def audit(self, *arguments):
        """(exit code, stdout, stderr); nothing may be left of the copy."""
        copies = os.path.join(self.folder, "copies")
        os.makedirs(copies, exist_ok=True)
        done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False, timeout=processes.TIMEOUT_S,
                              env=dict(os.environ, HONGBAO_BUILD_DIR=str(BUILD), TMPDIR=copies))
        self.assertEqual(os.listdir(copies), [])
        return done.returncode, done.stdout, done.stderr

    def money_moves(self):
        """A server on the file, with some wins and opens behind it."""
        server = self.server("--ledger", "sqlite:" + self.path)
        server.shakes(rate=1000, count=20)
        server.gifts(rate=1000, count=5, first_user=1, last_user=3)
        with wire.Peer(server.port, 2, 1) as peer:
            won = 0
            while won < 10:
                won += peer.shake().result == wire.WON
            self.assertGreater(peer.open(peer.notice().envelope).fen, 0)
        return server

    def test_good_file_and_one_that_was_left_by_a_kill(self):
        self.money_moves().kill()
        self.assertTrue(os.path.getsize(self.path + "-wal"))
        before = fingerprint(self.path), fingerprint(self.path + "-wal")
        code, out, err = self.audit(self.path)
        self.assertEqual((code, err), (0, ""), out)
        self.assertGreater(len(out.splitlines()), 10)
        self.assertTrue(all(line.startswith("holds ") for line in out.splitlines()), out)
        self.assertEqual((fingerprint(self.path), fingerprint(self.path + "-wal")), before)
        self.server("--ledger", "sqlite:" + self.path).stop()
        self.assertEqual(self.audit(self.path)[0], 0)

    def test_breaches_are_named(self):
        self.money_moves().stop()
        for sql, name in (("UPDATE grants SET fen = fen + 1 WHERE grant_id = 1", "each has one entry of its amount"),
                          ("UPDATE envelopes SET left_fen = left_fen + 1 WHERE kind = 1", "total = left + granted"),
                          ("DELETE FROM grants WHERE grant_id = 2", "without a hole")):
            broken = os.path.join(self.folder, "broken.sqlite")
            with open(self.path, "rb") as source, open(broken, "wb") as target:
                target.write(source.read())
            with contextlib.closing(sqlite3.connect(broken)) as db:
                db.execute(sql)
                db.commit()
            code, out, err = self.audit(broken)
            self.assertEqual(code, 4, out + err)
            self.assertTrue(any(line.startswith("BREACH") and name in line for line in out.splitlines()), out)
            self.assertTrue(any(line.startswith("holds") for line in out.splitlines()), out)

    def test_live_file_is_refused(self):
        server = self.money_moves()
        code, out, err = self.audit(self.path)
        self.assertEqual((code, out), (1, ""))
        self.assertIn(f"is open in process {server.pid}", err)
        server.stop()
        self.assertEqual(self.audit(self.path)[0], 0)

    def test_what_is_no_ledger_and_wrong_usage(self):
        text = os.path.join(self.folder, "text")
        pathlib.Path(text).write_text("no ledger at all\n" * 100, encoding="ascii")
        for path, words in ((text, "not a ledger"), (self.path, "no such file"), (self.folder, "not a regular file")):
            code, out, err = self.audit(path)
            self.assertEqual((code, out), (1, ""), err)
            self.assertIn(words, err)
            self.assertEqual(len(err.splitlines()), 1, err)
        for arguments in ((), (self.path, "more"), ("--nope", self.path)):
            self.assertEqual(self.audit(*arguments)[0], 2)
        code, out, _ = self.audit("--help")
        self.assertEqual(code, 0)
        self.assertIn("exit codes", out)


def fingerprint(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest(), os.stat(path).st_mtime_ns


if __name__ == "__main__":
    processes.main()
