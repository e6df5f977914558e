// Overload control: which shakes are answered "overloaded" before anything is done for them.
//
// Two rules, each may be off. RateLimit: a fixed number of shakes a second for the whole process. DelayControl: when
// requests wait too long for their worker, admit fewer users, after DAGOR (Zhou et al., SoCC 2018): the signal is the
// average queueing wait over a window, the step down is 5 %, the step up 1 %, and the users who wait outside are chosen
// by a hash that changes every hour, so that they are not always the same. Never knows frames or sessions; time is
// handed in. Thread tag: RateLimit thread-safe; RateLease, DelayControl and Overload worker-local.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "libhongbao/time/clock.h"

namespace hongbao::serve {

// A token bucket that all workers share. Tokens leave it in chunks, so the shared line is written once per chunk and a
// refusal only reads it. Tokens are numbered by elapsed time (token k exists from k/rate on) rather than counted per
// calendar second: there is no edge at which two full windows meet (the prototype's defect 21).
// In any span of t seconds at most rate * t + burst + workers * chunk requests are admitted.
class RateLimit {
 public:
  // `per_second`: 0 = no limit. A pause lets at most `burst_ms` worth of tokens pile up.
  explicit RateLimit(int64_t per_second, int64_t burst_ms = 100)
      : per_second_(per_second), burst_(std::max<int64_t>(1, per_second * burst_ms / 1000)) {}

  bool unlimited() const { return per_second_ == 0; }
  // Large enough that the shared line is touched ~1,000 times a second, small enough to not starve another worker.
  int64_t chunk() const { return std::clamp<int64_t>(per_second_ / 1000, 1, 256); }

  // Takes `tokens` if they exist at `now_ns` (monotonic, any origin >= 0). Else returns false and the time from which
  // it is worth to ask again.
  bool TryAcquire(int64_t tokens, int64_t now_ns, int64_t* retry_ns);

 private:
  const int64_t per_second_;
  const int64_t burst_;
  alignas(64) std::atomic<int64_t> taken_{0};  // number of the next token to leave; jumps ahead over tokens that expired
};

// What one worker holds of the RateLimit.
class RateLease {
 public:
  explicit RateLease(RateLimit* limit) : limit_(limit) {}

  bool TryAcquire(int64_t now_ns) {
    if (left_ > 0) [[likely]] {
      --left_;
      return true;
    }
    return AcquireChunk(now_ns);
  }

 private:
  bool AcquireChunk(int64_t now_ns);

  RateLimit* limit_;
  int64_t left_ = 0;
  int64_t retry_ns_ = 0;  // before this time the answer is known to be no
};

struct DelayOptions {
  int64_t wait_max_us = 20'000;      // average wait above which fewer are admitted; 0 = control is off
  int64_t window_ms = 1'000;         // a window ends after this time
  uint32_t window_requests = 2'000;  // or after this many requests
  uint32_t requests_min = 100;       // fewer in a window say nothing: refusing some of them would relieve nobody
};

class DelayControl {
 public:
  static constexpr uint32_t kAll = 1U << 16;  // the admitted share of users, in units of 2^-16
  // Never below 80 %. A refusal costs the server what a losing answer costs, one receive and one send, so it frees nothing
  // by itself: it asks clients to back off. Against clients that do not, refusing more only lowers what is served (measured
  // with an open-loop load beyond capacity and a least share of 5 %: answers given fell to 5 % of what the machine could do).
  static constexpr uint32_t kLeast = kAll / 5 * 4;

  explicit DelayControl(const DelayOptions& options) : options_(options) {}

  // Once at the start of a turn. `wait_ns`: how long the requests of this turn may have waited for it; `wall_hour`:
  // unix time in hours.
  void BeginTurn(int64_t now_ns, int64_t wait_ns, int64_t wall_hour) {
    wait_ns_ = wait_ns;
    wall_hour_ = static_cast<uint64_t>(wall_hour);
    if (requests_ >= options_.window_requests || now_ns - window_start_ns_ >= options_.window_ms * time::kNsPerMs) {
      CloseWindow(now_ns);
    }
  }

  // Once per request, admitted or not.
  bool Admit(uint32_t user) {
    ++requests_;
    waited_ns_ += wait_ns_;
    return admitted_ == kAll || Hash(user) < admitted_;
  }

  // The same for `count` requests at once. False: not all are admitted, and none was counted; ask for each.
  bool AdmitAll(uint32_t count) {
    if (admitted_ != kAll) {
      return false;
    }
    requests_ += count;
    waited_ns_ += wait_ns_ * int64_t{count};
    return true;
  }

  uint32_t admitted() const { return admitted_; }

 private:
  // Uniform over 0..kAll-1, another order of users in every hour (the finalizer of splitmix64).
  uint32_t Hash(uint32_t user) const {
    uint64_t x = (wall_hour_ << 32 | user) + 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return static_cast<uint32_t>((x ^ (x >> 31)) & (kAll - 1));
  }
  void CloseWindow(int64_t now_ns);

  DelayOptions options_;
  uint32_t admitted_ = kAll;
  uint32_t requests_ = 0;
  int64_t waited_ns_ = 0;
  int64_t wait_ns_ = 0;
  int64_t window_start_ns_ = 0;
  uint64_t wall_hour_ = 0;
};

// Both rules as one worker asks them.
class Overload {
 public:
  Overload(RateLimit* limit, const DelayOptions& delay)
      : limited_(!limit->unlimited()), controlled_(delay.wait_max_us > 0), lease_(limit), delay_(delay) {}

  void BeginTurn(int64_t now_ns, int64_t wait_ns, int64_t wall_hour) {
    now_ns_ = now_ns;
    delay_.BeginTurn(now_ns, wait_ns, wall_hour);
  }

  // False: answer "overloaded" and change nothing.
  bool Admit(uint32_t user) {
    if (controlled_ && !delay_.Admit(user)) {
      return false;
    }
    return !limited_ || lease_.TryAcquire(now_ns_);
  }

  // A request that has no answer "overloaded": its wait counts, and it is let in.
  void Count(uint32_t user) {
    if (controlled_) {
      delay_.Admit(user);
    }
  }

  // True: `count` requests are admitted. False: nothing was decided, ask for each.
  bool AdmitAll(uint32_t count) { return !limited_ && (!controlled_ || delay_.AdmitAll(count)); }

  const DelayControl& delay() const { return delay_; }

 private:
  bool limited_;
  bool controlled_;
  int64_t now_ns_ = 0;
  RateLease lease_;
  DelayControl delay_;
};

}  // namespace hongbao::serve
