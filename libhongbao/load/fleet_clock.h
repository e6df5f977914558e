// FleetClock: the three clocks of a worker's turn, and what becomes of a request's due time when the wall clock is set.
//
// Steady time: the schedule, rows, due times. Agreed time (the wall clock): stamps. Monotonic: what is measured. Owns where the
// three stand to each other now, and where they stood before the last step: of requests that were sent before it.
// Thread tag: worker-local.
#pragma once

#include <cstdint>
#include <limits>

#include "libhongbao/time/wall_steps.h"

namespace hongbao::load {

class FleetClock {
 public:
  explicit FleetClock(time::WallSteps& wall) : wall_(wall), now_(wall_.Look()) { before_offset_ns_ = OffsetNs(); }

  // A turn begins. True: the wall clock has been set since the one before.
  bool Turn(int64_t now_ns) {
    const int64_t offset_ns = OffsetNs();
    const int64_t shift_s = this->shift_s();
    const uint64_t steps = now_.steps;
    now_ = wall_.Look(now_ns);
    if (steps == now_.steps) [[likely]] {
      return false;
    }
    before_offset_ns_ = offset_ns;
    before_shift_s_ = shift_s;
    stepped_ns_ = now_ns;
    return true;
  }

  int64_t monotonic_ns() const { return now_.monotonic_ns; }
  int64_t steady_ns() const { return now_.steady_ns; }
  int64_t wall_ns() const { return now_.wall_ns; }
  uint64_t steps() const { return now_.steps; }
  int64_t shift_s() const { return (now_.wall_ns - now_.steady_ns) / time::kNsPerSecond; }

  int64_t Agreed(int64_t steady_ns) const { return steady_ns + (now_.wall_ns - now_.steady_ns); }
  int64_t Monotonic(int64_t steady_ns) const { return steady_ns - OffsetNs(); }
  // At a later moment of the same turn.
  int64_t SteadyAt(int64_t monotonic_ns) const { return monotonic_ns + OffsetNs(); }
  int64_t WallAt(int64_t monotonic_ns) const { return Agreed(SteadyAt(monotonic_ns)); }
  // Of a request: whether it was sent before the last step, by when it was sent (monotonic).
  bool BeforeStep(int64_t sent_ns) const { return sent_ns < stepped_ns_; }
  // When it was due, by what was true when it was sent.
  int64_t DueMonotonic(int64_t due_steady_ns, bool before_step) const {
    return due_steady_ns - (before_step ? before_offset_ns_ : OffsetNs());
  }
  int64_t DueSteady(int64_t due_agreed_ns, bool before_step) const {
    return due_agreed_ns - (before_step ? before_shift_s_ : shift_s()) * time::kNsPerSecond;
  }

  int64_t MonotonicNs() const { return wall_.MonotonicNs(); }  // now

 private:
  int64_t OffsetNs() const { return now_.steady_ns - now_.monotonic_ns; }

  time::SteadyWall wall_;
  time::Moment now_;
  int64_t before_offset_ns_ = 0;                              // steady - monotonic, before the last step
  int64_t before_shift_s_ = 0;                                // agreed - steady, before the last step
  int64_t stepped_ns_ = std::numeric_limits<int64_t>::min();  // monotonic: the turn that saw the last step
};

}  // namespace hongbao::load
