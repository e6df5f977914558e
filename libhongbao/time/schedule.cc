#include "libhongbao/time/schedule.h"

#include "absl/strings/str_cat.h"

namespace hongbao::time {

absl::StatusOr<uint32_t> Schedule::Add(const Segment& segment) {
  if (segment.qps > kQpsMax) {
    return absl::InvalidArgumentError(absl::StrCat("qps ", segment.qps, " is above ", kQpsMax));
  }
  if (segment.at_second < 0 || segment.at_second > kSecondMax) {
    return absl::InvalidArgumentError(absl::StrCat("second ", segment.at_second, " is not within 0..", kSecondMax));
  }
  const std::lock_guard<std::mutex> lock(adding_);
  // Relaxed: only writers change it, and they hold the lock.
  const uint32_t index = size_.load(std::memory_order_relaxed);
  if (index == kSegmentsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the rate has been changed ", kSegmentsMax, " times; restart to change it again"));
  }
  segments_[index] = segment;
  size_.store(index + 1, std::memory_order_release);  // publishes the segment written above
  return index;
}

uint32_t Schedule::IndexAt(int64_t wall_ns) const {
  uint32_t best = kNone;
  const uint32_t count = size();
  for (uint32_t i = 0; i < count; ++i) {
    const int64_t at = segments_[i].at_second;
    // >=: of two changes for the same second the later one stands.
    if (at * kNsPerSecond <= wall_ns && (best == kNone || at >= segments_[best].at_second)) {
      best = i;
    }
  }
  return best;
}

uint32_t Schedule::QpsAt(int64_t unix_second) const {
  const uint32_t index = IndexAt(unix_second * kNsPerSecond);
  return index == kNone ? 0 : segments_[index].qps;
}

}  // namespace hongbao::time
