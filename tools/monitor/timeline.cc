#include "tools/monitor/timeline.h"

#include <limits>
#include <utility>

namespace hongbao::monitor {

Timeline::Added Timeline::Add(uint32_t source, const wire::CounterRecord& record, int64_t monotonic_ns) {
  if (record.unix_s <= given_out_s_) {
    return Added::kLate;
  }
  Second& second = waiting_[record.unix_s];
  if (second.records.empty()) {
    second.unix_s = record.unix_s;
    second.opened_ns = monotonic_ns;
  }
  for (auto& [other, told] : second.records) {
    if (other == source) {
      told.total = record.total;  // what the process has done since: its last word, mostly
      return Added::kRepeated;
    }
  }
  second.records.emplace_back(source, record);
  return Added::kTaken;
}

// An older second than one whose time has come is given out with it: it would be late for ever after.
std::vector<Timeline::Second> Timeline::Take(int64_t monotonic_ns) {
  int64_t due_s = given_out_s_;
  for (const auto& [unix_s, second] : waiting_) {
    due_s = monotonic_ns - second.opened_ns >= delay_ns_ ? unix_s : due_s;
  }
  std::vector<Second> due = std::exchange(before_restart_, {});
  while (!waiting_.empty() && waiting_.begin()->first <= due_s) {
    due.push_back(std::move(waiting_.begin()->second));
    waiting_.erase(waiting_.begin());
  }
  given_out_s_ = due_s;
  return due;
}

void Timeline::Restart() {
  for (auto& [unix_s, second] : waiting_) {
    before_restart_.push_back(std::move(second));
  }
  waiting_.clear();
  given_out_s_ = 0;
}

std::vector<Timeline::Second> Timeline::TakeAll() { return Take(std::numeric_limits<int64_t>::max()); }

}  // namespace hongbao::monitor
