"""The proof: what the client wrote down against the books of a copy."""

import collections
import os
import tempfile

from ..common import exit_codes
from ..ledger import books as books_module
from ..ledger import files

SHOWN = 10  # problems told one by one; the rest is counted

Line = collections.namedtuple("Line", "kind user stamp envelope fen")
KINDS = {"shake": books_module.LOT, "open": books_module.GIFT}


class MoneyLog:
    """The client's file of replies that brought money, read as far as it goes."""

    def __init__(self, path):
        self._path = path
        self._offset = 0
        self.lines = []

    def read_on(self):
        """Takes in the whole lines that have come since."""
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[:data.rfind(b"\n") + 1]
        for text in whole.decode("ascii").splitlines():
            if not (self._offset == 0 and text.startswith("kind,")):
                kind, *numbers = text.split(",")
                self.lines.append(Line(KINDS[kind], *map(int, numbers)))
            self._offset += len(text) + 1


class Proof:
    """Problems found so far, by kind."""

    def __init__(self, ledger, money_log, server):
        self.ledger, self.server = ledger, server
        self.log = MoneyLog(money_log)
        self.lost, self.doubled, self.open_sums = [], [], []
        self.grants = 0

    @property
    def failed(self):
        return bool(self.lost or self.doubled or self.open_sums)

    def look(self, receipts, cancelled=None, client_users=None):
        """Holds a copy of the file (its server is dead) against all the client has written down. `receipts`: the orders that were
        confirmed; `cancelled`: the shares of those whose end was. `client_users`: at the very end, whose every grant must have arrived."""
        self.log.read_on()
        with tempfile.TemporaryDirectory(prefix="hongbao-look-", dir=os.path.dirname(self.ledger)) as folder:
            copy = files.copy(self.ledger, folder)
            self._audit(copy)  # before Python's SQLite writes the log back into the copy
            books = books_module.Books(copy)
        self.grants = len(books.grants)
        self.open_sums += books.problems()
        self.doubled += [problem for problem in self.open_sums if problem.startswith("doubled")]
        self._replies_are_in(books)
        for first, is_gift, count in receipts:
            if books.orders.get(first) != (is_gift, count):
                self.lost.append(f"order {first} ({'gifts' if is_gift else 'shake'}, {count}) was confirmed and is not in the file")
        for first, shares in (cancelled or {}).items():
            if first not in books.cancels or books.cancels[first].shares != shares:
                self.lost.append(f"order {first} was confirmed as cancelled, {shares} shares, the file has {books.cancels.get(first)}")
        if client_users is not None:
            self._grants_arrived(books, client_users)
        return books

    def _audit(self, copy):
        done = files.audit(self.server, copy)
        if done.returncode != exit_codes.DONE:
            breaches = [line for line in done.stdout.splitlines() if not line.startswith("holds")]
            self.open_sums.append(f"--audit-only ended with {done.returncode}: {' '.join(breaches) or done.stderr.strip()}")

    def _replies_are_in(self, books):
        """Every reply that the client saw is in the ledger with the same fen."""
        requests = {(g.user, g.stamp): g for g in books.grants if g.stamp is not None}
        opens = {(g.user, g.envelope): g for g in books.grants if g.kind == books_module.GIFT}
        for line in self.log.lines:
            grant = requests.get((line.user, line.stamp))
            if grant is None or grant.kind != line.kind:
                grant = opens.get((line.user, line.envelope)) if line.kind == books_module.GIFT else None
            if grant is None:
                self.lost.append(f"the client was given {line} and the ledger has no such grant")
            elif (books.wire_id(grant), grant.fen) != (line.envelope, line.fen):
                self.lost.append(f"the client was given {line}, the ledger has {grant}")
            elif grant.stamp != line.stamp:
                self.lost.append(f"the client opened by {line}, the ledger says by {grant}")

    def _grants_arrived(self, books, client_users):
        """Every grant of a user of the client's is in the client's log exactly once."""
        seen = collections.Counter((line.kind, line.user, line.envelope) for line in self.log.lines)
        for grant in books.grants:
            count = seen.pop((grant.kind, grant.user, books.wire_id(grant)), 0)
            if grant.user < client_users and count == 0:
                self.lost.append(f"{grant} never reached the client")
            elif count > 1:
                self.doubled.append(f"{grant} was given to the client {count} times")
        self.lost += [f"the client was given {key}, which is no grant" for key in seen]

    def told(self):
        """The problems as lines."""
        for name, problems in (("lost", self.lost), ("doubled", self.doubled), ("sums", self.open_sums)):
            for problem in problems[:SHOWN]:
                yield f"{name}: {problem}"
            if len(problems) > SHOWN:
                yield f"{name}: and {len(problems) - SHOWN:,} more"
