// LedgerLane: one worker's end of its lane to the ledger: submits records, and never more than it has credits for.
//
// Owns the count of records without an outcome, and the records that must not be refused any more and wait for a credit
// (opened shares, refunds, minted gifts: each bounded by what is in the gift book; repeated shakes: up to swamped()). What can
// be refused asks full() first.
// Without a ledger (null) it is never durable() and nothing is submitted. Thread tag: worker-local.
#pragma once

#include <cstdint>
#include <deque>

#include "libhongbao/check.h"
#include "libhongbao/ledger/ledger.h"

namespace hongbao::serve {

class LedgerLane {
 public:
  // `lane`: this worker's. `credits`: records without an outcome at most, as the ledger was started with.
  LedgerLane(ledger::Ledger* ledger, uint32_t lane, uint32_t credits)
      : ledger_(ledger), lane_(lane), credits_(credits), file_full_(ledger != nullptr && ledger->full()) {}

  // False: nothing outlives the process, and answers need not wait.
  bool durable() const { return ledger_ != nullptr; }
  // Whatever can still be refused has to be refused now.
  bool full() const { return in_flight_ >= credits_ || file_full_; }
  // The file has no room for more grants, and will not have.
  bool file_full() const { return file_full_; }
  // Questions (repeats, resumes, statements) have half of the credits, so that nobody can ask the winners out of the ledger.
  // Beyond it whoever asks is to come again later: there is no answer that would be true now.
  bool swamped() const { return questions_ >= (credits_ + 1) / 2 || parked_.size() >= credits_; }
  uint32_t in_flight() const { return in_flight_; }
  size_t parked() const { return parked_.size(); }

  // Its outcome comes to this worker. The record waits its turn while there is no credit.
  void Submit(const ledger::Record& record) {
    if (in_flight_ >= credits_) {
      parked_.push_back(record);
      return;
    }
    Pass(record);
  }

  // The (last) outcome of a record of this kind has come: its credit goes to the record that has waited longest, if any.
  void ReturnCredit(ledger::RecordKind kind) {
    Check(in_flight_ > 0, "an outcome answers a record");
    --in_flight_;
    questions_ -= IsQuestion(kind) ? 1U : 0U;
    file_full_ = ledger_->full();  // asked once for each outcome: it keeps room for what is under way
    if (!parked_.empty()) {
      Pass(parked_.front());
      parked_.pop_front();
    }
  }

 private:
  static bool IsQuestion(ledger::RecordKind kind) {
    return kind == ledger::RecordKind::kFindWin || kind == ledger::RecordKind::kFindOpen ||
           kind == ledger::RecordKind::kFindSend || kind == ledger::RecordKind::kResume || kind == ledger::RecordKind::kStatement;
  }

  void Pass(const ledger::Record& record) {
    ++in_flight_;
    questions_ += IsQuestion(record.kind) ? 1U : 0U;
    ledger_->Submit(lane_, record);
  }

  ledger::Ledger* ledger_;
  uint32_t lane_;
  uint32_t credits_;
  uint32_t in_flight_ = 0;
  uint32_t questions_ = 0;  // of them
  bool file_full_;
  std::deque<ledger::Record> parked_;
};

}  // namespace hongbao::serve
