// Series: the whole run, one row per unix second, merged from the histories of all workers.
//
// Owns its rows; only ever appends. A second gets its row once every worker has rolled past it, so a row never changes
// afterwards and the rows' deltas add up to the totals, always: a second that a late reporter can no longer read is
// told by the next row's `span`, its counts included there.
// Thread tag: thread-compatible (the reporter's); the histories are read while their workers write.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "libhongbao/count/history.h"

namespace hongbao::count {

template <CounterEnum E, size_t kSeconds = 128>
class Series {
 public:
  struct Row {
    int64_t unix_second = 0;
    int64_t span = 1;    // seconds that `delta` covers, this one last; above 1 only when the reporter was very late
    Values<E> delta;     // what happened in the span
    Values<E> total;     // as it stood at the end of the second (the one to take for gauges)
  };

  // `histories` must outlive the series.
  explicit Series(std::vector<const History<E, kSeconds>*> histories) : histories_(std::move(histories)) {}

  // Appends a row for each second that all workers have finished since the last call; returns how many.
  size_t Collect();

  const std::vector<Row>& rows() const { return rows_; }
  // Totals up to the last row.
  Values<E> total() const { return rows_.empty() ? Values<E>{} : rows_.back().total; }

 private:
  static constexpr int64_t kNoSecond = History<E, kSeconds>::kNoSecond;

  // The newest second that is complete, kNoSecond when none is; sets next_second_ at the first.
  int64_t Complete();
  bool ReadAll(int64_t second, Values<E>& total) const;

  std::vector<const History<E, kSeconds>*> histories_;
  std::vector<Row> rows_;
  int64_t next_second_ = kNoSecond;  // of the next row
  int64_t last_second_ = kNoSecond;  // of the last row, or the one before the first
};

template <CounterEnum E, size_t kSeconds>
size_t Series<E, kSeconds>::Collect() {
  const int64_t complete = Complete();
  if (complete == kNoSecond) {
    return 0;
  }
  const size_t before = rows_.size();
  // Older seconds are overwritten: don't look for each (the wall clock may have been stepped by years).
  next_second_ = std::max(next_second_, complete - static_cast<int64_t>(kSeconds) + 1);
  for (; next_second_ <= complete; ++next_second_) {
    Row row;
    if (!ReadAll(next_second_, row.total)) {
      continue;  // the ring has come round: the next row covers it
    }
    row.unix_second = next_second_;
    row.span = next_second_ - last_second_;
    row.delta = row.total - total();
    last_second_ = next_second_;
    rows_.push_back(row);
  }
  return rows_.size() - before;
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
