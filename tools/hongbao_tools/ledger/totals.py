"""The sums of a ledger file, by SQL, on a copy: what the programs' reports are held against. Quick for millions of grants."""

import contextlib
import sqlite3
import tempfile

from . import files

_SQL = {
    "won": "SELECT COUNT(*), IFNULL(SUM(fen), 0) FROM grants WHERE kind = 1",
    "opened": "SELECT COUNT(*), IFNULL(SUM(fen), 0) FROM grants WHERE kind = 2",
    "shake_issued": "SELECT IFNULL(SUM(shares), 0), IFNULL(SUM(total_fen), 0) FROM envelopes WHERE kind = 1",  # less what was cancelled
    "shake_left": "SELECT IFNULL(SUM(left_shares), 0), IFNULL(SUM(left_fen), 0) FROM envelopes WHERE kind = 1",
    "gifts": "SELECT COUNT(*), IFNULL(SUM(total_fen), 0) FROM envelopes WHERE kind = 2",
    "gift_shares": "SELECT IFNULL(SUM(shares), 0), 0 FROM envelopes WHERE kind = 2",
    "gift_left": "SELECT IFNULL(SUM(left_shares), 0), IFNULL(SUM(left_fen), 0) FROM envelopes WHERE kind = 2",
    "refunded": "SELECT COUNT(*), IFNULL(SUM(fen), 0) FROM entries WHERE ref_kind = 3 AND ref_id IN (SELECT id FROM envelopes WHERE kind = 2)",
}


def read(path, folder):
    """{name: count, name_fen: sum} of the file, whose server must not be running; the copy is made in `folder`. InUse, OSError,
    sqlite3.Error."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="ledger-copy-", dir=folder) as place:
        with contextlib.closing(sqlite3.connect(files.copy(path, place))) as db:
            for name, sql in _SQL.items():
                found[name], found[name + "_fen"] = db.execute(sql).fetchone()
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'cancels'").fetchone():  # not in files of version 1
                shares, fen = db.execute("SELECT IFNULL(SUM(shares), 0), IFNULL(SUM(fen), 0) FROM cancels").fetchone()
                found["shake_issued"] -= shares
                found["shake_issued_fen"] -= fen
    return found


def since(before, after):
    """What has come about between two readings; `before` may be None: there was no file."""
    return {name: value - (before or {}).get(name, 0) for name, value in after.items()}
