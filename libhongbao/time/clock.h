// Clock: the one way this project learns what time it is, so that tests can decide it.
//
// Two clocks behind one interface: the monotonic one for elapsed time and deadlines, the wall clock (unix time) for
// stamps and the schedule, because only the wall clock means the same on two machines. The one virtual class of the
// project: callers read it once per turn, not per message.
// Never sleeps and never waits. Source of the idea: absl/time's advice to inject a clock, TigerBeetle's time.zig.
// Thread tag: thread-safe (both implementations).
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

#include "libhongbao/cpp20.h"

namespace hongbao::time {

inline constexpr int64_t kNsPerSecond = 1'000'000'000;
inline constexpr int64_t kNsPerMs = 1'000'000;
inline constexpr int64_t kNsPerUs = 1'000;

// The unix second that `wall_ns` (>= 0) lies in.
constexpr int64_t UnixSecond(int64_t wall_ns) { return wall_ns / kNsPerSecond; }

class Clock {
 public:
  virtual ~Clock() = default;

  // Nanoseconds since some fixed moment; never goes back, never jumps.
  virtual int64_t MonotonicNs() const = 0;
  // Nanoseconds since 1970-01-01 UTC; may be stepped by an operator or slewed by NTP.
  virtual int64_t WallNs() const = 0;

 protected:
  Clock() = default;
  Clock(const Clock&) = default;
  Clock& operator=(const Clock&) = default;
};

// The kernel's clocks; a vDSO call each (20-40 ns), no system call.
class RealClock final : public Clock {
 public:
  int64_t MonotonicNs() const override { return Read(CLOCK_MONOTONIC); }
  int64_t WallNs() const override { return Read(CLOCK_REALTIME); }

 private:
  static int64_t Read(clockid_t id) {
    timespec now{};
    clock_gettime(id, &now);  // cannot fail for these two ids
    return int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
  }
};

// Time stands still until the test moves it. The wall clock can be stepped by itself, as NTP or an operator would.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(int64_t wall_ns = 1'424'183'400 * kNsPerSecond, int64_t monotonic_ns = kNsPerSecond)
      : monotonic_ns_(monotonic_ns), wall_ns_(wall_ns) {}

  // Relaxed throughout: each reading stands for itself; tests that hand data over do so by other means.
  int64_t MonotonicNs() const override { return monotonic_ns_.load(std::memory_order_relaxed); }
  int64_t WallNs() const override { return wall_ns_.load(std::memory_order_relaxed); }

  // Time passes (both clocks). `ns` >= 0.
  void Advance(int64_t ns) {
    monotonic_ns_.fetch_add(ns, std::memory_order_relaxed);
    wall_ns_.fetch_add(ns, std::memory_order_relaxed);
  }
  // Only the wall clock moves, forward or back: a clock step.
  void StepWall(int64_t ns) { wall_ns_.fetch_add(ns, std::memory_order_relaxed); }
  void SetWall(int64_t unix_ns) { wall_ns_.store(unix_ns, std::memory_order_relaxed); }
  void SetMonotonic(int64_t ns) { monotonic_ns_.store(ns, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> monotonic_ns_;
  std::atomic<int64_t> wall_ns_;
};

}  // namespace hongbao::time
