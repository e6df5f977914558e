// Handover: records from one thread to one other: one writes, one reads, nobody waits.
//
//   writer --head--> [record|record|record] --tail--> reader
//
// Owns a ring of fixed-size records, made before the two start (all of it is touched then). When it is full the record is refused
// and the caller decides; what is in it is never overwritten, so whoever reads gets a prefix of each burst, whole and in order.
// Never allocates after construction, never locks.
// Thread tag: Push by one thread, Pop and Empty by one other.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "libhongbao/cpp20.h"

namespace hongbao {

template <class Record>
class Handover {
  static_assert(std::is_trivially_copyable_v<Record>, "records are copied as they are");

 public:
  // Room for at least `capacity` records; 0 = none, every Push is refused.
  explicit Handover(uint32_t capacity)
      : capacity_(capacity == 0 ? 0 : std::bit_ceil(uint64_t{capacity})), records_(new Record[capacity_]) {}

  bool Push(const Record& record) {
    const uint64_t head = head_.load(std::memory_order_relaxed);  // our own
    if (head - tail_seen_ == capacity_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);  // pairs with Pop: what was there has been copied out
      if (head - tail_seen_ == capacity_) return false;
    }
    records_[head & (capacity_ - 1)] = record;
    head_.store(head + 1, std::memory_order_release);  // publishes the record
    return true;
  }

  bool Pop(Record& record) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);      // our own
    if (tail == head_.load(std::memory_order_acquire)) return false;  // pairs with Push: the record is whole
    record = records_[tail & (capacity_ - 1)];
    tail_.store(tail + 1, std::memory_order_release);  // gives the place back
    return true;
  }

  // Sequentially consistent: a reader that has announced its sleep in the same order (a fence on both sides) sees what was
  // pushed before the writer looked whether it sleeps.
  bool Empty() const { return tail_.load(std::memory_order_relaxed) == head_.load(std::memory_order_seq_cst); }

 private:
  const uint64_t capacity_;
  const std::unique_ptr<Record[]> records_;
  // Lines of their own: the worker does not lose its line whenever the reader looks.
  alignas(64) std::atomic<uint64_t> head_{0};
  uint64_t tail_seen_ = 0;  // the writer's
  alignas(64) std::atomic<uint64_t> tail_{0};
};

}  // namespace hongbao
