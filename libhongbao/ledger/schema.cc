#include "libhongbao/ledger/schema.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace hongbao::ledger {
namespace {

// Which index is ordered how decides what a grant costs. Grants come in the order of time, and so do their stamps (unix
// time in ns) and, first in first out, their shares: ordered by these, a batch of new rows lands at the end of every
// index and dirties a few pages. An index that begins with the user would land on a page of its own for each row. So a
// user's grants are found through a chain (prev_id) from the newest, which memory knows.
//
// sum: see row_sum.h; over all columns but itself and those that change (left_fen, left_shares, state). Entries have none:
// each repeats what its grant or envelope says, and the audit compares them.
//
// one_open repeats what one_share and the invites say (a user's share is the user's place among the invited), on purpose.
constexpr char kTables1[] = R"sql(
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

// Version 2. order_terms: what an order has beside its row in orders; one that was placed under version 1 has none.
// cancels: orders that were ended early. What goes back of a lot has an entry of kind 3.
constexpr char kTables2[] = R"sql(
CREATE $TABLE order_terms(
  first_id INTEGER PRIMARY KEY, draw INTEGER NOT NULL CHECK(draw IN (0,1)), created_ms INTEGER NOT NULL,
  caller_key TEXT UNIQUE, asked TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE $TABLE cancels(
  first_id INTEGER PRIMARY KEY, place INTEGER NOT NULL CHECK(place >= 0), shares INTEGER NOT NULL CHECK(shares >= 0),
  fen INTEGER NOT NULL CHECK(fen >= shares), at_ms INTEGER NOT NULL, sum INTEGER NOT NULL,
  CHECK((shares = 0) = (fen = 0))) STRICT;
)sql";

std::string Tables2(const char* where) { return absl::StrReplaceAll(kTables2, {{"$", where}}); }

std::string Head(int64_t version) {
  return absl::StrCat("PRAGMA application_id = ", kApplicationId, "; PRAGMA user_version = ", version, ";");
}

}  // namespace

std::string SchemaSql(int64_t version) { return absl::StrCat(Head(version), kTables1, version == 1 ? "" : Tables2("")); }

std::string StandInsSql() { return Tables2("TEMP "); }

std::string UpgradeSql() {
  return absl::StrCat("DROP TABLE IF EXISTS temp.order_terms; DROP TABLE IF EXISTS temp.cancels;", Tables2(""),
                      Head(kSchemaVersion));
}

}  // namespace hongbao::ledger
