// Wall steps: what a program knows of its wall clock being set: by an operator, by NTP after a wrong start, or because the
// machine was suspended.
//
// A step = the wall clock moved against the monotonic one by more than a tolerance. Slewing is none (at most 1,000 ppm of
// the time that has passed is taken up silently), and neither is a thread that the machine held up between two readings.
// Whoever notices a step first writes it down; all others learn of it with their next look. Owns the account of the steps.
// Never sets a clock, never prints.
// Thread tag: WallSteps thread-safe, SteadyWall worker-local.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "libhongbao/time/clock.h"

namespace hongbao::time {

class SteadyWall;

// Below what NTP daemons step by (128 ms); above what a reading can be wrong by.
inline constexpr int64_t kStepToleranceNs = 100 * kNsPerMs;

// All steps of a program's life. In ns; < 0: the clock went back.
struct StepCount {
  uint64_t count = 0;
  int64_t last_ns = 0;
  int64_t sum_ns = 0;
  friend bool operator==(const StepCount&, const StepCount&) = default;
};

// One look at the clocks.
struct Moment {
  int64_t monotonic_ns = 0;
  // The agreed time: what other machines call now. For stamps, and for everything that has not begun yet.
  int64_t wall_ns = 0;
  // The wall time without the whole seconds of all steps: each second of it comes once, and begins when a second of the
  // wall clock begins. For what counts by the second. At a step it moves by half a second at most; what must not move at
  // all goes by the monotonic clock.
  int64_t steady_ns = 0;
  uint64_t steps = 0;  // so far
};

class WallSteps {
 public:
  // `clock` must outlive it.
  explicit WallSteps(const Clock& clock);
  ~WallSteps();
  WallSteps(const WallSteps&) = delete;
  WallSteps& operator=(const WallSteps&) = delete;

  StepCount Count() const;
  // For a thread that looks once in a while; one that looks in each turn has a SteadyWall.
  Moment Now();
  // The unix second that the wall clock showed in that second of the steady time. After a step back two seconds have one
  // label. Known for the last 128 changes of what is between the two.
  int64_t LabelOf(int64_t steady_second) const;

 private:
  friend class SteadyWall;
  struct State {
    uint64_t steps = 0;
    int64_t offset_ns = 0;  // wall - monotonic
    int64_t shift_s = 0;    // wall - steady
  };
  struct Label {
    int64_t from_second{};  // steady
    int64_t shift_s{};
  };
  static constexpr size_t kLabelsMax = 128;

  // What is true now, for a reader that knew `known` and found more than the tolerance between it and the clocks.
  State Check(const State& known);
  void Write(int64_t step_ns, int64_t offset_ns, int64_t wall_ns);

  const Clock& clock_;
  std::atomic<uint64_t> steps_{0};
  std::atomic<int64_t> offset_ns_{0};  // wall - monotonic as some thread last followed it
  mutable std::mutex mutex_;           // once in a step, never in a turn
  State state_;
  StepCount count_;
  std::vector<Label> labels_;  // ascending, kLabelsMax at most
  std::mutex now_mutex_;       // before mutex_
  std::unique_ptr<SteadyWall> now_;
};

// One thread's view. Look costs a reading of the wall clock, which a turn makes anyway, and one load of a quiet line.
class SteadyWall {
 public:
  explicit SteadyWall(WallSteps& steps) : shared_(steps) { state_ = shared_.Check(state_); }

  // `monotonic_ns`: as read at the start of this turn.
  Moment Look(int64_t monotonic_ns) {
    const int64_t wall_ns = shared_.clock_.WallNs();
    const int64_t moved_ns = wall_ns - monotonic_ns - state_.offset_ns;
    // Relaxed: a step that is not seen yet is seen by what it did to the clock, and then the lock orders everything.
    if (state_.steps == shared_.steps_.load(std::memory_order_relaxed) && moved_ns <= kStepToleranceNs &&
        moved_ns >= -kStepToleranceNs) [[likely]] {
      TakeUpSlew(monotonic_ns, moved_ns);
      return {monotonic_ns, wall_ns, wall_ns - state_.shift_s * kNsPerSecond, state_.steps};
    }
    return LookAgain();
  }
  Moment Look() { return Look(MonotonicNs()); }
  int64_t MonotonicNs() const { return shared_.clock_.MonotonicNs(); }

 private:
  static constexpr int64_t kSlewParts = 1'000;  // of time passed: 1,000 ppm, twice what the kernel slews

  void TakeUpSlew(int64_t monotonic_ns, int64_t moved_ns);
  Moment LookAgain();

  WallSteps& shared_;
  WallSteps::State state_;
  int64_t slewed_ns_ = 0;  // monotonic: when slewing was last taken up
};

}  // namespace hongbao::time
