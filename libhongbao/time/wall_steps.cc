#include "libhongbao/time/wall_steps.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace hongbao::time {
namespace {

struct Reading {
  int64_t offset_ns = 0;  // wall - monotonic, in the middle of what is possible
  int64_t wall_ns = 0;
  int64_t within_ns = std::numeric_limits<int64_t>::max();  // the offset is this far off at most
};

// The wall clock between two looks at the monotonic one: what a thread was held up by in between is known.
Reading ReadBoth(const Clock& clock) {
  constexpr int kTries = 8;
  constexpr int64_t kGoodNs = 100'000;
  Reading best;
  for (int i = 0; i < kTries && best.within_ns > kGoodNs; ++i) {
    const int64_t before_ns = clock.MonotonicNs();
    const int64_t wall_ns = clock.WallNs();
    const int64_t after_ns = clock.MonotonicNs();
    const int64_t within_ns = (after_ns - before_ns + 1) / 2;
    if (within_ns < best.within_ns) {
      best = {wall_ns - (before_ns + (after_ns - before_ns) / 2), wall_ns, within_ns};
    }
  }
  return best;
}

// The whole second nearest to it.
int64_t Rounded(int64_t ns) { return (ns + (ns < 0 ? -kNsPerSecond : kNsPerSecond) / 2) / kNsPerSecond; }

}  // namespace

WallSteps::WallSteps(const Clock& clock) : clock_(clock) {
  state_.offset_ns = ReadBoth(clock).offset_ns;
  offset_ns_.store(state_.offset_ns, std::memory_order_relaxed);
  now_ = std::make_unique<SteadyWall>(*this);
}

WallSteps::~WallSteps() = default;

StepCount WallSteps::Count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return count_;
}

Moment WallSteps::Now() {
  const std::lock_guard<std::mutex> lock(now_mutex_);
  return now_->Look();
}

int64_t WallSteps::LabelOf(int64_t steady_second) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  int64_t shift_s = labels_.size() < kLabelsMax ? 0 : labels_.front().shift_s;
  for (const Label& label : labels_) {
    if (label.from_second <= steady_second) {
      shift_s = label.shift_s;
    }
  }
  return steady_second + shift_s;
}

WallSteps::State WallSteps::Check(const State& known) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Reading now = ReadBoth(clock_);
  // Slewing since the last step is known to the reader, if it looks often, or to another thread that does: the nearer counts.
  int64_t expected_ns = known.steps == state_.steps ? known.offset_ns : state_.offset_ns;
  // Relaxed: a number for itself, right within the tolerance or of no use.
  const int64_t followed_ns = offset_ns_.load(std::memory_order_relaxed);
  if (std::abs(now.offset_ns - followed_ns) < std::abs(now.offset_ns - expected_ns)) {
    expected_ns = followed_ns;
  }
  const int64_t moved_ns = now.offset_ns - expected_ns;
  if (std::abs(moved_ns) > kStepToleranceNs + now.within_ns) {
    Write(moved_ns, now.offset_ns, now.wall_ns);
  } else {
    state_.offset_ns = expected_ns;
  }
  return state_;
}

void WallSteps::Write(int64_t step_ns, int64_t offset_ns, int64_t wall_ns) {
  ++count_.count;
  count_.last_ns = step_ns;
  count_.sum_ns += step_ns;
  state_ = {.steps = count_.count, .offset_ns = offset_ns, .shift_s = Rounded(count_.sum_ns)};
  // The second under way keeps the label that it began with.
  const int64_t from_second = UnixSecond(wall_ns - state_.shift_s * kNsPerSecond) + 1;
  std::erase_if(labels_, [from_second](const Label& label) { return label.from_second >= from_second; });
  if (labels_.size() == kLabelsMax) {
    labels_.erase(labels_.begin());
  }
  labels_.push_back({from_second, state_.shift_s});
  offset_ns_.store(offset_ns, std::memory_order_relaxed);
  steps_.store(count_.count, std::memory_order_relaxed);  // a hint to look: the lock orders the rest
}

void SteadyWall::TakeUpSlew(int64_t monotonic_ns, int64_t moved_ns) {
  const int64_t passed_ns = monotonic_ns - slewed_ns_;
  if (passed_ns < kNsPerSecond) [[likely]] {
    return;
  }
  const int64_t most_ns = slewed_ns_ == 0 ? 0 : passed_ns / kSlewParts;
  state_.offset_ns += std::clamp(moved_ns, -most_ns, most_ns);
  shared_.offset_ns_.store(state_.offset_ns, std::memory_order_relaxed);
  slewed_ns_ = monotonic_ns;
}

Moment SteadyWall::LookAgain() {
  // More than once only if the clock is set again, or the thread held up, between the look inside the lock and the one here.
  for (int tries = 3;; --tries) {
    state_ = shared_.Check(state_);
    const int64_t monotonic_ns = shared_.clock_.MonotonicNs();
    int64_t wall_ns = shared_.clock_.WallNs();
    const bool agrees = std::abs(wall_ns - monotonic_ns - state_.offset_ns) <= kStepToleranceNs;
    if (agrees || tries == 1) {
      wall_ns = agrees ? wall_ns : monotonic_ns + state_.offset_ns;  // what goes with state_.shift_s
      slewed_ns_ = monotonic_ns;
      return {monotonic_ns, wall_ns, wall_ns - state_.shift_s * kNsPerSecond, state_.steps};
    }
  }
}

}  // namespace hongbao::time
