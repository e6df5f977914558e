// MintSchedule: when each envelope of one run is due. A pure function of a clock and of what was issued so far; the minter's is
// the steady time.
//
// Envelope k of a run is due at start + (k + 0.5) / rate: evenly spaced, and a whole second holds exactly `rate` of
// them. After a pause (a stalled thread, a stepped clock) at most two seconds' worth are due at once; the rest of the
// run moves back as a whole, so a stall can't become a spike (the prototype at 60k: 1.8k, then 71k), and nothing is
// left out. Owns no envelope; never sleeps. Thread tag: thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>

#include "libhongbao/time/clock.h"

namespace hongbao::serve {

class MintSchedule {
 public:
  static constexpr int64_t kCatchUpSeconds = 2;

  // `start_ns`: of the caller's clock; `rate` envelopes per second, 1..10^9; `count` in all, >= 0.
  MintSchedule(int64_t start_ns, int64_t rate, int64_t count) : start_ns_(start_ns), rate_(rate), count_(count) {}

  // Before it has begun: begins then.
  void StartAt(int64_t start_ns) { start_ns_ = start_ns; }

  // What was issued was due by `now_ns`, whatever the clock says of it: so it goes on from there.
  void GoOnFrom(int64_t now_ns) {
    if (Reached(now_ns) < issued_) {
      start_ns_ = now_ns - static_cast<int64_t>(Wide{issued_} * time::kNsPerSecond / rate_);
    }
  }

  // How many to issue at `now_ns`. Moves the run back when that is more than the catch-up bound.
  int64_t Due(int64_t now_ns) {
    const int64_t bound = kCatchUpSeconds * rate_;
    const int64_t behind = Reached(now_ns) - issued_;
    if (behind > bound) {
      start_ns_ += static_cast<int64_t>((Wide{behind - bound} * time::kNsPerSecond + rate_ - 1) / rate_);
    }
    return std::max<int64_t>(0, std::min(Reached(now_ns), count_) - issued_);
  }

  // So many of those that were due have left.
  void CountIssued(int64_t envelopes) { issued_ += envelopes; }

  // When the next one is due. Meaningless when done().
  int64_t NextNs() const {
    return start_ns_ + static_cast<int64_t>(((Wide{issued_} * 2 + 1) * time::kNsPerSecond + 2 * rate_ - 1) / (2 * rate_));
  }

  int64_t issued() const { return issued_; }
  int64_t left() const { return count_ - issued_; }
  bool done() const { return issued_ == count_; }

 private:
  __extension__ using Wide = __int128;  // elapsed ns times rate needs more than 64 bits

  // Envelopes due by then if the run had no end.
  int64_t Reached(int64_t now_ns) const {
    if (now_ns <= start_ns_) {
      return 0;
    }
    return static_cast<int64_t>((Wide{now_ns - start_ns_} * rate_ * 2 + time::kNsPerSecond) / (2 * time::kNsPerSecond));
  }

  int64_t start_ns_;
  int64_t rate_;
  int64_t count_;
  int64_t issued_ = 0;
};

}  // namespace hongbao::serve
