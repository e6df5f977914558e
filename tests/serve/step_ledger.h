// StepLedger: the real writer on a real file, without the thread: what is committed when, in which order the lanes come, when
// outcomes are delivered, and when it all crashes is the test's to say.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libhongbao/ledger/audit.h"
#include "libhongbao/ledger/ledger_file.h"
#include "libhongbao/ledger/recovery.h"
#include "libhongbao/ledger/writer.h"
#include "tests/test_folder.h"

namespace hongbao::serve {

class StepLedger : public ledger::Ledger {
 public:
  // Opens and recovers the file as it was left. Not synced: nobody pulls the plug here.
  StepLedger(const std::string& path, int64_t now_ms) {
    auto file = ledger::LedgerFile::Open({.path = path, .check_small = false, .planted_no_sync = true});
    EXPECT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
    ledger::KillPlan no_kill;
    auto recovered = ledger::Recover(*file_, now_ms, no_kill);
    EXPECT_TRUE(recovered.ok()) << recovered.status();
    if (!recovered.ok()) {
      return;
    }
    recovered_ = std::move(*recovered);
    writer_ = std::make_unique<ledger::Writer>(file_->db(), std::move(recovered_.heads), recovered_.last_grant_id);
    writer_->AddLots(recovered_.state.orders);
  }
  // As a crash leaves it: what was not committed has never been.
  ~StepLedger() override {
    writer_.reset();
    file_.reset();
  }

  bool ok() const { return writer_ != nullptr && writer_->status().ok(); }
  absl::Status status() const { return writer_ == nullptr ? absl::UnknownError("not opened") : writer_->status(); }

  ledger::Recovered TakeRecovered() override { return std::move(recovered_.state); }
  void Start(uint32_t lanes, uint32_t lane_records, ledger::OutcomeSink* sink) override {
    lanes_.resize(lanes);
    lane_records_ = lane_records;
    sink_ = sink;
  }
  void Stop() override {}
  void Submit(uint32_t lane, const ledger::Record& record) override {
    lanes_[lane].push_back(record);
    EXPECT_LE(++in_flight_[lane], lane_records_) << "a worker submits no more records than it has credits";
  }
  absl::Status RecordOrder(const ledger::Order& order) override {
    writer_->Begin();
    writer_->ApplyOrder(order);
    return writer_->Commit() ? absl::OkStatus() : writer_->status();
  }
  absl::Status RecordCancel(const ledger::Cancel& cancel) override {
    writer_->Begin();
    writer_->ApplyCancel(cancel);
    return writer_->Commit() ? absl::OkStatus() : writer_->status();
  }

  bool AnythingWaits() const {
    for (const auto& lane : lanes_) {
      if (!lane.empty()) {
        return true;
      }
    }
    return !settled_.empty();
  }
  // One commit of at most `records`, from the lane that `choose` names (below `lanes`) each time.
  void Commit(size_t records, const std::function<uint32_t(uint32_t lanes)>& choose) {
    std::vector<std::pair<uint32_t, ledger::Outcome>> settled;
    std::vector<ledger::Outcome> outcomes;
    writer_->Begin();
    for (size_t i = 0; i < records; ++i) {
      const uint32_t lane = choose(static_cast<uint32_t>(lanes_.size()));
      if (lanes_[lane].empty()) {
        continue;
      }
      outcomes.clear();
      writer_->Apply(lanes_[lane].front(), outcomes);
      lanes_[lane].pop_front();
      for (const ledger::Outcome& outcome : outcomes) {
        settled.emplace_back(lane, outcome);
      }
    }
    ASSERT_TRUE(writer_->Commit()) << writer_->status();
    settled_.insert(settled_.end(), settled.begin(), settled.end());
  }
  // Tells the workers of what is committed.
  void Deliver(size_t outcomes) {
    for (; outcomes > 0 && !settled_.empty(); --outcomes) {
      const auto [lane, outcome] = settled_.front();
      settled_.pop_front();
      in_flight_[lane] -= outcome.resumed ? 0 : 1;
      sink_->Deliver(lane, outcome);
    }
  }
  void CommitAndDeliverAll() {
    uint32_t turn = 0;
    while (ok() && AnythingWaits()) {
      Commit(16 * lanes_.size(), [&turn](uint32_t lanes) { return turn++ % lanes; });
      Deliver(settled_.size());
    }
  }

  absl::Status AuditAll() { return ledger::Judge(ledger::Audit(file_->db(), ledger::AuditScope::kAll, 0)); }
  int64_t Number(const char* sql) { return file_->db().Number(sql); }

 private:
  std::unique_ptr<ledger::LedgerFile> file_;
  ledger::RecoveredFile recovered_;
  std::unique_ptr<ledger::Writer> writer_;
  ledger::OutcomeSink* sink_ = nullptr;
  uint32_t lane_records_ = 0;
  std::vector<std::deque<ledger::Record>> lanes_;
  std::map<uint32_t, uint32_t> in_flight_;
  std::deque<std::pair<uint32_t, ledger::Outcome>> settled_;  // committed, and not told yet
};

}  // namespace hongbao::serve
