// ScriptedRing: a ring whose completions a test decides. Stands in for ring::KernelRing under net::Set.
//
// It also plays the strict kernel: it knows what is in flight and fails the test when the set breaks a rule (two sends of
// one connection, a slot closed or reused with something in flight, a buffer recycled twice, reply bytes changed while
// the kernel reads them).
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/address.h"
#include "libhongbao/check.h"
#include "libhongbao/ring/completion.h"
#include "libhongbao/ring/tag.h"

namespace hongbao::net {

class ScriptedRing {
 public:
  // One operation, queued or in flight.
  struct Entry {
    ring::Tag tag;
    ring::Tag target{};                // of a cancel
    const std::byte* bytes = nullptr;  // of a send
    bool silent = false;               // of a send: it ends when it is handed over
    std::string copy{};                // what `bytes` were when the send was queued
    int* place = nullptr;              // of a TakeIn
    SocketAddress destination{};
    int listener = -1;
    uint64_t publishes = 0;  // PublishBuffers calls before it was queued
    uint64_t number = 0;     // in the order of queueing
  };
  static constexpr uint32_t kBuffers = 64;
  static constexpr uint32_t kBufferBytes = 256;

  ScriptedRing() {
    for (uint32_t i = 0; i < kBuffers; ++i) {
      free_buffers_.push_back(static_cast<uint16_t>(i));
    }
  }

  // ---- what net::Set uses ----
  void Accept(int listener) { Queue({.tag = {ring::Operation::kAccept, 0, 0}, .listener = listener}); }
  void Receive(uint32_t slot, uint32_t generation) { Queue({.tag = {ring::Operation::kReceive, generation, slot}}); }
  void ReceiveBulk(uint32_t slot, uint32_t generation) { Queue({.tag = {ring::Operation::kReceiveBulk, generation, slot}}); }
  void Send(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length) {
    QueueSend(slot, generation, bytes, length, /*silent=*/false);
  }
  void SendSilently(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length) {
    EXPECT_TRUE(silent) << "this ring cannot send in silence";
    QueueSend(slot, generation, bytes, length, /*silent=*/true);
  }
  bool silent_sends() const { return silent; }
  void Connect(uint32_t slot, uint32_t generation, const SocketAddress& destination) {
    Queue({.tag = {ring::Operation::kConnect, generation, slot}, .destination = destination});
  }
  void Cancel(ring::Tag target) { Queue({.tag = {ring::Operation::kCancel, target.generation, target.slot}, .target = target}); }
  void Close(uint32_t slot, uint32_t generation) {
    EXPECT_EQ(OfSlot(slot, /*cancels=*/true), 0u) << "slot " << slot << " closed with something in flight";
    ++closes;
    Queue({.tag = {ring::Operation::kClose, generation, slot}});
  }
  void TakeOut(uint32_t slot, uint32_t generation) {
    EXPECT_EQ(OfSlot(slot), 0u) << "slot " << slot << " is taken out with something in flight";
    Queue({.tag = {ring::Operation::kTakeOut, generation, slot}});
  }
  void TakeIn(uint32_t id, int* place) { Queue({.tag = {ring::Operation::kTakeIn, 0, id}, .place = place}); }
  void WatchWake() { Queue({.tag = {ring::Operation::kWake, 0, 0}}); }
  int Install(uint32_t, int descriptor) {
    installed.push_back(descriptor);
    return install_result;
  }
  bool NeedsEnter() const { return !queue_.empty() || enter_wanted || Overflowed(); }
  bool HasWork() const { return NeedsEnter() || HasCompletions(); }
  bool HasCompletions() const { return !completions_.empty(); }
  bool HasSubmissions() const { return !queue_.empty(); }
  uint32_t Submissions() const { return static_cast<uint32_t>(queue_.size()); }
  bool Overflowed() const { return !overflow_.empty(); }
  void Enter() {
    ++enters;
    completions_.insert(completions_.end(), overflow_.begin(), overflow_.end());
    overflow_.clear();
    const std::vector<ring::Tag> queue = std::exchange(queue_, {});  // all are in flight since they were queued
    for (const ring::Tag tag : queue) {
      if (const auto found = in_flight_.find(Pack(tag)); found != in_flight_.end() && found->second.silent) {
        HandOverSilently(found->second);
      }
    }
    if (on_enter) {
      on_enter();
    }
  }
  template <class Handle>
  void ReapSends(Handle&& handle) {
    for (ring::Completion& completion : completions_) {
      if (completion.tag.operation == ring::Operation::kSend) {
        const ring::Completion send = std::exchange(completion, {});
        handle(send);
      }
    }
  }
  template <class Handle>
  uint32_t Reap(uint32_t limit, Handle&& handle) {
    uint32_t count = 0;
    while (count < limit && !completions_.empty()) {
      const ring::Completion completion = completions_.front();
      completions_.pop_front();
      ++count;
      handle(completion);
      EXPECT_FALSE(completion.has_buffer && lent_[completion.buffer]) << "a buffer was not given back";
    }
    return count;
  }
  absl::Span<const std::byte> Buffer(const ring::Completion& completion) const {
    return {memory_[completion.buffer].data(), static_cast<size_t>(completion.result)};
  }
  void RecycleBuffer(const ring::Completion& completion) {
    const uint16_t buffer = completion.buffer;
    EXPECT_TRUE(lent_[buffer]) << "buffer " << buffer << " was given back twice";
    lent_[buffer] = false;
    memory_[buffer].fill(std::byte{0xdb});  // whoever still reads it shall see
    recycled_.push_back(buffer);
  }
  uint32_t PublishBuffers() {
    ++publishes;
    const uint32_t count = static_cast<uint32_t>(recycled_.size());
    free_buffers_.insert(free_buffers_.end(), recycled_.begin(), recycled_.end());
    recycled_.clear();
    return count;
  }

  // ---- what the test scripts ----
  // The completion of something in flight; without `more` it is in flight no longer. Sends are checked.
  void Complete(ring::Tag tag, int32_t result, bool more = false) {
    Finish(tag, result, more);
    completions_.push_back({.tag = tag, .result = result, .more = more});
  }
  void CompleteCancel(const Entry& cancel, int32_t result) {
    in_flight_.erase(KeyOf(cancel));
    completions_.push_back({.tag = cancel.tag, .result = result});
  }
  // Of the only TakeIn in flight: a slot was found, or none.
  void CompleteTakeIn(int slot) {
    for (const auto& [key, entry] : in_flight_) {
      if (entry.tag.operation == ring::Operation::kTakeIn) {
        *entry.place = slot >= 0 ? slot : *entry.place;
        return Complete(entry.tag, slot >= 0 ? 1 : slot);
      }
    }
    ADD_FAILURE() << "nothing is taken in";
  }
  // A receive that brings bytes. False when no buffer is free: then it ended with ENOBUFS, as the kernel would.
  bool CompleteReceive(uint32_t slot, uint32_t generation, std::string_view bytes, bool more = true) {
    return CompleteReceive({ring::Operation::kReceive, generation, slot}, bytes, more);
  }
  bool CompleteReceive(ring::Tag tag, std::string_view bytes, bool more) {
    if (free_buffers_.empty()) {
      Complete(tag, -ENOBUFS);
      return false;
    }
    Finish(tag, static_cast<int32_t>(bytes.size()), more);
    completions_.push_back(WithBuffer(tag, bytes, more));
    return true;
  }
  // One that no rule allows: of a former life of the slot.
  void CompleteStale(ring::Tag tag, int32_t result, bool more, std::string_view bytes = {}) {
    if (result > 0 && tag.operation == ring::Operation::kReceive) {
      ring::Completion completion = WithBuffer(tag, bytes, more);
      completions_.push_back(completion);
    } else {
      completions_.push_back({.tag = tag, .result = result, .more = more});
    }
  }
  // Cancels done, what they cancelled ended, closes done; then once more for what those have caused, `turn` in between.
  void Settle(const std::function<void()>& turn) {
    for (int round = 0; round < 20; ++round) {
      std::vector<Entry> entries;
      for (const auto& [key, entry] : in_flight_) {
        entries.push_back(entry);
      }
      for (const Entry& entry : entries) {
        if (entry.tag.operation == ring::Operation::kCancel) {
          const bool found = in_flight_.contains(Pack(entry.target));
          CompleteCancel(entry, found ? 0 : -ENOENT);
          if (found) {
            Complete(entry.target, -ECANCELED);
          }
        } else if (entry.tag.operation == ring::Operation::kClose) {
          Complete(entry.tag, 0);
        }
      }
      turn();
    }
  }

  const Entry* Find(ring::Operation operation, uint32_t slot) const {
    for (const auto& [key, entry] : in_flight_) {
      if (entry.tag.operation == operation && entry.tag.slot == slot) {
        return &entry;
      }
    }
    return nullptr;
  }
  bool InFlight(ring::Operation operation, uint32_t slot) const { return Find(operation, slot) != nullptr; }
  size_t in_flight() const { return in_flight_.size(); }
  const std::map<uint64_t, Entry>& entries() const { return in_flight_; }
  bool Holds(const Entry& entry) const { return in_flight_.contains(KeyOf(entry)); }
  size_t lent() const {
    size_t count = 0;
    for (const bool lent : lent_) {
      count += lent ? 1 : 0;
    }
    return count;
  }
  size_t free_buffers() const { return free_buffers_.size(); }
  // Takes all published buffers away, as traffic on other connections would, and gives them back.
  void HideBuffers() { hidden_.swap(free_buffers_); }
  void ShowBuffers() { hidden_.swap(free_buffers_); }

  std::function<void()> on_enter;
  bool silent = false;  // a kernel that can send in silence
  // What becomes of such a send: how many bytes are taken, or -errno. Without it all are.
  std::function<int32_t(const Entry&)> on_silent_send;
  bool overflows = false;                // what a silent send has to say finds no room in the CQ before the next enter
  bool enter_wanted = false;             // as if the kernel had flagged deferred work
  std::map<uint32_t, std::string> sent;  // by slot: the bytes the kernel took
  std::vector<int> installed;
  int install_result = 0;
  uint64_t enters = 0;
  uint64_t publishes = 0;
  uint64_t closes = 0;

 private:
  // The packed tag; for a cancel with its target's operation in the upper half of the operation byte, as a connection may
  // have several of them under way.
  static uint64_t KeyOf(const Entry& entry) {
    return Pack(entry.tag) | (uint64_t{static_cast<uint8_t>(entry.target.operation)} << 60);
  }

  // How many operations of the slot are in flight.
  size_t OfSlot(uint32_t slot, bool cancels = false) const {
    size_t count = 0;
    for (const auto& [key, entry] : in_flight_) {
      const ring::Operation operation = entry.tag.operation;
      const bool of_slot = operation != ring::Operation::kAccept && operation != ring::Operation::kWake &&
                           (cancels || operation != ring::Operation::kCancel);
      count += of_slot && entry.tag.slot == slot ? 1 : 0;
    }
    return count;
  }

  void QueueSend(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length, bool silently) {
    EXPECT_GT(length, 0u) << "an empty send";
    Queue({.tag = {ring::Operation::kSend, generation, slot},
           .bytes = bytes,
           .silent = silently,
           .copy = std::string(reinterpret_cast<const char*>(bytes), length)});
  }

  void HandOverSilently(const Entry& handed_over) {
    const Entry entry = handed_over;
    const int32_t size = static_cast<int32_t>(entry.copy.size());
    const int32_t result = on_silent_send ? on_silent_send(entry) : size;
    Finish(entry.tag, result, /*more=*/false);
    if (result != size) {
      (overflows ? overflow_ : completions_).push_back({.tag = entry.tag, .result = result});
    }
  }

  void Queue(Entry entry) {
    entry.publishes = publishes;
    entry.number = ++queued_;
    const bool is_new = in_flight_.emplace(KeyOf(entry), entry).second;
    EXPECT_TRUE(is_new) << "operation " << static_cast<int>(entry.tag.operation) << " is in flight twice, slot "
                        << entry.tag.slot;
    queue_.push_back(entry.tag);
  }

  void Finish(ring::Tag tag, int32_t result, bool more) {
    auto found = in_flight_.find(Pack(tag));
    for (uint64_t target = 1; tag.operation == ring::Operation::kCancel && found == in_flight_.end() && target < 8; ++target) {
      found = in_flight_.find(Pack(tag) | (target << 60));
    }
    ASSERT_TRUE(found != in_flight_.end()) << "the test completes what is not in flight: operation "
                                           << static_cast<int>(tag.operation) << ", slot " << tag.slot;
    const Entry& entry = found->second;
    if (tag.operation == ring::Operation::kSend) {
      EXPECT_EQ(0, std::memcmp(entry.bytes, entry.copy.data(), entry.copy.size())) << "bytes changed while in flight";
      if (result > 0) {
        sent[tag.slot].append(entry.copy, 0, static_cast<size_t>(result));
      }
    }
    if (!more) {
      in_flight_.erase(found);
    }
  }

  ring::Completion WithBuffer(ring::Tag tag, std::string_view bytes, bool more) {
    const uint16_t buffer = free_buffers_.front();
    free_buffers_.pop_front();
    lent_[buffer] = true;
    std::memcpy(memory_[buffer].data(), bytes.data(), bytes.size());
    return {.tag = tag, .result = static_cast<int32_t>(bytes.size()), .more = more, .has_buffer = true, .buffer = buffer};
  }

  std::vector<ring::Tag> queue_;
  std::map<uint64_t, Entry> in_flight_;  // by KeyOf
  std::deque<ring::Completion> completions_;
  std::deque<ring::Completion> overflow_;
  std::array<std::array<std::byte, kBufferBytes>, kBuffers> memory_ = {};
  std::array<bool, kBuffers> lent_ = {};
  std::deque<uint16_t> free_buffers_;
  uint64_t queued_ = 0;
  std::deque<uint16_t> hidden_;
  std::vector<uint16_t> recycled_;
};

}  // namespace hongbao::net
