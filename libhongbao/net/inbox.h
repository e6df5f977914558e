// Inbox: messages to one worker from any thread.
//
//   producers --claim tail--> [cell|cell|cell|cell] --head--> the worker
//
// Owns a bounded ring of cells; a cell's sequence says whose turn it is (Vyukov's bounded MPMC queue, with one consumer).
// Lock-free: a producer that stops between claiming and filling its cell delays those behind it, and never blocks one.
// Never wakes anybody: net::Mailbox does. Thread tag: Push thread-safe, Pop and Empty worker-local.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "libhongbao/check.h"

namespace hongbao::net {

template <class Message>
class Inbox {
  static_assert(std::is_trivially_copyable_v<Message> && sizeof(Message) <= 256, "messages are copied by value");

 public:
  explicit Inbox(uint32_t capacity) : mask_(capacity - 1), cells_(std::make_unique<Cell[]>(capacity)) {
    // One cell would not do: full and free would have the same sequence, and a message would be overwritten.
    Check(capacity >= 2 && std::has_single_bit(capacity), "an inbox holds a power of two of messages, at least two");
    for (uint32_t i = 0; i < capacity; ++i) {
      cells_[i].sequence.store(i, std::memory_order_relaxed);  // published with the object itself
    }
  }

  // False when it is full; nothing was taken then.
  bool Push(const Message& message) {
    uint64_t tail = tail_.load(std::memory_order_relaxed);  // a stale guess only costs a round
    for (;;) {
      Cell& cell = cells_[tail & mask_];
      // Acquire pairs with Pop's release: the consumer has copied the former message out before we overwrite it.
      const uint64_t sequence = cell.sequence.load(std::memory_order_acquire);
      if (sequence == tail) {
        // Relaxed: the claim orders nothing, the cell's sequence does.
        if (tail_.compare_exchange_weak(tail, tail + 1, std::memory_order_relaxed)) {
          cell.message = message;
          cell.sequence.store(tail + 1, std::memory_order_release);  // the message before the word that it is there
          return true;
        }
      } else if (sequence < tail) {
        return false;
      } else {
        tail = tail_.load(std::memory_order_relaxed);
      }
    }
  }

  bool Pop(Message& message) {
    Cell& cell = cells_[head_ & mask_];
    if (cell.sequence.load(std::memory_order_acquire) != head_ + 1) {  // pairs with Push's release
      return false;
    }
    message = cell.message;
    cell.sequence.store(head_ + mask_ + 1, std::memory_order_release);  // our copy before its reuse
    ++head_;
    return true;
  }

  // Sequentially consistent: read after announcing sleep, see Mailbox.
  bool Empty() const { return cells_[head_ & mask_].sequence.load(std::memory_order_seq_cst) != head_ + 1; }

 private:
  struct Cell {
    std::atomic<uint64_t> sequence;
    Message message;
  };
  const uint64_t mask_;
  std::unique_ptr<Cell[]> cells_;
  alignas(64) std::atomic<uint64_t> tail_{0};  // producers' line
  alignas(64) uint64_t head_ = 0;              // the worker's
};

}  // namespace hongbao::net
