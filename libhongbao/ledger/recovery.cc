#include "libhongbao/ledger/recovery.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "libhongbao/ledger/audit.h"
#include "libhongbao/ledger/row_sum.h"
#include "libhongbao/ledger/schema.h"
#include "libhongbao/ledger/writer.h"

namespace hongbao::ledger {
namespace {

constexpr uint16_t kWinsMax = 0xffff;

struct LotSum {
  int64_t total_fen = 0, shares = 0, left_fen = 0, left_shares = 0;
  int64_t created_ms = 0;
  int64_t won = 0, won_fen = 0;
  std::optional<Cancel> cancel;
  Places taken;  // of an open lot
};

struct GrantRow {
  bool whole = false;  // it is what was written
  bool has_stamp = false;
  uint32_t user = 0;
  int64_t id = 0, grant_no = 0, prev_id = 0, envelope_id = 0, share = 0, kind = 0, fen = 0;
  uint64_t stamp = 0, max_stamp = 0;
};

class Reader {
 public:
  Reader(Sqlite& db, int64_t clock_ms)
      : db_(db),
        stamp_limit_(static_cast<uint64_t>(clock_ms + kFarStampMs) * 1'000'000),
        invited_(db,
                 "SELECT user_id, sum = row_sum(envelope_id, share_idx, user_id) FROM invites"
                 " WHERE envelope_id = ? ORDER BY share_idx"),
        opened_(db, "SELECT share_idx, fen FROM grants WHERE envelope_id = ?"),
        made_(db, "SELECT id FROM envelopes WHERE id BETWEEN ? AND ? ORDER BY id") {}

  absl::StatusOr<RecoveredFile> Read(int64_t now_ms) {
    using Step = absl::Status (Reader::*)();  // the order matters: what is judged is used by the next
    for (const Step step :
         {&Reader::ReadMeta, &Reader::ReadCancels, &Reader::ReadLots, &Reader::ReadGrants, &Reader::CheckLots}) {
      if (absl::Status status = (this->*step)(); !status.ok()) {
        return status;
      }
    }
    ReadSends();
    std::sort(found_.state.far_stamps.begin(), found_.state.far_stamps.end());
    ReadOrders();
    ReadGifts(now_ms);
    if (!breach_.ok() || !db_.ok()) {
      return breach_.ok() ? db_.status() : breach_;
    }
    return std::move(found_);
  }

 private:
  absl::Status Breach(const std::string& what) const {
    return absl::DataLossError(absl::StrCat("the audit found a breach: ", what));
  }

  absl::Status Altered(const char* table, int64_t id) const {
    return Breach(absl::StrCat(table, ": row ", id, " is not what was written"));
  }

  absl::Status ReadMeta() {
    const int64_t rows = db_.Number("SELECT COUNT(*) FROM meta WHERE k IN ('epoch', 'audited_grant') AND sum = row_sum(k, v)");
    return !db_.ok() ? db_.status() : rows == 2 ? absl::OkStatus() : Breach("meta: a row is not what was written");
  }

  absl::Status ReadCancels() {
    Statement rows(db_,
                   "SELECT first_id, place, shares, fen, at_ms, sum = row_sum(first_id, place, shares, fen, at_ms)"
                   " FROM cancels");
    while (rows.Step()) {
      if (rows.Int(5) == 0) {
        return Altered("cancels", rows.Int(0));
      }
      const Cancel cancel{.first_id = static_cast<uint32_t>(rows.Int(0)),
                          .place = rows.Int(1),
                          .shares = rows.Int(2),
                          .amount = envelope::Fen(rows.Int(3)),
                          .at_ms = rows.Int(4)};
      cancels_.emplace(cancel.first_id, cancel);
    }
    return db_.status();
  }
  std::optional<Cancel> CancelOf(uint32_t first_id) const {
    const auto cancel = cancels_.find(first_id);
    return cancel == cancels_.end() ? std::nullopt : std::optional(cancel->second);
  }

  absl::Status ReadLots() {
    Statement rows(db_,
                   "SELECT id, total_fen, shares, left_fen, left_shares,"
                   " sum = row_sum(id, kind, sender, stamp, total_fen, shares, created_ms, expires_ms),"
                   " created_ms FROM envelopes WHERE kind = 1");
    while (rows.Step()) {
      if (rows.Int(5) == 0) {
        return Altered("envelopes", rows.Int(0));
      }
      const uint32_t id = static_cast<uint32_t>(rows.Int(0));
      lots_[id] = {.total_fen = rows.Int(1),
                   .shares = rows.Int(2),
                   .left_fen = rows.Int(3),
                   .left_shares = rows.Int(4),
                   .created_ms = rows.Int(6),
                   .cancel = CancelOf(id)};
    }
    return db_.status();
  }

  // The one pass: 10 million rows in some seconds. The sum is computed here and not in SQL: it is most of the time.
  absl::Status ReadGrants() {
    Statement rows(db_,
                   "SELECT grant_id, user_id, grant_no, prev_id, stamp, max_stamp, envelope_id, share_idx, kind, fen, at_ms,"
                   " sum FROM grants ORDER BY grant_id");
    while (rows.Step()) {
      const GrantRow row = ReadGrant(rows);
      if (!row.whole) {
        return Altered("grants", row.id);  // before anything in it is used: a wrong user may be a very large one
      }
      if (!Follow(row)) {
        return Breach(absl::StrCat("grant ", row.id, " of user ", row.user, " does not follow the one before it"));
      }
      NoteUser(row.user, row.has_stamp ? row.stamp : 0, row.kind == 1);
      if (row.kind == 1 && !Take(row)) {
        return Breach(absl::StrCat("grant ", row.id, " is no free share of lot ", row.envelope_id));
      }
    }
    for (uint32_t user = 0; user < found_.state.users.size(); ++user) {
      UserState& state = found_.state.users[user];
      state.last_stamp = state.last_stamp == 0 && found_.heads.Get(user).grants > 0 ? kHistoryStamp : state.last_stamp;
    }
    return db_.status();
  }

  static GrantRow ReadGrant(const Statement& rows) {
    constexpr int kStamp = 4, kSum = 11;
    std::array<int64_t, kSum + 1> value{};
    GrantRow row;
    RowSum sum;
    for (int i = 0; i <= kSum; ++i) {
      value[static_cast<size_t>(i)] = rows.Int(i);
      if (i == kStamp && rows.IsNull(i)) {
        sum.AddNull();
      } else if (i < kSum) {
        sum.AddNumber(value[static_cast<size_t>(i)]);
      }
    }
    row.has_stamp = !rows.IsNull(kStamp);
    row.whole = sum.value() == value[kSum];
    row.id = value[0];
    row.user = static_cast<uint32_t>(value[1]);
    row.grant_no = value[2];
    row.prev_id = value[3];
    row.stamp = static_cast<uint64_t>(value[kStamp]);
    row.max_stamp = static_cast<uint64_t>(value[5]);
    row.envelope_id = value[6];
    row.share = value[7];
    row.kind = value[8];
    row.fen = value[9];
    return row;
  }

  // The grant is the next of all and the next of its user's chain.
  bool Follow(const GrantRow& row) {
    UserHead& head = found_.heads[row.user];
    uint64_t before = row.user < found_.state.users.size() ? found_.state.users[row.user].last_stamp : 0;
    if (const auto far = highest_far_.find(row.user); far != highest_far_.end()) {
      before = far->second;
    }
    const uint64_t max_stamp = row.has_stamp ? std::max(before, row.stamp) : before;
    if (row.id != int64_t{found_.last_grant_id} + 1 || row.grant_no != int64_t{head.grants} + 1 ||
        row.prev_id != int64_t{head.last_id} || row.max_stamp != max_stamp) {
      return false;
    }
    found_.last_grant_id = static_cast<uint32_t>(row.id);
    found_.state.granted_fen += static_cast<uint64_t>(row.fen);
    head = {.total_fen = head.total_fen + row.fen, .last_id = found_.last_grant_id, .grants = head.grants + 1};
    return true;
  }

  bool Take(const GrantRow& row) {
    if (row.envelope_id != lot_id_) {
      lot_id_ = row.envelope_id;
      const auto found = lots_.find(static_cast<uint32_t>(lot_id_));
      lot_ = found == lots_.end() ? nullptr : &found->second;
    }
    return lot_ != nullptr && Take(*lot_, row.share, row.fen);
  }

  static bool Take(LotSum& lot, int64_t share, int64_t fen) {
    if (share < 0 || share >= lot.shares) {
      return false;
    }
    if (lot.left_shares > 0 && !lot.taken.Insert(share)) {
      return false;
    }
    ++lot.won;
    lot.won_fen += fen;
    return true;
  }

  void NoteUser(uint32_t user, uint64_t stamp, bool is_win) {
    std::vector<UserState>& users = found_.state.users;
    if (user >= users.size()) {
      users.resize(std::max<size_t>(size_t{user} + 1, users.size() * 2));
    }
    if (stamp > stamp_limit_) {
      found_.state.far_stamps.push_back({user, stamp});
      uint64_t& highest = highest_far_[user];
      highest = std::max(highest, stamp);
    } else {
      users[user].last_stamp = std::max(users[user].last_stamp, stamp);
    }
    if (is_win && users[user].shake_wins < kWinsMax) {
      ++users[user].shake_wins;
    }
  }

  absl::Status CheckLots() {
    for (const auto& [id, lot] : lots_) {
      const int64_t back = lot.cancel.has_value() ? lot.cancel->shares : 0;
      const int64_t back_fen = lot.cancel.has_value() ? lot.cancel->amount.value() : 0;
      if (lot.total_fen != lot.left_fen + lot.won_fen + back_fen || lot.shares != lot.left_shares + lot.won + back) {
        return Breach(absl::StrCat("lot ", id, ": total = left + granted + cancelled (", lot.total_fen, " = ", lot.left_fen,
                                   " + ", lot.won_fen, " + ", back_fen, " fen, ", lot.shares, " = ", lot.left_shares, " + ",
                                   lot.won, " + ", back, " shares)"));
      }
      if (lot.cancel.has_value() && lot.left_shares > 0 &&
          lot.left_shares != lot.cancel->place - lot.taken.CountBelow(lot.cancel->place)) {
        return Breach(absl::StrCat("lot ", id, ": what is left of a cancelled order is what was issued of it"));
      }
    }
    return absl::OkStatus();
  }

  void ReadSends() {
    Statement rows(db_,
                   "SELECT sender, stamp, sum = row_sum(id, kind, sender, stamp, total_fen, shares, created_ms, expires_ms),"
                   " id FROM envelopes WHERE stamp IS NOT NULL AND sender >= 0");
    while (rows.Step()) {
      if (rows.Int(2) == 0) {
        breach_ = Altered("envelopes", rows.Int(3));
        return;
      }
      NoteUser(static_cast<uint32_t>(rows.Int(0)), static_cast<uint64_t>(rows.Int(1)), false);
    }
    found_.state.next_sent_gift_id =
        static_cast<uint64_t>(db_.Number("SELECT IFNULL(MAX(id) + 1, 0) FROM envelopes WHERE kind = 2 AND sender >= 0"));
  }

  void ReadOrders() {
    Statement rows(db_,
                   "SELECT o.first_id, is_gift, count, rate, min_fen, max_fen, at_s, key, users, first_user, last_user,"
                   " o.sum = row_sum(o.first_id, is_gift, count, rate, min_fen, max_fen, at_s, key, users, first_user,"
                   " last_user), t.sum IS row_sum(t.first_id, t.draw, t.created_ms, t.caller_key, t.asked),"
                   " t.draw, t.created_ms, t.caller_key, t.asked"
                   " FROM orders o LEFT JOIN order_terms t ON t.first_id = o.first_id ORDER BY o.first_id");
    while (rows.Step() && breach_.ok()) {
      UnfinishedOrder open;
      Order& order = open.order;
      order = {.is_gift = rows.Int(1) != 0,
               .first_id = static_cast<uint32_t>(rows.Int(0)),
               .count = rows.Int(2),
               .rate = rows.Int(3),
               .min_fen = rows.Int(4),
               .max_fen = rows.Int(5),
               .at_s = rows.Int(6),
               .users = static_cast<uint32_t>(rows.Int(8)),
               .first_user = static_cast<uint32_t>(rows.Int(9)),
               .last_user = static_cast<uint32_t>(rows.Int(10))};
      if (rows.Int(11) == 0 || !rows.Blob(7, absl::MakeSpan(order.key)) || !ReadTerms(rows, order)) {
        breach_ = Altered("orders", rows.Int(0));
        return;
      }
      uint64_t& next = order.is_gift ? found_.state.next_minted_gift_id : found_.state.next_shake_id;
      next = std::max(next, uint64_t{order.first_id} + static_cast<uint64_t>(order.count));
      open.cancel = CancelOf(order.first_id);
      order.is_gift ? KeepGifts(std::move(open)) : KeepLot(std::move(open));
    }
  }

  // Columns 12 to 16 of ReadOrders. False: not what was written.
  static bool ReadTerms(const Statement& rows, Order& order) {
    if (rows.IsNull(13)) {
      order.draw = Draw::kInTurn;  // of version 1
      return true;
    }
    order.draw = static_cast<Draw>(rows.Int(13));
    order.created_ms = rows.Int(14);
    order.caller_key = rows.Text(15);
    order.asked = rows.Text(16);
    return rows.Int(12) != 0;
  }

  void KeepLot(UnfinishedOrder open) {
    LotSum& lot = lots_[open.order.first_id];
    open.order.total = envelope::Fen(lot.total_fen);
    open.order.created_ms = lot.created_ms;
    if (lot.left_shares == 0) {
      found_.state.closed.push_back({.order = std::move(open.order), .issued = lot.won, .cancel = open.cancel});
      return;
    }
    open.taken = std::move(lot.taken);
    open.taken_fen = envelope::Fen(lot.won_fen);
    found_.state.orders.push_back(std::move(open));
  }

  // A cancelled one is over: what had not been made when the server ended was never funded and nobody was told of it.
  void KeepGifts(UnfinishedOrder open) {
    const Order& order = open.order;
    made_ << int64_t{order.first_id} << int64_t{order.first_id} + order.count - 1;
    while (made_.Step()) {  // owners commit apart from each other: there may be holes
      open.taken.Insert(made_.Int(0) - order.first_id);
    }
    if (open.cancel.has_value() || open.taken.count() == order.count) {
      const int64_t issued = open.taken.count();
      found_.state.closed.push_back({.order = std::move(open.order), .issued = issued, .cancel = open.cancel});
    } else {
      found_.state.orders.push_back(std::move(open));
    }
  }

  // The live gifts, and those that are about to be refunded: what is left of a gift has to be what nobody has opened.
  void ReadGifts(int64_t now_ms) {
    Statement rows(db_,
                   "SELECT id, sender, total_fen, created_ms, expires_ms, shares, left_fen, left_shares,"
                   " sum = row_sum(id, kind, sender, stamp, total_fen, shares, created_ms, expires_ms) FROM envelopes"
                   " WHERE kind = 2 AND (state = 1 OR expires_ms > ? AND state < 3) ORDER BY expires_ms, id");
    rows << now_ms;
    while (rows.Step()) {
      if (rows.Int(8) == 0) {
        breach_ = Altered("envelopes", rows.Int(0));
        return;
      }
      LiveGift gift{.id = static_cast<uint32_t>(rows.Int(0)),
                    .sender = rows.Int(1) < 0 ? kNobody : static_cast<uint32_t>(rows.Int(1)),
                    .total_fen = static_cast<uint32_t>(rows.Int(2)),
                    .created_ms = rows.Int(3),
                    .expires_ms = rows.Int(4)};
      if (!ReadShares(gift, rows.Int(5), rows.Int(6), rows.Int(7))) {
        breach_ = Breach(absl::StrCat("gift ", gift.id, ": total = left + granted, and each share has its user"));
        return;
      }
      if (gift.expires_ms > now_ms) {
        found_.state.gifts.push_back(std::move(gift));
      }
    }
  }

  bool ReadShares(LiveGift& gift, int64_t shares, int64_t left_fen, int64_t left_shares) {
    invited_ << int64_t{gift.id};
    bool whole = true;
    while (invited_.Step()) {
      const uint32_t user = static_cast<uint32_t>(invited_.Int(0));
      whole = whole && invited_.Int(1) != 0 && std::find(gift.users.begin(), gift.users.end(), user) == gift.users.end();
      gift.users.push_back(user);
    }
    gift.opened_fen.resize(gift.users.size());
    opened_ << int64_t{gift.id};
    while (opened_.Step()) {
      const size_t share = static_cast<size_t>(opened_.Int(0));
      whole = whole && share < gift.opened_fen.size();
      if (whole) {
        gift.opened_fen[share] = static_cast<uint32_t>(opened_.Int(1));
        left_fen += opened_.Int(1);
        ++left_shares;
      }
    }
    return whole && static_cast<int64_t>(gift.users.size()) == shares && left_shares == shares &&
           left_fen == int64_t{gift.total_fen};
  }

  Sqlite& db_;
  const uint64_t stamp_limit_;
  absl::flat_hash_map<uint32_t, uint64_t> highest_far_;  // by user, of those that have any: the chain goes on with it
  Statement invited_, opened_, made_;
  std::map<uint32_t, Cancel> cancels_;
  std::map<uint32_t, LotSum> lots_;
  LotSum* lot_ = nullptr;  // of lot_id_: grants of one lot come one after the other
  int64_t lot_id_ = -1;
  RecoveredFile found_;
  absl::Status breach_;
};

// Gives back what has expired while nobody was looking.
void RefundExpired(Sqlite& db, int64_t now_ms, Writer& writer, uint64_t& refunded) {
  std::vector<Record> due;
  Statement rows(db, "SELECT id, left_fen, left_shares FROM envelopes WHERE expires_ms <= ? AND kind = 2 AND state = 1");
  rows << now_ms;
  while (rows.Step()) {
    due.push_back({.kind = RecordKind::kRefund,
                   .user_count = static_cast<uint8_t>(rows.Int(2)),
                   .envelope_id = static_cast<uint32_t>(rows.Int(0)),
                   .amount_fen = static_cast<uint32_t>(rows.Int(1)),
                   .at_ms = now_ms});
  }
  std::vector<Outcome> outcomes;
  for (const Record& record : due) {
    writer.Apply(record, outcomes);
  }
  refunded = due.size();
}

}  // namespace

absl::Status CheckRoom(uint32_t last_grant_id) {
  if (last_grant_id <= Writer::kGrantsMax - Writer::kGrantsKept) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat("it holds ", last_grant_id, " grants, and a file can hold no more than ",
                                                   Writer::kGrantsMax, ": keep it, and start with a new one"));
}

int64_t ClockOf(LedgerFile& file) {
  Sqlite& db = file.db();
  if (db.Number("SELECT COUNT(*) FROM meta WHERE k = 'clock_ms'") > 0) {
    return db.Number("SELECT v FROM meta WHERE k = 'clock_ms'");
  }
  return std::max(db.Number("SELECT IFNULL(MAX(created_ms), 0) FROM envelopes"),
                  db.Number("SELECT IFNULL((SELECT at_ms FROM grants ORDER BY grant_id DESC LIMIT 1), 0)"));
}

absl::StatusOr<RecoveredFile> Recover(LedgerFile& file, int64_t now_ms, KillPlan& kill_plan, int64_t clock_ms) {
  Sqlite& db = file.db();
  const int64_t audited = db.Number("SELECT v FROM meta WHERE k = 'audited_grant'");
  if (absl::Status status = Judge(Audit(db, AuditScope::kSince, audited)); !status.ok()) {
    return status;
  }
  absl::StatusOr<RecoveredFile> found = Reader(db, std::max(now_ms, ClockOf(file))).Read(now_ms);
  if (!found.ok()) {
    return found;
  }
  if (absl::Status status = CheckRoom(found->last_grant_id); !status.ok()) {
    return status;
  }
  // Now that everything in the log has been judged good: what a torn commit may have left behind it must not lie behind the
  // commits to come, see CheckWal.
  file.Checkpoint(true);
  file.Upgrade();
  {
    Writer writer(db, {}, found->last_grant_id);  // refunds touch no user's chain
    writer.Begin();
    RefundExpired(db, now_ms, writer, found->refunded_gifts);
    db.Run("UPDATE meta SET v = v + 1, sum = row_sum(k, v + 1) WHERE k = 'epoch'");
    Statement mark(db, "UPDATE meta SET v = ?1, sum = row_sum(k, ?1) WHERE k = 'audited_grant'");
    mark << int64_t{found->last_grant_id};
    mark.Do();
    mark.Finalize();
    if (clock_ms != 0) {
      writer.SetClock(clock_ms);
    }
    kill_plan.Pass(KillPoint::kRecovery);
    if (!writer.Commit()) {
      return db.status();
    }
  }
  found->state.clock_ms = ClockOf(file);
  found->state.epoch = static_cast<uint64_t>(db.Number("SELECT v FROM meta WHERE k = 'epoch'"));
  if (!db.ok()) {
    return db.status();
  }
  return found;
}

}  // namespace hongbao::ledger
