// Series: one row per second, merged from the histories of all workers.
//
// Owns the rows that are new; who wants the whole run keeps them (kept_rows.h). A second gets its row once every worker has
// rolled past it, so a row never changes afterwards and the rows' deltas add up to the totals, always: a second that a late
// reporter can no longer read is told by the next row's `span`, its counts included there. Seconds are the histories' own,
// of a clock that is never set; what people call them is the label's to say.
// Thread tag: thread-compatible (the reporter's); the histories are read while their workers write.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "libhongbao/count/history.h"

namespace hongbao::count {

template <CounterEnum E, size_t kSeconds = 128>
class Series {
 public:
  struct Row {
    int64_t unix_second = 0;  // its label
    int64_t second = 0;       // as the histories have it: each comes once
    int64_t span = 1;         // seconds that `delta` covers, this one last; above 1 only when the reporter was very late
    Values<E> delta{};        // what happened in the span
    Values<E> total{};        // as it stood at the end of the second (the one to take for gauges)
  };

  // The unix second by which a second of the histories is called. Absent: itself.
  using Label = std::function<int64_t(int64_t second)>;

  // `histories` must outlive the series.
  explicit Series(std::vector<const History<E, kSeconds>*> histories, Label label = nullptr)
      : histories_(std::move(histories)), label_(std::move(label)) {}

  // Makes a row for each second that all workers have finished since the last call; returns how many.
  size_t Collect();

  // Those of the last Collect.
  const std::vector<Row>& rows() const { return rows_; }
  // Totals up to the newest row.
  const Values<E>& total() const { return total_; }

 private:
  static constexpr int64_t kNoSecond = History<E, kSeconds>::kNoSecond;

  // The newest second that is complete, kNoSecond when none is; sets next_second_ at the first.
  int64_t Complete();
  bool ReadAll(int64_t second, Values<E>& total) const;

  std::vector<const History<E, kSeconds>*> histories_;
  const Label label_;
  std::vector<Row> rows_;
  Values<E> total_;
  int64_t next_second_ = kNoSecond;  // of the next row
  int64_t last_second_ = kNoSecond;  // of the last row, or the one before the first
};

// `into` becomes the row of both; `next` is the later one.
template <typename Row>
void MergeRows(Row& into, const Row& next) {
  into.unix_second = next.unix_second;
  into.second = next.second;
  into.span += next.span;
  into.delta += next.delta;
  into.total = next.total;
}

template <CounterEnum E, size_t kSeconds>
size_t Series<E, kSeconds>::Collect() {
  rows_.clear();
  const int64_t complete = Complete();
  if (complete == kNoSecond) {
    return 0;
  }
  // Older seconds are overwritten: don't look for each.
  next_second_ = std::max(next_second_, complete - static_cast<int64_t>(kSeconds) + 1);
  for (; next_second_ <= complete; ++next_second_) {
    Row row;
    if (!ReadAll(next_second_, row.total)) {
      continue;  // the ring has come round: the next row covers it
    }
    row.second = next_second_;
    row.unix_second = label_ ? label_(next_second_) : next_second_;
    row.span = next_second_ - last_second_;
    row.delta = row.total - total_;
    total_ = row.total;
    last_second_ = next_second_;
    rows_.push_back(row);
  }
  return rows_.size();
}

template <CounterEnum E, size_t kSeconds>
int64_t Series<E, kSeconds>::Complete() {
  int64_t first = std::numeric_limits<int64_t>::max();
  int64_t open_min = std::numeric_limits<int64_t>::max();
  int64_t closed_max = kNoSecond;
  for (const History<E, kSeconds>* history : histories_) {
    const bool closed = history->closed();  // before finished(), which is final once this is seen
    const int64_t finished = history->finished();
    if (finished == kNoSecond) {
      return kNoSecond;
    }
    first = std::min(first, history->began());
    if (closed) {
      closed_max = std::max(closed_max, finished);
    } else {
      open_min = std::min(open_min, finished);
    }
  }
  if (next_second_ == kNoSecond && !histories_.empty()) {
    next_second_ = first;
    last_second_ = first - 1;
  }
  return open_min == std::numeric_limits<int64_t>::max() ? closed_max : open_min;
}

template <CounterEnum E, size_t kSeconds>
bool Series<E, kSeconds>::ReadAll(int64_t second, Values<E>& total) const {
  total = {};
  Values<E> values;
  for (const History<E, kSeconds>* history : histories_) {
    if (!history->Read(second, values)) {
      return false;
    }
    total += values;
  }
  return true;
}

}  // namespace hongbao::count
