// Lane: records from one worker to the ledger's thread.
//
//   worker --tail--> [record|record|record] --head--> ledger thread
//
// Owns a bounded ring. Wait-free on both sides (one producer, one consumer: each index has one writer). Never wakes
// anybody: the ledger does. Thread tag: Push for the one producer, Pop for the one consumer, Empty for the consumer.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

#include "libhongbao/check.h"
#include "libhongbao/ledger/ledger.h"

namespace hongbao::ledger {

class Lane {
 public:
  // `capacity` is rounded up to a power of two, of some 280 bytes each, all of them touched here.
  explicit Lane(uint32_t capacity)
      : mask_(std::bit_ceil(uint64_t{capacity}) - 1), records_(new Record[mask_ + 1]) {}

  void Push(const Record& record) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);  // our own
    // Acquire: the consumer has copied out what was in this cell before.
    Check(tail - head_.load(std::memory_order_acquire) <= mask_, "a worker submits no more records than it has credits");
    records_[tail & mask_] = record;
    tail_.store(tail + 1, std::memory_order_release);  // the record before the word that it is there
  }

  bool Pop(Record& record) {
    const uint64_t head = head_.load(std::memory_order_relaxed);  // our own
    if (head == tail_.load(std::memory_order_acquire)) {  // pairs with Push's release
      return false;
    }
    record = records_[head & mask_];
    head_.store(head + 1, std::memory_order_release);  // our copy before its reuse
    return true;
  }

  // Sequentially consistent: the last look before the consumer sleeps, see SqliteLedger::Wait.
  bool Empty() const {
    return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_seq_cst);
  }

 private:
  const uint64_t mask_;
  std::unique_ptr<Record[]> records_;
  alignas(64) std::atomic<uint64_t> tail_{0};  // the producer's line
  alignas(64) std::atomic<uint64_t> head_{0};  // the consumer's
};

}  // namespace hongbao::ledger
