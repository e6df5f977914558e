// History: one worker's counters as they stood at the end of each of the last kSeconds seconds, of a clock that nobody sets
// (the steady time).
//
// Filled by the owning worker at the start of each turn, so that "what happened in second S" is decided by the thread
// that did it, exactly; read by a reporter whenever it likes, without tearing. Nothing is ever cleaned: an entry stands
// until the ring comes round. (The prototype's ring was cleared by another thread, and late counts vanished.) The
// worker must come round at least once a second, idle or not, else the reporter waits for it.
// Thread tag: Roll and Close worker-local; everything const thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "libhongbao/count/cells.h"

namespace hongbao::count {

template <CounterEnum E, size_t kSeconds = 128>
class History {
 public:
  static constexpr int64_t kNoSecond = std::numeric_limits<int64_t>::min();

  History() = default;
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // The turn that begins now lies in `unix_second`: files `cells` as the end of every second before it that has not
  // been filed. Call before the turn counts anything. One compare when the second has not changed. A second before the newest
  // (the steady time may go back by half a second) is the newest: none is lost.
  void Roll(int64_t unix_second, const Cells<E>& cells) {
    if (unix_second > current_) [[unlikely]] {
      Fill(unix_second, cells);
    }
  }

  // The worker counts nothing more: files the second under way; every later second reads the same.
  void Close(const Cells<E>& cells) {
    if (current_ == kNoSecond) {
      return;  // never began: stays unread
    }
    Fill(current_ + 1, cells);
    closed_.store(true, std::memory_order_release);  // a reader that sees it sees the last entry and finished_
  }

  // The last finished second, kNoSecond before the first. Acquire: what it names can be read.
  int64_t finished() const { return finished_.load(std::memory_order_acquire); }
  // The second of the first Roll, kNoSecond before it. Every second before it reads as zeros.
  int64_t began() const { return began_.load(std::memory_order_acquire); }
  bool closed() const { return closed_.load(std::memory_order_acquire); }

  // Stores the totals at the end of `unix_second` in `values`. False when that second is not finished or the ring has
  // come round over it.
  bool Read(int64_t unix_second, Values<E>& values) const;

 private:
  struct Entry {
    std::atomic<int64_t> second{kNoSecond};  // kNoSecond while it is being written
    std::array<std::atomic<uint64_t>, kCellsOf<E>> value{};
  };

  void Fill(int64_t unix_second, const Cells<E>& cells);
  Entry& EntryOf(int64_t second) { return entries_[static_cast<uint64_t>(second) % kSeconds]; }
  const Entry& EntryOf(int64_t second) const { return entries_[static_cast<uint64_t>(second) % kSeconds]; }

  int64_t current_ = kNoSecond;  // the writer's own: the second under way
  std::atomic<int64_t> began_{kNoSecond};
  std::atomic<int64_t> finished_{kNoSecond};
  std::atomic<bool> closed_{false};
  std::array<Entry, kSeconds> entries_;
};

template <CounterEnum E, size_t kSeconds>
void History<E, kSeconds>::Fill(int64_t unix_second, const Cells<E>& cells) {
  if (current_ == kNoSecond) {
    current_ = unix_second;
    began_.store(unix_second, std::memory_order_release);  // before finished_, which a reader looks at first
    return;
  }
  const Values<E> values = cells.Snapshot();
  // After a sleep of many seconds only as many as the ring holds.
  const int64_t oldest = unix_second - static_cast<int64_t>(kSeconds);
  for (int64_t second = current_ > oldest ? current_ : oldest; second < unix_second; ++second) {
    // A sequence lock without fences (which ThreadSanitizer doesn't know). Each value is stored with release, so a
    // reader that has taken (acquire) one of the new values also sees the mark that was stored before it.
    Entry& entry = EntryOf(second);
    entry.second.store(kNoSecond, std::memory_order_relaxed);
    for (size_t i = 0; i < kCellsOf<E>; ++i) {
      entry.value[i].store(values.value[i], std::memory_order_release);
    }
    entry.second.store(second, std::memory_order_release);  // publishes the values to a reader that sees this second
  }
  current_ = unix_second;
  finished_.store(unix_second - 1, std::memory_order_release);
}

template <CounterEnum E, size_t kSeconds>
bool History<E, kSeconds>::Read(int64_t unix_second, Values<E>& values) const {
  const int64_t began = this->began();
  if (began == kNoSecond) {
    return false;
  }
  if (unix_second < began) {
    values = {};
    return true;
  }
  // Closed first: finished_ read after it is final.
  if (closed()) {
    const int64_t last = finished();
    unix_second = unix_second < last ? unix_second : last;
  }
  const Entry& entry = EntryOf(unix_second);
  if (entry.second.load(std::memory_order_acquire) != unix_second) {
    return false;
  }
  for (size_t i = 0; i < kCellsOf<E>; ++i) {
    // Acquire: a value of a later filing brings that filing's mark along, so the second look below fails.
    values.value[i] = entry.value[i].load(std::memory_order_acquire);
  }
  return entry.second.load(std::memory_order_relaxed) == unix_second;
}

}  // namespace hongbao::count
