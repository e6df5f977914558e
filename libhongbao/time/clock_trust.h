// ClockTrust: whether money may move by the wall clock: not before somebody has confirmed it.
//
// A clock is confirmed when it goes on from what was seen last (the ledger's file, then this life: within `settle` of it), when
// the kernel says that a time daemon keeps it, or when nobody has set it for `settle`. A step by more than that makes it
// unconfirmed again. A clock that says it is before 2020 is dead, and confirmed by nobody but the kernel.
// Owns what was seen last. Never sets a clock, never waits.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>

#include "libhongbao/time/wall_steps.h"

namespace hongbao::time {

// 2020-01-01: older than any file this could be about.
inline constexpr int64_t kDeadClockMs = 1'577'836'800'000;

class ClockTrust {
 public:
  // What the kernel says; a function, so that tests can.
  using Kept = bool (*)();
  static bool KeptByKernel();

  // `settle_ns` 0: any clock is good. `seen_ms`: unix time that the last life confirmed; 0 = there was none, and nothing to
  // move.
  ClockTrust(int64_t settle_ns, int64_t seen_ms, const Moment& now, Kept kept = KeptByKernel);

  bool confirmed() const { return confirmed_; }
  // How far the clock was from what had been seen last, at the start. In ns; > 0: ahead.
  int64_t started_off_ns() const { return started_off_ns_; }

  // To be called once in a while. True when the answer has changed.
  bool Look(const Moment& now);

 private:
  bool Judge(const Moment& now) const;

  const int64_t settle_ns_;
  const Kept kept_;
  bool confirmed_ = false;
  int64_t offset_ns_ = 0;  // wall - monotonic, as it was last confirmed
  int64_t started_off_ns_ = 0;
  uint64_t steps_ = 0;
  int64_t since_ns_ = 0;  // monotonic: the clock has not been set since
};

}  // namespace hongbao::time
