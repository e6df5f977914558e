// FakeLedger: the contract of ledger.h in memory. The same keys and the same outcomes as the file's, but nothing is settled
// before the test says so: what was submitted and not committed is a "commit under way".
//
// Submit, Commit and the counts may be called from several threads; outcomes come on the thread that calls Commit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "libhongbao/check.h"
#include "libhongbao/ledger/ledger.h"

namespace hongbao::serve {

class FakeLedger : public ledger::Ledger {
 public:
  static constexpr size_t kAll = std::numeric_limits<size_t>::max();

  // ---- the contract ----
  ledger::Recovered TakeRecovered() override { return std::exchange(recovered, {}); }
  void Start(uint32_t lanes, uint32_t lane_records, ledger::OutcomeSink* sink) override {
    in_lane_.assign(lanes, 0);
    lane_records_ = lane_records;
    sink_ = sink;
  }
  void Stop() override {
    if (sink_ != nullptr) {
      Commit();
    }
  }
  void Submit(uint32_t lane, const ledger::Record& record) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    Check(++in_lane_[lane] <= lane_records_, "a worker submits no more records than it has credits");
    waiting_.emplace_back(lane, record);
  }
  absl::Status RecordOrder(const ledger::Order& order) override {
    if (order_status.ok()) {
      orders.push_back(order);
    }
    return order_status;
  }

  absl::Status RecordCancel(const ledger::Cancel& cancel) override {
    if (order_status.ok()) {
      cancels.push_back(cancel);
    }
    return order_status;
  }

  bool full() const override { return is_full; }

  // ---- for the test ----
  bool is_full = false;

  // Settles what waits, the oldest first, `records` of them at most; what comes meanwhile too.
  size_t Commit(size_t records = kAll, uint32_t first_lane = 0, uint32_t last_lane = std::numeric_limits<uint32_t>::max()) {
    size_t done = 0;
    while (done < records && CommitOne(first_lane, last_lane)) {
      ++done;
    }
    return done;
  }
  // The same for one lane, ahead of the others.
  size_t CommitLane(uint32_t lane) { return Commit(kAll, lane, lane); }
  size_t waiting() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return waiting_.size();
  }
  // The newest that was submitted and not settled.
  ledger::Record Newest() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return waiting_.empty() ? ledger::Record() : waiting_.back().second;
  }
  uint64_t GrantedFen() const {
    uint64_t sum = 0;
    for (const ledger::Outcome& grant : grants_) {
      sum += grant.amount_fen;
    }
    return sum;
  }
  size_t grants() const { return grants_.size(); }
  size_t refunds() const { return refunds_.size(); }

  ledger::Recovered recovered;
  absl::Status order_status;  // what RecordOrder and RecordCancel answer
  std::vector<ledger::Order> orders;
  std::vector<ledger::Cancel> cancels;
  size_t resume_page = 64;

 private:
  using Key = std::pair<uint32_t, uint64_t>;  // user, stamp

  bool CommitOne(uint32_t first_lane, uint32_t last_lane) {
    std::vector<ledger::Outcome> outcomes;
    uint32_t lane = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      auto next = waiting_.begin();
      while (next != waiting_.end() && (next->first < first_lane || next->first > last_lane)) {
        ++next;
      }
      if (next == waiting_.end()) {
        return false;
      }
      lane = next->first;
      Apply(next->second, outcomes);
      waiting_.erase(next);
      --in_lane_[lane];
    }
    for (const ledger::Outcome& outcome : outcomes) {
      sink_->Deliver(lane, outcome);
    }
    return true;
  }

  void Apply(const ledger::Record& record, std::vector<ledger::Outcome>& outcomes) {
    if (record.kind == ledger::RecordKind::kResume) {
      return Resume(record, outcomes);
    }
    ledger::Outcome outcome = ledger::AsNew(record);
    switch (record.kind) {
      case ledger::RecordKind::kWin:
      case ledger::RecordKind::kFindWin:
        Win(record, outcome);
        break;
      case ledger::RecordKind::kOpen:
        Check(opens_.emplace(std::pair(record.envelope_id, record.user), record.amount_fen).second, "a share is opened once");
        outcome.has_stamp = record.has_stamp && keys_.emplace(Key(record.user, record.stamp), grants_.size()).second;
        grants_.push_back(outcome);
        break;
      case ledger::RecordKind::kFindOpen: {
        const auto found = opens_.find({record.envelope_id, record.user});
        outcome.settled = found == opens_.end() ? ledger::Settled::kNone : ledger::Settled::kRepeat;
        outcome.amount_fen = found == opens_.end() ? 0 : found->second;
        break;
      }
      case ledger::RecordKind::kGift:
      case ledger::RecordKind::kFindSend:
        Gift(record, outcome);
        break;
      case ledger::RecordKind::kRefund:
        Check(refunds_.insert(record.envelope_id).second, "a gift is refunded once");
        break;
      case ledger::RecordKind::kStatement:
        for (const ledger::Outcome& grant : grants_) {
          outcome.grants += grant.user == record.user ? 1 : 0;
          outcome.total_fen += grant.user == record.user ? grant.amount_fen : 0;
        }
        break;
      case ledger::RecordKind::kResume:
        break;
    }
    outcomes.push_back(outcome);
  }

  void Win(const ledger::Record& record, ledger::Outcome& outcome) {
    const Key key(record.user, record.stamp);
    const auto found = keys_.find(key);
    const bool is_win = record.kind == ledger::RecordKind::kWin;
    if (is_win && (!record.has_stamp || (found == keys_.end() && !denied_.contains(key)))) {
      if (record.has_stamp) {
        keys_.emplace(key, grants_.size());
      }
      grants_.push_back(outcome);
      return;
    }
    outcome.unused_id = is_win ? record.envelope_id : 0;
    outcome.unused_fen = is_win ? record.amount_fen : 0;
    outcome.settled = ledger::Settled::kNone;
    outcome.envelope_id = outcome.amount_fen = 0;
    if (found == keys_.end()) {
      denied_.insert(key);
    } else if (const ledger::Outcome& first = grants_[found->second]; first.kind == ledger::RecordKind::kWin) {
      outcome.settled = ledger::Settled::kRepeat;
      outcome.envelope_id = first.envelope_id;
      outcome.amount_fen = first.amount_fen;
    }
  }

  void Gift(const ledger::Record& record, ledger::Outcome& outcome) {
    if (!record.has_stamp) {
      return;
    }
    const Key key(record.user, record.stamp);
    const bool is_gift = record.kind == ledger::RecordKind::kGift;
    const auto denied = denied_sends_.find(key);
    const bool too_late = denied != denied_sends_.end() && record.login < denied->second;
    const auto first = sends_.find(key);
    if (is_gift && first == sends_.end() && !too_late) {
      sends_.emplace(key, std::pair(record.envelope_id, record.amount_fen));
      return;
    }
    outcome.unused_id = is_gift ? record.envelope_id : 0;
    outcome.unused_fen = is_gift ? record.amount_fen : 0;
    outcome.settled = first == sends_.end() ? ledger::Settled::kNone : ledger::Settled::kRepeat;
    outcome.envelope_id = outcome.amount_fen = 0;
    if (first != sends_.end()) {
      std::tie(outcome.envelope_id, outcome.amount_fen) = first->second;
    } else {
      denied_sends_[key] = std::max(denied_sends_[key], record.login);
    }
  }

  // From the newest on; `cursor` is how many are left below.
  void Resume(const ledger::Record& record, std::vector<ledger::Outcome>& outcomes) {
    ledger::Outcome end{.kind = ledger::RecordKind::kResume,
                        .settled = ledger::Settled::kNone,
                        .user = record.user,
                        .stamp = record.stamp,
                        .reply_to = record.reply_to};
    for (size_t i = record.cursor != 0 ? record.cursor : grants_.size(); i > 0; --i) {
      ledger::Outcome grant = grants_[i - 1];
      if (grant.user != record.user || !grant.has_stamp || grant.stamp <= record.stamp) {
        continue;
      }
      if (outcomes.size() == resume_page) {
        end.cursor = static_cast<uint32_t>(i);
        break;
      }
      grant.settled = ledger::Settled::kRepeat;
      grant.resumed = true;
      grant.reply_to = record.reply_to;
      outcomes.push_back(grant);
    }
    outcomes.push_back(end);
  }

  mutable std::mutex mutex_;
  ledger::OutcomeSink* sink_ = nullptr;
  uint32_t lane_records_ = 0;
  std::vector<uint32_t> in_lane_;
  std::deque<std::pair<uint32_t, ledger::Record>> waiting_;
  std::vector<ledger::Outcome> grants_;                      // in the order of their commits
  std::map<Key, size_t> keys_;                               // of grants
  std::set<Key> denied_;                                     // looked for and not found: too late for a win
  std::map<Key, std::pair<uint32_t, uint32_t>> sends_;       // id, fen
  std::map<Key, uint32_t> denied_sends_;                     // looked for and not found: too late for an earlier login
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> opens_;  // (gift, user): fen
  std::set<uint32_t> refunds_;
};

}  // namespace hongbao::serve
