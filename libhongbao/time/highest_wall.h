// Highest wall: what the wall clock would show now if it had never been set back.
//
// For judging times that others have taken from their clocks: a peer whose clock is right is not to be refused because ours went
// back, and a time that was taken in good faith before such a step stays one of the past.
// Owns one number: by how much the wall clock was ahead of the monotonic one at most. Never sets a clock.
// Thread tag: thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

#include "libhongbao/time/wall_steps.h"

namespace hongbao::time {

class HighestWall {
 public:
  // What an earlier life has seen: wall less monotonic time is at least `offset_ns`.
  void Raise(int64_t offset_ns) {
    // Relaxed: the number stands for itself, and only grows.
    int64_t highest_ns = offset_ns_.load(std::memory_order_relaxed);
    while (offset_ns > highest_ns && !offset_ns_.compare_exchange_weak(highest_ns, offset_ns, std::memory_order_relaxed)) {
    }
  }

  // Unix time in ns, to the millisecond: never less than what any thread has been told at this monotonic time or before.
  int64_t Look(const Moment& now) {
    const int64_t offset_ns = now.wall_ns - now.monotonic_ns;
    // A clock that is slewed forward moves all the time: for less than this no worker writes a line that all read.
    if (offset_ns > offset_ns_.load(std::memory_order_relaxed) + kNsPerMs) {
      Raise(offset_ns);
    }
    return now.monotonic_ns + offset_ns_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<int64_t> offset_ns_{0};
};

}  // namespace hongbao::time
