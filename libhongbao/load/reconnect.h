// Reconnect: which members of a fleet may connect, and when: a queue, a rate limit and a wheel of those that wait.
//
// It owns the order of connecting; the links live in the members' records. It never opens a socket. A million users may
// lose their connection in one second: each costs O(1) here, waits a random part of an exponential back-off, and then
// still queues for the same rate limit as the first ramp, so that no storm hits a server that has just come back.
// Source of the back-off: "full jitter" (Exponential Backoff And Jitter, AWS architecture blog), with half of it fixed.
// Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "libhongbao/load/member.h"

namespace hongbao::load {

// Members linked through Member::next, first in first out. `members`: the array that the numbers are indexes of.
class MemberQueue {
 public:
  bool empty() const { return first_ == kNoMember; }
  uint32_t front() const { return first_; }  // kNoMember when it is empty

  template <class MemberT>
  void Push(MemberT* members, uint32_t index) {
    members[index].next = kNoMember;
    (first_ == kNoMember ? first_ : members[last_].next) = index;
    last_ = index;
  }
  // The queue must not be empty.
  template <class MemberT>
  uint32_t Pop(MemberT* members) {
    const uint32_t index = first_;
    first_ = members[index].next;
    return index;
  }

 private:
  uint32_t first_ = kNoMember;
  uint32_t last_ = kNoMember;
};

// At most `per_second` in any second, in bursts of at most 10 ms' worth (but at least one).
class RateLimit {
 public:
  explicit RateLimit(uint32_t per_second)
      : interval_ns_(1'000'000'000 / std::max<int64_t>(per_second, 1)), burst_ns_(std::max<int64_t>(10'000'000, interval_ns_)) {}

  bool TryTake(int64_t now_ns) {
    next_ns_ = std::max(next_ns_, now_ns - burst_ns_);
    if (next_ns_ > now_ns) return false;
    next_ns_ += interval_ns_;
    return true;
  }
  // When the next one may go; in the past when one may go now.
  int64_t next_ns() const { return next_ns_; }

 private:
  int64_t interval_ns_;
  int64_t burst_ns_;
  int64_t next_ns_ = 0;
};

inline constexpr int64_t kBackOffFirstNs = 100'000'000;  // 0.1 s, doubled with each failure in a row
// 2 s: a client that waits for a server's restart shall be back soon after it; the rate limit tames the storm.
inline constexpr int64_t kBackOffMaxNs = 2'000'000'000;

// How long to wait after `failures` (>= 1) in a row: between half and all of the exponential bound. `random`: any 64
// bits.
inline int64_t BackOffNs(uint32_t failures, uint64_t random) {
  const uint32_t doublings = std::min<uint32_t>(failures > 0 ? failures - 1 : 0, 7);
  const int64_t bound = std::min(kBackOffFirstNs << doublings, kBackOffMaxNs);
  return bound / 2 + static_cast<int64_t>(random % static_cast<uint64_t>(bound / 2));
}

class ReconnectWheel {
 public:
  static constexpr int64_t kTickNs = 16'000'000;
  static constexpr size_t kBuckets = 256;  // 4.1 s: more than kBackOffMaxNs
  static_assert(kTickNs * (int64_t{kBuckets} - 2) > kBackOffMaxNs);

  explicit ReconnectWheel(int64_t now_ns) : tick_(now_ns / kTickNs) {}

  uint32_t waiting() const { return waiting_; }

  template <class MemberT>
  void Add(MemberT* members, uint32_t index, int64_t ready_ns) {
    const int64_t tick = std::clamp(ready_ns / kTickNs + 1, tick_ + 1, tick_ + int64_t{kBuckets} - 1);
    buckets_[static_cast<size_t>(tick) % kBuckets].Push(members, index);
    ++waiting_;
  }

  // Moves all whose time has come behind `ready`, and calls each(index) for every one (to set its state).
  template <class MemberT, class Each>
  void Advance(MemberT* members, int64_t now_ns, MemberQueue& ready, Each each) {
    const int64_t now_tick = now_ns / kTickNs;
    if (waiting_ == 0) {
      tick_ = std::max(tick_, now_tick);
      return;
    }
    while (tick_ < now_tick) {
      ++tick_;
      MemberQueue& bucket = buckets_[static_cast<size_t>(tick_) % kBuckets];
      while (!bucket.empty()) {
        const uint32_t index = bucket.Pop(members);
        --waiting_;
        each(index);
        ready.Push(members, index);
      }
    }
  }

 private:
  int64_t tick_;
  uint32_t waiting_ = 0;
  std::array<MemberQueue, kBuckets> buckets_;
};

}  // namespace hongbao::load
