// Writer: turns records into rows and outcomes, batch by batch.
//
// Owns the prepared statements, the users' chain heads and the lots that are still open. Draws nothing and decides nothing but
// one thing: whether a request has been settled before (the unique keys are the judge). An impossible record (a share granted
// twice, more than is left, an unknown envelope) fails the batch, and with it the process. Never syncs or waits.
// Thread tag: thread-compatible (the ledger's thread).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "libhongbao/ledger/ledger.h"
#include "libhongbao/ledger/sqlite.h"
#include "libhongbao/ledger/user_heads.h"

namespace hongbao::ledger {

class Writer {
 public:
  static constexpr size_t kDeniedMax = 65'536;
  // Grants are numbered with 32 bits. Near the end no more requests are taken on, while those under way (credits and opened
  // shares, some millions at most) still fit.
  static constexpr uint32_t kGrantsMax = 0xffff'ffff;
  static constexpr uint32_t kGrantsKept = 1U << 24;

  // Begins behind what is in the file; `heads` as Recovery found them.
  Writer(Sqlite& db, UserHeads heads, uint32_t last_grant_id);

  // The shake orders among these are in the file already.
  void AddLots(const std::vector<UnfinishedOrder>& orders);

  void Begin();
  // Appends the record's outcome (kResume: several) to `outcomes`; they hold once Commit has returned true.
  void Apply(const Record& record, std::vector<Outcome>& outcomes);
  void ApplyOrder(const Order& order);
  void ApplyCancel(const Cancel& cancel);
  // The wall clock (unix time) that was confirmed last.
  void SetClock(int64_t clock_ms);
  // False: see status(). Nothing of the batch holds.
  bool Commit();

  const absl::Status& status() const { return db_.status(); }
  uint32_t last_grant_id() const { return last_grant_id_; }
  // Lots that all commits so far have looked at: those that their batches touched, however many orders there are.
  uint64_t lots_looked_at() const { return lots_looked_at_; }

 private:
  struct Lot {
    int64_t shares = 0;
    int64_t won = 0;      // in this batch
    int64_t won_fen = 0;  // in this batch
  };
  struct Grant {
    uint32_t user;
    uint32_t envelope;
    int64_t share;
    int64_t kind;
    uint32_t fen;
    int64_t at_ms;
  };

  void Win(const Record& record, Outcome& outcome);
  void FindWin(const Record& record, Outcome& outcome);
  void Open(const Record& record, Outcome& outcome);
  void FindOpen(const Record& record, Outcome& outcome);
  void Gift(const Record& record, Outcome& outcome);
  void FindSend(const Record& record, Outcome& outcome);
  void Refund(const Record& record);
  void Resume(const Record& record, std::vector<Outcome>& outcomes);
  void State(const Record& record, Outcome& outcome) const;

  using Lots = std::map<uint32_t, Lot>;

  // False: (stamp, user) is taken; nothing was recorded.
  bool AddGrant(const Grant& grant, std::optional<uint64_t> stamp);
  // The highest stamp of the user's grants up to that one.
  uint64_t MaxStampAt(uint32_t grant_id);
  void AddEntry(int64_t kind, int64_t id, int64_t debit, int64_t credit, int64_t fen);
  // A shake that FindWin has answered with "nothing" stays without a win, whoever still comes with one, and a send that FindSend
  // has answered so without a gift of any earlier login (its own session may try again): two workers may have the same request
  // for a moment. The newest kDeniedMax are remembered, far more than fit into that moment.
  void Deny(const Record& record);
  bool Denied(const Record& record) const;
  // The lot that holds the envelope, or null.
  Lots::value_type* LotOf(uint32_t envelope_id);
  // False: so much is not left of the lot.
  bool TakeFromLot(int64_t first_id, int64_t fen, int64_t shares);
  void Impossible(const Record& record, const char* what);
  void Refuse(const std::string& why);

  Sqlite& db_;
  UserHeads heads_;
  uint32_t last_grant_id_;
  Lots lots_;                               // by first id
  std::vector<Lots::value_type*> touched_;  // by this batch
  uint64_t lots_looked_at_ = 0;
  absl::flat_hash_map<std::pair<uint32_t, uint64_t>, uint32_t> denied_;  // (user, stamp): the login that was told so
  std::deque<std::pair<uint32_t, uint64_t>> denied_by_age_;
  Statement insert_grant_, insert_entry_, insert_envelope_, insert_invite_, insert_order_, insert_terms_, insert_cancel_;
  Statement set_clock_;
  Statement take_from_lot_, take_from_gift_, refund_, find_grant_, find_open_, find_send_, share_of_, grant_by_id_, max_stamp_at_;
};

}  // namespace hongbao::ledger
