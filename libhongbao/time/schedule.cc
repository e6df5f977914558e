#include "libhongbao/time/schedule.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace hongbao::time {
namespace {

absl::Status CheckSegments(absl::Span<const Segment> segments) {
  int64_t before = -1;
  for (const Segment& segment : segments) {
    if (segment.qps > kQpsMax) {
      return absl::InvalidArgumentError(absl::StrCat("qps ", segment.qps, " is above ", kQpsMax));
    }
    if (segment.at_second < 0 || segment.at_second > kSecondMax) {
      return absl::InvalidArgumentError(absl::StrCat("second ", segment.at_second, " is not within 0..", kSecondMax));
    }
    if (segment.at_second <= before) {
      return absl::InvalidArgumentError(absl::StrCat("second ", segment.at_second, " does not come after ", before));
    }
    before = segment.at_second;
  }
  return segments.empty() ? absl::InvalidArgumentError("a phase has at least one segment") : absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint32_t> Schedule::AddPhase(absl::Span<const Segment> segments, uint32_t with) {
  if (absl::Status status = CheckSegments(segments); !status.ok()) {
    return status;
  }
  const std::lock_guard<std::mutex> lock(adding_);
  if (phases_ == kPhasesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the rate has been changed ", kPhasesMax, " times; restart to change it again"));
  }
  // Relaxed: only writers change it, and they hold the lock.
  const uint32_t first = size_.load(std::memory_order_relaxed);
  if (segments.size() > kSegmentsMax - first) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no room for ", segments.size(), " more changes of the rate beside ", first));
  }
  const uint32_t end = first + static_cast<uint32_t>(segments.size());
  for (uint32_t index = first; index < end; ++index) {
    std::unique_ptr<Chunk>& chunk = chunks_[index / kChunk];
    if (chunk == nullptr) {
      chunk = std::make_unique<Chunk>();
    }
    (*chunk)[index % kChunk] = {segments[index - first], phases_, end};
  }
  first_of_[phases_] = first;
  with_[phases_] = with == kNone ? phases_ : with;
  ++phases_;
  size_.store(end, std::memory_order_release);  // publishes the segments and the chunks written above
  version_.fetch_add(1, std::memory_order_release);
  return first;
}

int64_t Schedule::BeginOf(uint32_t phase) const { return segment(first_of_[phase]).at_second; }

void Schedule::FollowWall(uint64_t steps, int64_t shift_s, int64_t steady_s) {
  const std::lock_guard<std::mutex> lock(adding_);
  if (steps <= followed_steps_) {
    return;
  }
  const int64_t by_s = followed_shift_s_ - shift_s;  // ahead: what is planned is nearer
  followed_steps_ = steps;
  followed_shift_s_ = shift_s;
  std::array<int64_t, kPhasesMax> move_s{};
  for (uint32_t phase = 0; phase < phases_; ++phase) {
    if (with_[phase] == kFixed) {
      continue;
    }
    if (with_[phase] != phase) {
      move_s[phase] = move_s[with_[phase]];
    } else if (BeginOf(phase) > steady_s) {
      const uint32_t first = first_of_[phase];
      const bool single = PlannedAt(first).phase_end == first + 1;
      move_s[phase] = single ? std::max(by_s, steady_s + 1 - BeginOf(phase)) : by_s;
    }
  }
  for (uint32_t phase = 0; phase < phases_; ++phase) {
    moved_s_[phase].store(MovedBy(phase) + move_s[phase], std::memory_order_relaxed);
  }
  moves_.fetch_add(1, std::memory_order_release);  // after the moves
  version_.fetch_add(1, std::memory_order_release);
}

uint32_t Schedule::IndexAt(int64_t wall_ns) const {
  const int64_t second = UnixSecond(wall_ns);
  uint32_t best = kNone;
  const uint32_t count = wall_ns < 0 ? 0 : size();
  for (uint32_t first = 0; first < count;) {
    const uint32_t end = PlannedAt(first).phase_end;
    uint32_t low = first, high = end;  // low: how many of the phase have begun, from `first`
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (segment(middle).at_second <= second) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    // >=: of two changes for the same second the later one stands.
    if (low > first && (best == kNone || segment(low - 1).at_second >= segment(best).at_second)) {
      best = low - 1;
    }
    first = end;
  }
  return best;
}

uint32_t Schedule::QpsAt(int64_t unix_second) const {
  const uint32_t index = IndexAt(unix_second * kNsPerSecond);
  return index == kNone ? 0 : segment(index).qps;
}

}  // namespace hongbao::time
