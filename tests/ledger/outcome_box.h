// OutcomeBox: where a test's outcomes arrive.
//
// Owns them. Thread tag: Deliver for the ledger's thread, the rest for the test's.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "libhongbao/ledger/ledger.h"

namespace hongbao::ledger {

class OutcomeBox : public OutcomeSink {
 public:
  void Deliver(uint32_t lane, const Outcome& outcome) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    outcomes_.emplace_back(lane, outcome);
    news_.notify_all();
  }
  void Fail(const absl::Status& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    failure_ = status;
    news_.notify_all();
  }

  // Waits until so many have arrived; false: the ledger has failed before.
  bool WaitFor(size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    news_.wait(lock, [&] { return outcomes_.size() >= count || !failure_.ok(); });
    return outcomes_.size() >= count;
  }
  std::vector<std::pair<uint32_t, Outcome>> all() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return outcomes_;
  }
  size_t size() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return outcomes_.size();
  }
  absl::Status failure() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return failure_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable news_;
  std::vector<std::pair<uint32_t, Outcome>> outcomes_;
  absl::Status failure_;
};

}  // namespace hongbao::ledger
