#include "libhongbao/ledger/schema.h"

namespace hongbao::ledger {

// Which index is ordered how decides what a grant costs. Grants come in the order of time, and so do their stamps (unix
// time in ns) and, first in first out, their shares: ordered by these, a batch of new rows lands at the end of every
// index and dirties a few pages. An index that begins with the user would land on a page of its own for each row. So a
// user's grants are found through a chain (prev_id) from the newest, which memory knows.
//
// sum: see row_sum.h; over all columns but itself and those that change (left_fen, left_shares, state). Entries have none:
// each repeats what its grant or envelope says, and the audit compares them.
//
// one_open repeats what one_share and the invites say (a user's share is the user's place among the invited), on purpose.
const char* const kSchemaSql = R"sql(
PRAGMA application_id = 0x68626c67;
PRAGMA user_version = 1;
CREATE TABLE meta(
  k TEXT PRIMARY KEY, v INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE orders(
  first_id INTEGER PRIMARY KEY, is_gift INTEGER NOT NULL CHECK(is_gift IN (0,1)), count INTEGER NOT NULL CHECK(count > 0),
  rate INTEGER NOT NULL CHECK(rate > 0), min_fen INTEGER NOT NULL CHECK(min_fen > 0),
  max_fen INTEGER NOT NULL CHECK(max_fen >= min_fen),
  at_s INTEGER NOT NULL, key BLOB NOT NULL CHECK(length(key) = 32),
  users INTEGER NOT NULL, first_user INTEGER NOT NULL, last_user INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE envelopes(
  id INTEGER PRIMARY KEY, kind INTEGER NOT NULL CHECK(kind IN (1,2)),
  sender INTEGER NOT NULL, stamp INTEGER,
  total_fen INTEGER NOT NULL CHECK(total_fen > 0), shares INTEGER NOT NULL CHECK(shares > 0 AND total_fen >= shares),
  left_fen INTEGER NOT NULL CHECK(left_fen >= 0), left_shares INTEGER NOT NULL CHECK(left_shares >= 0),
  state INTEGER NOT NULL CHECK(state IN (1,2,3)), created_ms INTEGER NOT NULL, expires_ms INTEGER, sum INTEGER NOT NULL,
  CHECK((left_shares = 0) = (left_fen = 0)), CHECK(left_fen >= left_shares), CHECK((state = 1) = (left_shares > 0))) STRICT;
CREATE UNIQUE INDEX one_send ON envelopes(stamp, sender) WHERE stamp IS NOT NULL;
CREATE INDEX by_expiry ON envelopes(expires_ms) WHERE expires_ms IS NOT NULL;
CREATE TABLE invites(
  envelope_id INTEGER NOT NULL, share_idx INTEGER NOT NULL, user_id INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(envelope_id, share_idx)) STRICT, WITHOUT ROWID;
CREATE TABLE grants(
  grant_id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, grant_no INTEGER NOT NULL, prev_id INTEGER NOT NULL,
  stamp INTEGER, max_stamp INTEGER NOT NULL, envelope_id INTEGER NOT NULL, share_idx INTEGER NOT NULL,
  kind INTEGER NOT NULL CHECK(kind IN (1,2)), fen INTEGER NOT NULL CHECK(fen >= 1), at_ms INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX one_request ON grants(stamp, user_id) WHERE stamp IS NOT NULL;
CREATE UNIQUE INDEX one_share ON grants(envelope_id, share_idx);
CREATE UNIQUE INDEX one_open ON grants(envelope_id, user_id) WHERE kind = 2;
CREATE TABLE entries(
  ref_kind INTEGER NOT NULL CHECK(ref_kind IN (1,2,3,4)), ref_id INTEGER NOT NULL,
  debit INTEGER NOT NULL, credit INTEGER NOT NULL, fen INTEGER NOT NULL CHECK(fen > 0), CHECK(debit <> credit),
  PRIMARY KEY(ref_kind, ref_id)) STRICT, WITHOUT ROWID;
)sql";

}  // namespace hongbao::ledger
