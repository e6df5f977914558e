#include "libhongbao/ledger/audit.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

// Makes a row's checksum right again, so that the identities themselves are what finds the rest.
constexpr char kMend[] =
    "; UPDATE grants SET sum = row_sum(grant_id, user_id, grant_no, prev_id, stamp, max_stamp, envelope_id, share_idx, kind, fen,"
    " at_ms); UPDATE envelopes SET sum = row_sum(id, kind, sender, stamp, total_fen, shares, created_ms, expires_ms);"
    " UPDATE invites SET sum = row_sum(envelope_id, share_idx, user_id);"
    " UPDATE cancels SET sum = row_sum(first_id, place, shares, fen, at_ms)";

struct Edit {
  const char* sql;
  const char* found_as;  // the identity's name begins so
  bool by_since;         // kSince finds it too
  bool by_start;         // a start refuses the file
  bool mended = true;    // with checksums that fit
};

// One of everything: grants 1-3 and 6 are wins, 4-5 opens; lot 0x10000b is cancelled;
// the gift kGiftId + 1 is refunded, kGiftId is live.
constexpr Edit kEdits[] = {
    {"UPDATE grants SET fen = 11 WHERE grant_id = 1", "envelopes: total", true, true},
    {"UPDATE grants SET fen = 11 WHERE grant_id = 4", "envelopes: total", true, true},
    {"UPDATE envelopes SET left_fen = left_fen + 1 WHERE id = 0x100001", "envelopes: total", false, true},
    {"UPDATE envelopes SET left_fen = left_fen + 1 WHERE id = 0x80000001", "envelopes: total", true, true},
    {"UPDATE envelopes SET left_shares = 2 WHERE id = 0x80000001", "envelopes: total", true, true},
    {"PRAGMA ignore_check_constraints = ON; UPDATE envelopes SET state = 2 WHERE id = 0x80000001", "envelopes: open while", true,
     true},
    {"UPDATE envelopes SET total_fen = 2, left_fen = 2 WHERE id = 0x80000003", "envelopes: each was funded", false, false},
    {"UPDATE envelopes SET sender = 6 WHERE id = 0x80000003", "envelopes: each was funded", false, false},
    {"UPDATE entries SET debit = (1 << 32 | 6) WHERE ref_kind = 2 AND ref_id = 0x80000003", "envelopes: each was funded", false,
     false},
    {"DELETE FROM entries WHERE ref_kind = 1", "envelopes: each was funded", false, false},
    {"UPDATE entries SET fen = 11 WHERE ref_kind = 4 AND ref_id = 1", "grants: each has one entry", true, true},
    {"UPDATE entries SET credit = (1 << 32 | 6) WHERE ref_kind = 4 AND ref_id = 5", "grants: each has one entry", true, true},
    {"DELETE FROM entries WHERE ref_kind = 4 AND ref_id = 5", "grants: each has one entry", true, true},
    {"INSERT INTO entries VALUES(4, 77, 1, 2, 5)", "entries: each of a grant", true, true},
    {"UPDATE grants SET share_idx = 10 WHERE grant_id = 3", "grants: each is a share", true, true},
    {"UPDATE grants SET kind = 2 WHERE grant_id = 3", "grants: each is a share", true, true},
    {"UPDATE invites SET user_id = 6 WHERE envelope_id = 0x80000001 AND share_idx = 1", "opens: everyone", true, true},
    {"UPDATE entries SET credit = (1 << 32 | 6) WHERE ref_kind = 3", "refunds: each", false, false},
    {"DELETE FROM cancels", "envelopes: total", false, true},
    {"UPDATE cancels SET fen = fen + 1", "refunds: each", false, true},
    {"UPDATE cancels SET shares = shares - 1", "envelopes: total", false, true},
    {"DELETE FROM entries WHERE ref_kind = 3 AND ref_id = 0x10000b", "envelopes: total", false, false},
    {"UPDATE cancels SET place = 1", "cancels: each", false, true},
    {"UPDATE cancels SET place = 11", "cancels: each", false, true},
    {"INSERT INTO cancels VALUES(77, 0, 0, 0, 0, 0)", "cancels: each", false, false},
    {"DELETE FROM orders WHERE first_id = 0x10000b", "orders: each of a caller's key", false, false},
    {"DELETE FROM invites WHERE envelope_id = 0x80000001 AND share_idx = 2", "gifts: as many", false, true},
    {"UPDATE invites SET user_id = 2 WHERE envelope_id = 0x80000001 AND share_idx = 2", "gifts: as many", false, true},
    {"UPDATE grants SET grant_no = 5 WHERE grant_id = 5", "users: their grants", true, true},
    {"UPDATE grants SET prev_id = 1 WHERE grant_id = 5", "users: each grant follows", true, true},
    {"UPDATE grants SET grant_id = 9 WHERE grant_id = 5", "grants: numbered without a hole", true, true},
    {"UPDATE grants SET at_ms = 2 WHERE grant_id = 5", "grants: each is what was written", true, true, false},
    {"UPDATE envelopes SET created_ms = 2 WHERE id = 0x80000001", "envelopes, invites, orders, cancels", false, true, false},
    {"UPDATE invites SET user_id = 6 WHERE envelope_id = 0x80000001 AND share_idx = 2", "envelopes, invites", false, true, false},
    {"UPDATE orders SET max_fen = 11", "envelopes, invites, orders", false, true, false},
    {"UPDATE order_terms SET caller_key = 'tuesday' WHERE caller_key IS NOT NULL", "envelopes, invites, orders", false, true,
     false},
    {"UPDATE cancels SET at_ms = 2", "envelopes, invites, orders, cancels", false, true, false},
    {"UPDATE meta SET v = 9 WHERE k = 'epoch'", "envelopes, invites, orders, cancels, meta", false, true, false},
    {"INSERT INTO entries VALUES(2, 99, 1 << 32, 2 << 32, 5)", "accounts: what is in escrow", false, false},
};

class AuditTest : public ::testing::Test {
 protected:
  void Make(const std::string& path) {
    OpenedLedger ledger(path);
    ledger.AddOrder(ShakeOrder(kLotId, 10, 10));
    ledger.Do({MakeGift(kGiftId, 7, 300, {1, 2, 3}, 1),
               MakeGift(kGiftId + 1, 8, 300, {1, 2, 3}, 1),
               Win(1, kLotId, 10, 2),
               Win(2, kLotId + 1, 10, 2),
               Win(2, kLotId + 2, 10, 3),
               OpenGift(1, kGiftId, 100, 4),
               OpenGift(2, kGiftId, 100, 4),
               {.kind = RecordKind::kRefund, .user_count = 3, .envelope_id = kGiftId + 1, .amount_fen = 300},
               MakeGift(kGiftId + 2, 9, 1, {1}, 1)});
    // One that was cancelled when two of its ten were issued, and one of them won.
    Order order = ShakeOrder(kLotId + 10, 10, 10);
    order.caller_key = "monday";
    ledger.AddOrder(order);
    ledger.CancelOrder({.first_id = kLotId + 10, .place = 2, .shares = 8, .amount = envelope::Fen(80), .at_ms = 9});
    ledger.Do({Win(1, kLotId + 10, 10, 9)});
  }
  // The names of the identities that the edit has broken.
  static std::vector<std::string> Broken(Sqlite& db, AuditScope scope) {
    std::vector<std::string> names;
    for (const AuditFinding& finding : Audit(db, scope, 0)) {
      if (!finding.breach.empty()) {
        names.push_back(finding.name);
      }
    }
    return names;
  }
  static bool Has(const std::vector<std::string>& names, const std::string& begin) {
    for (const std::string& name : names) {
      if (name.compare(0, begin.size(), begin) == 0) {
        return true;
      }
    }
    return false;
  }

  TestFolder folder_;
};

TEST_F(AuditTest, AWholeLedgerAnswersWithNothing) {
  Make(folder_.File());
  OpenedLedger ledger(folder_.File());
  for (const AuditScope scope : {AuditScope::kAll, AuditScope::kSince}) {
    EXPECT_TRUE(Judge(Audit(ledger.db(), scope, 0)).ok());
    EXPECT_GT(Audit(ledger.db(), scope, 0).size(), 5u);
  }
  EXPECT_TRUE(Judge(Audit(ledger.db(), AuditScope::kSince, 5)).ok());
}

TEST_F(AuditTest, EachBreachIsFoundByName) {
  Make(folder_.File("whole"));
  {
    auto file = LedgerFile::Open({.path = folder_.File("whole")});
    ASSERT_TRUE(file.ok());
    (*file)->Finish();
  }
  std::set<std::string> seen;
  for (const Edit& edit : kEdits) {
    std::filesystem::copy_file(folder_.File("whole"), folder_.File(), std::filesystem::copy_options::overwrite_existing);
    {
      Sqlite db;
      ASSERT_TRUE(db.Open(folder_.File()).ok());
      db.Run((std::string(edit.sql) + (edit.mended ? kMend : "")).c_str());
      ASSERT_TRUE(db.ok()) << edit.sql << db.status();
      const std::vector<std::string> all = Broken(db, AuditScope::kAll);
      EXPECT_TRUE(Has(all, edit.found_as)) << edit.sql;
      EXPECT_EQ(!Broken(db, AuditScope::kSince).empty(), edit.by_since) << edit.sql;
      seen.insert(all.begin(), all.end());
    }
    const absl::Status started = OpenedLedger(FileOptions{.path = folder_.File()}).TryOpen();
    EXPECT_EQ(started.code(), edit.by_start ? absl::StatusCode::kDataLoss : absl::StatusCode::kOk) << edit.sql << started;
    std::filesystem::remove(folder_.File() + "-wal");
  }
  OpenedLedger ledger(folder_.File("whole"));
  EXPECT_EQ(seen.size() + 1, Audit(ledger.db(), AuditScope::kAll, 0).size()) << "each but SQLite's own check was broken once";
}

TEST_F(AuditTest, SinceLooksAtWhatCameLaterOnly) {
  Make(folder_.File());
  OpenedLedger ledger(folder_.File());
  ledger.db().Run("UPDATE entries SET fen = 11 WHERE ref_kind = 4 AND ref_id = 3");
  EXPECT_FALSE(Judge(Audit(ledger.db(), AuditScope::kSince, 2)).ok());
  EXPECT_TRUE(Judge(Audit(ledger.db(), AuditScope::kSince, 3)).ok());
}

TEST_F(AuditTest, TheJudgementNamesTheFirstBreach) {
  const absl::Status status = Judge({{.name = "one"}, {.name = "two", .breach = "row 7"}, {.name = "three", .breach = "x"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.ToString().find("\"two\": row 7"), std::string::npos) << status;
}

}  // namespace
}  // namespace hongbao::ledger
