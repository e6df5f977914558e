#include "libhongbao/ledger/writer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libhongbao/check.h"
#include "libhongbao/ledger/schema.h"

namespace hongbao::ledger {
namespace {

constexpr int64_t kLotKind = static_cast<int64_t>(EnvelopeKind::kLot);
constexpr int64_t kGiftKind = static_cast<int64_t>(EnvelopeKind::kGift);
constexpr int kVisitedMax = 1'024;  // grants looked at for one page of a resume

// Stamps are the client's 64 bits; SQLite's integers are signed. The bits are kept, order is judged here only.
int64_t ToColumn(uint64_t stamp) { return static_cast<int64_t>(stamp); }
uint64_t FromColumn(int64_t stamp) { return static_cast<uint64_t>(stamp); }

std::optional<uint64_t> StampOf(const Record& record) {
  return record.has_stamp ? std::optional<uint64_t>(record.stamp) : std::nullopt;
}

// A share of a lot is an envelope of its own on the wire; a gift's shares are all the gift.
uint32_t WireId(int64_t envelope_id, int64_t share, int64_t kind) {
  return static_cast<uint32_t>(kind == kLotKind ? envelope_id + share : envelope_id);
}

// They are counted around; nobody logs in two billion times while a record of an earlier login is under way.
bool IsEarlier(uint32_t login, uint32_t than) { return static_cast<int32_t>(login - than) < 0; }

}  // namespace

Writer::Writer(Sqlite& db, UserHeads heads, uint32_t last_grant_id)
    : db_(db), heads_(std::move(heads)), last_grant_id_(last_grant_id) {
  insert_grant_.Prepare(db,
                        "INSERT INTO grants VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,"
                        " row_sum(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11))"
                        " ON CONFLICT(stamp, user_id) WHERE stamp IS NOT NULL DO NOTHING");
  set_clock_.Prepare(db,
                     "INSERT INTO meta VALUES('clock_ms', ?1, row_sum('clock_ms', ?1))"
                     " ON CONFLICT(k) DO UPDATE SET v = ?1, sum = row_sum('clock_ms', ?1)");
  insert_entry_.Prepare(db, "INSERT INTO entries VALUES(?,?,?,?,?)");
  insert_envelope_.Prepare(db,
                           "INSERT INTO envelopes VALUES(?1,?2,?3,?4,?5,?6,?7,?8,1,?9,?10,"
                           " row_sum(?1,?2,?3,?4,?5,?6,?9,?10))"
                           " ON CONFLICT(stamp, sender) WHERE stamp IS NOT NULL DO NOTHING");
  insert_invite_.Prepare(db, "INSERT INTO invites VALUES(?1,?2,?3,row_sum(?1,?2,?3))");
  insert_order_.Prepare(db,
                        "INSERT INTO orders VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,"
                        " row_sum(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11))");
  insert_terms_.Prepare(db, "INSERT INTO order_terms VALUES(?1,?2,?3,?4,?5,row_sum(?1,?2,?3,?4,?5))");
  insert_cancel_.Prepare(db, "INSERT INTO cancels VALUES(?1,?2,?3,?4,?5,row_sum(?1,?2,?3,?4,?5))");
  take_from_lot_.Prepare(db,
                         "UPDATE envelopes SET left_fen = left_fen - ?2, left_shares = left_shares - ?3,"
                         " state = CASE left_shares WHEN ?3 THEN 2 ELSE 1 END WHERE id = ?1 AND kind = 1 AND state = 1");
  take_from_gift_.Prepare(db,
                          "UPDATE envelopes SET left_fen = left_fen - ?2, left_shares = left_shares - 1,"
                          " state = CASE left_shares WHEN 1 THEN 2 ELSE 1 END WHERE id = ?1 AND kind = 2 AND state = 1");
  refund_.Prepare(db,
                  "UPDATE envelopes SET left_fen = 0, left_shares = 0, state = 3"
                  " WHERE id = ? AND left_fen = ? AND left_shares = ? AND kind = 2 AND state = 1 RETURNING sender");
  find_grant_.Prepare(db, "SELECT envelope_id, share_idx, kind, fen FROM grants WHERE stamp = ? AND user_id = ?");
  find_open_.Prepare(db, "SELECT fen FROM grants WHERE envelope_id = ? AND user_id = ? AND kind = 2");
  find_send_.Prepare(db, "SELECT id, total_fen FROM envelopes WHERE stamp = ? AND sender = ?");
  share_of_.Prepare(db, "SELECT share_idx FROM invites WHERE envelope_id = ? AND user_id = ?");
  max_stamp_at_.Prepare(db, "SELECT max_stamp FROM grants WHERE grant_id = ?");
  grant_by_id_.Prepare(db,
                       "SELECT user_id, prev_id, stamp, max_stamp, envelope_id, share_idx, kind, fen FROM grants"
                       " WHERE grant_id = ?");
}

void Writer::SetClock(int64_t clock_ms) {
  set_clock_ << clock_ms;
  set_clock_.Do();
}

void Writer::AddLots(const std::vector<UnfinishedOrder>& orders) {
  for (const UnfinishedOrder& open : orders) {
    if (!open.order.is_gift) {
      lots_[open.order.first_id] = Lot{.shares = open.order.count};
    }
  }
}

void Writer::Begin() { db_.Run("BEGIN IMMEDIATE"); }

bool Writer::Commit() {
  for (Lots::value_type* touched : touched_) {
    auto& [first_id, lot] = *touched;
    ++lots_looked_at_;
    if (!TakeFromLot(first_id, lot.won_fen, lot.won)) {
      Refuse(absl::StrCat("shares were won of the lot ", first_id, ", which is spent"));
    }
    lot.won = lot.won_fen = 0;
  }
  touched_.clear();
  db_.Run("COMMIT");
  return db_.ok();
}

bool Writer::TakeFromLot(int64_t first_id, int64_t fen, int64_t shares) {
  take_from_lot_ << first_id << fen << shares;
  take_from_lot_.Do();
  return !db_.ok() || take_from_lot_.changes() == 1;  // after an error nothing matters
}

void Writer::Apply(const Record& record, std::vector<Outcome>& outcomes) {
  if (record.kind == RecordKind::kResume) {
    return Resume(record, outcomes);
  }
  Outcome outcome = AsNew(record);
  switch (record.kind) {
    case RecordKind::kWin:
      Win(record, outcome);
      break;
    case RecordKind::kFindWin:
      FindWin(record, outcome);
      break;
    case RecordKind::kOpen:
      Open(record, outcome);
      break;
    case RecordKind::kFindOpen:
      FindOpen(record, outcome);
      break;
    case RecordKind::kGift:
      Gift(record, outcome);
      break;
    case RecordKind::kFindSend:
      FindSend(record, outcome);
      break;
    case RecordKind::kRefund:
      Refund(record);
      break;
    case RecordKind::kStatement:
      State(record, outcome);
      break;
    case RecordKind::kResume:
      break;
  }
  outcomes.push_back(outcome);
}

// ---- grants ----

void Writer::Win(const Record& record, Outcome& outcome) {
  auto* lot = LotOf(record.envelope_id);
  if (lot == nullptr) {
    return Impossible(record, "a share was won of a lot that the ledger does not know");
  }
  const Grant grant{.user = record.user,
                    .envelope = lot->first,
                    .share = int64_t{record.envelope_id} - lot->first,
                    .kind = kLotKind,
                    .fen = record.amount_fen,
                    .at_ms = record.at_ms};
  if (!Denied(record) && AddGrant(grant, StampOf(record))) {
    if (lot->second.won == 0) {
      touched_.push_back(lot);
    }
    ++lot->second.won;
    lot->second.won_fen += record.amount_fen;
    return;
  }
  FindWin(record, outcome);
  outcome.unused_id = record.envelope_id;
  outcome.unused_fen = record.amount_fen;
}

void Writer::FindWin(const Record& record, Outcome& outcome) {
  outcome.settled = Settled::kNone;
  outcome.envelope_id = outcome.amount_fen = 0;
  find_grant_ << ToColumn(record.stamp) << int64_t{record.user};
  if (!find_grant_.Step()) {
    return Deny(record);
  }
  if (find_grant_.Int(2) == kLotKind) {  // else the stamp was used for an open: no shake of that stamp has won
    outcome.settled = Settled::kRepeat;
    outcome.envelope_id = WireId(find_grant_.Int(0), find_grant_.Int(1), kLotKind);
    outcome.amount_fen = static_cast<uint32_t>(find_grant_.Int(3));
  }
  find_grant_.Reset();
}

void Writer::Deny(const Record& record) {
  const auto [denied, first] = denied_.try_emplace({record.user, record.stamp}, record.login);
  if (!first) {
    denied->second = IsEarlier(denied->second, record.login) ? record.login : denied->second;
    return;
  }
  denied_by_age_.emplace_back(record.user, record.stamp);
  if (denied_by_age_.size() > kDeniedMax) {
    denied_.erase(denied_by_age_.front());
    denied_by_age_.pop_front();
  }
}

bool Writer::Denied(const Record& record) const {
  if (!record.has_stamp || denied_.empty()) {
    return false;
  }
  const auto denied = denied_.find(std::pair(record.user, record.stamp));
  return denied != denied_.end() && (record.kind == RecordKind::kWin || IsEarlier(record.login, denied->second));
}

void Writer::Open(const Record& record, Outcome& outcome) {
  share_of_ << int64_t{record.envelope_id} << int64_t{record.user};
  if (!share_of_.Step()) {
    return Impossible(record, "a gift was opened by someone who is not invited");
  }
  const Grant grant{.user = record.user,
                    .envelope = record.envelope_id,
                    .share = share_of_.Int(0),
                    .kind = kGiftKind,
                    .fen = record.amount_fen,
                    .at_ms = record.at_ms};
  share_of_.Reset();
  // A stamp that identifies another request already identifies nothing here: the share is the user's all the same, and
  // (envelope, user) stays its key.
  if (!AddGrant(grant, StampOf(record))) {
    outcome.has_stamp = false;
    AddGrant(grant, std::nullopt);
  }
  take_from_gift_ << int64_t{record.envelope_id} << int64_t{record.amount_fen};
  take_from_gift_.Do();
  if (db_.ok() && take_from_gift_.changes() != 1) {
    Impossible(record, "a share was opened of a gift that is not open");
  }
}

void Writer::FindOpen(const Record& record, Outcome& outcome) {
  outcome.settled = Settled::kNone;
  outcome.amount_fen = 0;
  find_open_ << int64_t{record.envelope_id} << int64_t{record.user};
  if (find_open_.Step()) {
    outcome.settled = Settled::kRepeat;
    outcome.amount_fen = static_cast<uint32_t>(find_open_.Int(0));
    find_open_.Reset();
  }
}

bool Writer::AddGrant(const Grant& grant, std::optional<uint64_t> stamp) {
  UserHead& head = heads_[grant.user];
  if (last_grant_id_ == kGrantsMax) {
    Refuse(absl::StrCat("the file holds ", kGrantsMax, " grants, as many as it can; start with a new file"));
    return true;
  }
  const uint32_t id = last_grant_id_ + 1;
  const uint64_t max_stamp = std::max(MaxStampAt(head.last_id), stamp.value_or(0));
  const std::optional<int64_t> column = stamp.has_value() ? std::optional(ToColumn(*stamp)) : std::nullopt;
  insert_grant_ << int64_t{id} << int64_t{grant.user} << int64_t{head.grants} + 1 << int64_t{head.last_id} << column
                << ToColumn(max_stamp) << int64_t{grant.envelope} << grant.share << grant.kind << int64_t{grant.fen}
                << grant.at_ms;
  insert_grant_.Do();
  if (!db_.ok() || insert_grant_.changes() == 0) {
    return !db_.ok();  // after an error nothing matters: the batch will not be committed
  }
  AddEntry(static_cast<int64_t>(EntryKind::kGrant), id, EscrowAccount(grant.envelope), UserAccount(grant.user), grant.fen);
  last_grant_id_ = id;
  head = {.total_fen = head.total_fen + int64_t{grant.fen}, .last_id = id, .grants = head.grants + 1};
  return true;
}

uint64_t Writer::MaxStampAt(uint32_t grant_id) {
  if (grant_id == 0) {
    return 0;
  }
  max_stamp_at_ << int64_t{grant_id};
  const uint64_t max_stamp = max_stamp_at_.Step() ? FromColumn(max_stamp_at_.Int(0)) : 0;
  max_stamp_at_.Reset();
  return max_stamp;
}

// ---- envelopes ----

void Writer::Gift(const Record& record, Outcome& outcome) {
  if (Denied(record)) {
    FindSend(record, outcome);
    outcome.unused_id = record.envelope_id;
    outcome.unused_fen = record.amount_fen;
    return;
  }
  const std::optional<int64_t> stamp = record.has_stamp ? std::optional(ToColumn(record.stamp)) : std::nullopt;
  const int64_t sender = record.user == kNobody ? -1 : int64_t{record.user};
  insert_envelope_ << int64_t{record.envelope_id} << kGiftKind << sender << stamp << int64_t{record.amount_fen}
                   << int64_t{record.user_count} << int64_t{record.amount_fen} << int64_t{record.user_count} << record.at_ms
                   << record.expires_ms;
  insert_envelope_.Do();
  if (!db_.ok()) {
    return;
  }
  if (insert_envelope_.changes() == 0) {
    FindSend(record, outcome);
    Check(outcome.settled == Settled::kRepeat || !db_.ok(), "what a key collides with can be found by it");
    outcome.unused_id = record.envelope_id;
    outcome.unused_fen = record.amount_fen;
    return;
  }
  for (uint32_t i = 0; i < record.user_count; ++i) {
    insert_invite_ << int64_t{record.envelope_id} << int64_t{i} << int64_t{record.users[i]};
    insert_invite_.Do();
  }
  const EntryKind kind = record.user == kNobody ? EntryKind::kFund : EntryKind::kSend;
  AddEntry(static_cast<int64_t>(kind), record.envelope_id, SenderAccount(record.user), EscrowAccount(record.envelope_id),
           record.amount_fen);
}

void Writer::FindSend(const Record& record, Outcome& outcome) {
  outcome.settled = Settled::kNone;
  outcome.envelope_id = outcome.amount_fen = 0;
  find_send_ << ToColumn(record.stamp) << int64_t{record.user};
  if (!find_send_.Step()) {
    return Deny(record);
  }
  outcome.settled = Settled::kRepeat;
  outcome.envelope_id = static_cast<uint32_t>(find_send_.Int(0));
  outcome.amount_fen = static_cast<uint32_t>(find_send_.Int(1));
  find_send_.Reset();
}

void Writer::Refund(const Record& record) {
  refund_ << int64_t{record.envelope_id} << int64_t{record.amount_fen} << int64_t{record.user_count};
  if (!refund_.Step()) {
    return Impossible(record, "what goes back of a gift is what is left of it");
  }
  const int64_t sender = refund_.Int(0);
  refund_.Reset();
  AddEntry(static_cast<int64_t>(EntryKind::kRefund), record.envelope_id, EscrowAccount(record.envelope_id),
           SenderAccount(sender < 0 ? kNobody : static_cast<uint32_t>(sender)), record.amount_fen);
}

void Writer::ApplyOrder(const Order& order) {
  insert_order_ << int64_t{order.first_id} << int64_t{order.is_gift} << order.count << order.rate << order.min_fen
                << order.max_fen << order.at_s << absl::MakeConstSpan(order.key) << int64_t{order.users}
                << int64_t{order.first_user} << int64_t{order.last_user};
  insert_order_.Do();
  insert_terms_ << int64_t{order.first_id} << static_cast<int64_t>(order.draw) << order.created_ms;
  if (order.caller_key.empty()) {
    insert_terms_ << std::optional<int64_t>();
  } else {
    insert_terms_ << order.caller_key;
  }
  insert_terms_ << order.asked;
  insert_terms_.Do();
  if (order.is_gift) {
    return;  // its gifts are recorded one by one, when they are made
  }
  insert_envelope_ << int64_t{order.first_id} << kLotKind << int64_t{-1} << std::optional<int64_t>() << order.total.value()
                   << order.count << order.total.value() << order.count << order.created_ms << std::optional<int64_t>();
  insert_envelope_.Do();
  AddEntry(static_cast<int64_t>(EntryKind::kFund), order.first_id, kSystemAccount, EscrowAccount(order.first_id),
           order.total.value());
  lots_[order.first_id] = Lot{.shares = order.count};
}

void Writer::ApplyCancel(const Cancel& cancel) {
  const int64_t fen = cancel.amount.value();
  insert_cancel_ << int64_t{cancel.first_id} << cancel.place << cancel.shares << fen << cancel.at_ms;
  insert_cancel_.Do();
  if (cancel.shares == 0) {
    return;
  }
  if (!TakeFromLot(cancel.first_id, fen, cancel.shares)) {
    return Refuse(absl::StrCat("the order ", cancel.first_id, " was cancelled for more than is left of it"));
  }
  AddEntry(static_cast<int64_t>(EntryKind::kRefund), cancel.first_id, EscrowAccount(cancel.first_id), kSystemAccount, fen);
}

void Writer::AddEntry(int64_t kind, int64_t id, int64_t debit, int64_t credit, int64_t fen) {
  insert_entry_ << kind << id << debit << credit << fen;
  insert_entry_.Do();
}

Writer::Lots::value_type* Writer::LotOf(uint32_t envelope_id) {
  auto lot = lots_.upper_bound(envelope_id);
  if (lot == lots_.begin()) {
    return nullptr;
  }
  --lot;
  return envelope_id - lot->first < static_cast<uint64_t>(lot->second.shares) ? &*lot : nullptr;
}

// ---- questions ----

void Writer::Resume(const Record& record, std::vector<Outcome>& outcomes) {
  const UserHead head = heads_.Get(record.user);
  Outcome end{.kind = RecordKind::kResume,
              .settled = Settled::kNone,
              .user = record.user,
              .stamp = record.stamp,
              .reply_to = record.reply_to};
  uint32_t id = record.cursor != 0 ? record.cursor : head.last_id;
  size_t found = 0;
  for (int visited = 0; id != 0; ++visited) {
    if (found == kResumePage || visited == kVisitedMax) {
      end.cursor = id;  // the next page begins here
      break;
    }
    grant_by_id_ << int64_t{id};
    if (!grant_by_id_.Step() || grant_by_id_.Int(0) != int64_t{record.user}) {
      return Impossible(record, "a user's chain of grants leads to the user's grants");
    }
    if (FromColumn(grant_by_id_.Int(3)) <= record.stamp) {
      grant_by_id_.Reset();
      break;  // this grant and all before it
    }
    id = static_cast<uint32_t>(grant_by_id_.Int(1));
    if (!grant_by_id_.IsNull(2) && FromColumn(grant_by_id_.Int(2)) > record.stamp) {
      const int64_t kind = grant_by_id_.Int(6);
      outcomes.push_back({.kind = kind == kLotKind ? RecordKind::kWin : RecordKind::kOpen,
                          .settled = Settled::kRepeat,
                          .resumed = true,
                          .has_stamp = true,
                          .user = record.user,
                          .envelope_id = WireId(grant_by_id_.Int(4), grant_by_id_.Int(5), kind),
                          .amount_fen = static_cast<uint32_t>(grant_by_id_.Int(7)),
                          .stamp = FromColumn(grant_by_id_.Int(2)),
                          .reply_to = record.reply_to});
      ++found;
    }
    grant_by_id_.Reset();
  }
  outcomes.push_back(end);
}

void Writer::State(const Record& record, Outcome& outcome) const {
  const UserHead head = heads_.Get(record.user);
  outcome.grants = head.grants;
  outcome.total_fen = static_cast<uint64_t>(head.total_fen);
}

void Writer::Impossible(const Record& record, const char* what) {
  Refuse(absl::StrCat(what, " (kind ", static_cast<int>(record.kind), ", user ", record.user, ", envelope ", record.envelope_id,
                      ", ", record.amount_fen, " fen)"));
}

void Writer::Refuse(const std::string& why) {
  if (!db_.ok()) {
    return;  // that is the reason
  }
  db_.Run("ROLLBACK");
  db_.Refuse(why);
}

}  // namespace hongbao::ledger
