"""The books of a ledger file, read and added up with nothing of the server's: Python's SQLite for the rows, Python for the sums.

Knows the schema as docs and libhongbao/ledger/schema.cc tell it, and asks without its indexes, so that one that is wrong hides
nothing. Only for copies.
"""

import collections
import contextlib
import sqlite3

LOT, GIFT = 1, 2
FUND, SEND, REFUND, GRANT = 1, 2, 3, 4
EXPIRED = 3
_USER, _ESCROW = 1 << 32, 2 << 32

Grant = collections.namedtuple("Grant", "id user number stamp envelope share kind fen")
Envelope = collections.namedtuple("Envelope", "id kind sender total shares left left_shares state")

Cancel = collections.namedtuple("Cancel", "place shares fen")
NOTHING_CANCELLED = Cancel(0, 0, 0)


class Books:
    """All rows of one copy."""

    def __init__(self, path):
        with contextlib.closing(sqlite3.connect(path)) as db:
            rows = lambda sql: db.execute(sql).fetchall()  # noqa: E731
            self.grants = [Grant(*row) for row in rows(
                "SELECT grant_id, user_id, grant_no, stamp, envelope_id, share_idx, kind, fen FROM grants NOT INDEXED")]
            self.envelopes = {row[0]: Envelope(*row) for row in rows(
                "SELECT id, kind, sender, total_fen, shares, left_fen, left_shares, state FROM envelopes NOT INDEXED")}
            self.entries = rows("SELECT ref_kind, ref_id, debit, credit, fen FROM entries")
            self.orders = {row[0]: row[1:] for row in rows("SELECT first_id, is_gift, count FROM orders")}
            newer = rows("SELECT 1 FROM sqlite_master WHERE name = 'cancels'")  # files of version 1 have none
            self.cancels = {row[0]: Cancel(*row[1:]) for row in rows(
                "SELECT first_id, place, shares, fen FROM cancels" if newer else "SELECT 0, 0, 0, 0 WHERE 0")}
            self.invites = collections.defaultdict(dict)
            for envelope, share, user in rows("SELECT envelope_id, share_idx, user_id FROM invites"):
                self.invites[envelope][share] = user

    def wire_id(self, grant):
        """The envelope as the wire names it: each share of a lot is one of its own."""
        return grant.envelope + grant.share if grant.kind == LOT else grant.envelope

    def problems(self):
        """What does not add up, in words; empty when all does."""
        return [*self._doubled(), *self._unnumbered(), *self._uninvited(), *self._envelopes_off(), *self._accounts_off()]

    def _doubled(self):
        keys = {
            "request (user, stamp)": [(g.user, g.stamp) for g in self.grants if g.stamp is not None],
            "share (envelope, share)": [(g.envelope, g.share) for g in self.grants],
            "open (envelope, user)": [(g.envelope, g.user) for g in self.grants if g.kind == GIFT],
            "entry (kind, id)": [entry[:2] for entry in self.entries],
        }
        for name, values in keys.items():
            for value, count in collections.Counter(values).items():
                if count > 1:
                    yield f"doubled: {name} {value} stands {count} times"

    def _unnumbered(self):
        numbers = collections.defaultdict(list)
        for grant in self.grants:
            numbers[grant.user].append(grant.number)
        for user, found in numbers.items():
            if sorted(found) != list(range(1, len(found) + 1)):
                yield f"user {user}: grants numbered {sorted(found)[:20]}, not 1 to {len(found)}"
        if sorted(grant.id for grant in self.grants) != list(range(1, len(self.grants) + 1)):
            yield f"the {len(self.grants)} grants are not numbered 1 to {len(self.grants)}"

    def _uninvited(self):
        for grant in self.grants:
            if grant.kind == GIFT and self.invites[grant.envelope].get(grant.share) != grant.user:
                yield f"grant {grant.id}: user {grant.user} was not invited to share {grant.share} of gift {grant.envelope}"
        for envelope in self.envelopes.values():
            if envelope.kind == GIFT and sorted(self.invites[envelope.id]) != list(range(envelope.shares)):
                yield f"gift {envelope.id}: {len(self.invites[envelope.id])} invited to {envelope.shares} shares"

    def _envelopes_off(self):
        fen, shares, refunds, funds = (collections.Counter() for _ in range(4))
        for grant in self.grants:
            fen[grant.envelope] += grant.fen
            shares[grant.envelope] += 1
            if self.envelopes.get(grant.envelope, grant).kind != grant.kind or grant.envelope not in self.envelopes:
                yield f"grant {grant.id}: envelope {grant.envelope} is not there, or of another kind"
        for kind, ref, _, _, amount in self.entries:
            refunds[ref] += amount if kind == REFUND else 0
            funds[ref] += amount if kind in (FUND, SEND) else 0
        for e in self.envelopes.values():
            if e.total != e.left + fen[e.id] + refunds[e.id]:
                yield f"envelope {e.id}: total {e.total} != left {e.left} + granted {fen[e.id]} + refunded {refunds[e.id]} fen"
            cancelled = self.cancels.get(e.id, NOTHING_CANCELLED)
            if e.state != EXPIRED and e.shares != e.left_shares + shares[e.id] + cancelled.shares:
                yield f"envelope {e.id}: {e.shares} shares != left {e.left_shares} + granted {shares[e.id]} + cancelled {cancelled.shares}"
            if e.kind == LOT and refunds[e.id] != cancelled.fen:
                yield f"envelope {e.id}: {refunds[e.id]} fen went back, cancelled were {cancelled.fen}"
            if e.state == EXPIRED and not (e.left == 0 and shares[e.id] < e.shares and refunds[e.id] > 0):
                yield f"envelope {e.id} has expired: left {e.left}, refunded {refunds[e.id]} fen, {shares[e.id]} of {e.shares} shares granted"
            if funds[e.id] != e.total:
                yield f"envelope {e.id}: funded by {funds[e.id]} of {e.total} fen"
        for first, cancelled in self.cancels.items():
            if first not in self.orders or cancelled.place + cancelled.shares > self.orders[first][1]:
                yield f"order {first} was cancelled, and is not there or is smaller"
        for first, (is_gift, count) in self.orders.items():
            if not is_gift and (first not in self.envelopes or self.envelopes[first].shares != count):
                yield f"shake order {first}: its lot is not there with {count} shares"

    def _accounts_off(self):
        balance, got = collections.Counter(), collections.Counter()
        for _, _, debit, credit, fen in self.entries:
            balance[debit] -= fen
            balance[credit] += fen
        for grant in self.grants:
            got[_USER | grant.user] += grant.fen
        for kind, ref, debit, credit, fen in self.entries:  # what senders paid and got back is in their accounts too
            got[debit] -= fen if kind == SEND and debit & _USER else 0
            got[credit] += fen if kind == REFUND and credit & _USER else 0
        for account in {account for account in (*balance, *got) if account >> 32 == 1}:
            if balance[account] != got[account]:
                yield f"user {account & 0xffffffff}: the account holds {balance[account]} fen, grants, sends and refunds make {got[account]}"
        for e in self.envelopes.values():
            if balance[_ESCROW | e.id] != e.left:
                yield f"envelope {e.id}: its account holds {balance[_ESCROW | e.id]} fen, left are {e.left}"
        if sum(balance.values()) != 0:
            yield f"all accounts together hold {sum(balance.values())} fen, not 0"
