#include "libhongbao/time/walker.h"

#include <algorithm>

#include "libhongbao/check.h"

namespace hongbao::time {

UserRange Slice(UserRange range, uint64_t part, uint64_t parts) {
  Check(parts > 0 && part < parts, "a slice is one of several parts");
  return {range.first + range.size() * part / parts, range.first + range.size() * (part + 1) / parts};
}

Walker::Walker(const Schedule& schedule, const Permutation& permutation, UserRange own, int64_t from_ns)
    : schedule_(&schedule), permutation_(permutation), own_count_(own.size()), floor_ns_(from_ns) {
  Check(own.first <= own.end && own.end <= permutation.total(), "a walker's users are among the total");
  if (own_count_ < permutation.total()) {
    positions_.reserve(own_count_);
    for (uint64_t user = own.first; user < own.end; ++user) {
      positions_.push_back(permutation.PositionOf(user));
    }
    std::sort(positions_.begin(), positions_.end());
  }
  Learn();
}

void Walker::Learn() {
  const uint32_t count = schedule_->size();
  for (; known_ < count; ++known_) {
    const Planned planned{schedule_->segment(known_), known_};
    const auto place = std::lower_bound(
        plan_.begin(), plan_.end(), planned.segment.at_second,
        [](const Planned& other, int64_t at_second) { return other.segment.at_second < at_second; });
    if (place != plan_.end() && place->segment.at_second == planned.segment.at_second) {
      *place = planned;
    } else {
      plan_.insert(place, planned);
    }
  }
  if (next_.due_ns < floor_ns_) {
    // Some requests of this very nanosecond (a burst) have been yielded, others not: stay, if the segment stands.
    const size_t at = PlanIndexAt(next_.due_ns);
    if (at != kBeforeAll && plan_[at].index == next_.segment) {
      plan_index_ = at;
      end_number_ = EndNumber(at);
      if (next_.number < end_number_) {
        return;
      }
    }
  }
  Seek(floor_ns_);
}

void Walker::Advance() {
  floor_ns_ = next_.due_ns + 1;
  if (++round_index_ == own_count_) {
    round_index_ = 0;
    round_start_ += permutation_.total();
  }
  if (!Take(plan_index_)) {
    Seek(EndNs(plan_index_));
  }
}

void Walker::Seek(int64_t wall_ns) {
  const size_t in_force = PlanIndexAt(wall_ns);
  for (size_t i = in_force == kBeforeAll ? 0 : in_force; own_count_ > 0 && i < plan_.size(); ++i) {
    const Segment& segment = plan_[i].segment;
    if (segment.qps == 0) {
      continue;
    }
    const uint64_t number =
        FirstNumberAtOrAfter(std::max(wall_ns, segment.at_second * kNsPerSecond), segment.qps, segment.burst);
    round_start_ = number - number % permutation_.total();
    round_index_ = Below(number - round_start_);
    if (round_index_ == own_count_) {
      round_index_ = 0;
      round_start_ += permutation_.total();
    }
    plan_index_ = i;
    end_number_ = EndNumber(i);
    if (Take(i)) {
      return;
    }
  }
  next_ = {};
}

bool Walker::Take(size_t plan_index) {
  const uint64_t position = Position(round_index_);
  const uint64_t number = round_start_ + position;
  if (number >= end_number_) {
    return false;
  }
  const Planned& planned = plan_[plan_index];
  next_ = {.number = number,
           .due_ns = DueNs(number, planned.segment.qps, planned.segment.burst),
           .user = permutation_.UserAt(position),
           .segment = planned.index};
  return true;
}

uint64_t Walker::SkipTo(int64_t wall_ns) {
  uint64_t skipped = 0;
  if (next_.due_ns < wall_ns) {
    const Segment& segment = plan_[plan_index_].segment;
    const int64_t end_ns = std::min(wall_ns, EndNs(plan_index_));
    // From the next request, not from its due time: of a burst some may have been yielded.
    skipped = Rank(FirstNumberAtOrAfter(end_ns, segment.qps, segment.burst)) - Rank(next_.number) +
              CountBetween(end_ns, wall_ns);
    floor_ns_ = std::max(floor_ns_, wall_ns);
    Seek(floor_ns_);
  } else if (next_.due_ns >= floor_ns_) {
    floor_ns_ = std::max(floor_ns_, wall_ns);  // a change learned late must not bring back what was given up
  }
  return skipped;
}

uint64_t Walker::CountBetween(int64_t from_ns, int64_t to_ns) const {
  uint64_t count = 0;
  for (size_t i = 0; i < plan_.size(); ++i) {
    const Segment& segment = plan_[i].segment;
    const int64_t begin_ns = std::max(from_ns, segment.at_second * kNsPerSecond);
    const int64_t end_ns = std::min(to_ns, EndNs(i));
    if (segment.qps > 0 && begin_ns < end_ns) {
      count += Rank(FirstNumberAtOrAfter(end_ns, segment.qps, segment.burst)) -
               Rank(FirstNumberAtOrAfter(begin_ns, segment.qps, segment.burst));
    }
  }
  return count;
}

uint64_t Walker::Below(uint64_t position) const {
  if (own_count_ == permutation_.total()) {
    return position;
  }
  return static_cast<uint64_t>(std::lower_bound(positions_.begin(), positions_.end(), position) - positions_.begin());
}

uint64_t Walker::Rank(uint64_t number) const {
  return number / permutation_.total() * own_count_ + Below(number % permutation_.total());
}

size_t Walker::PlanIndexAt(int64_t wall_ns) const {
  const auto after = std::upper_bound(
      plan_.begin(), plan_.end(), wall_ns,
      [](int64_t wall, const Planned& planned) { return wall < planned.segment.at_second * kNsPerSecond; });
  return after == plan_.begin() ? kBeforeAll : static_cast<size_t>(after - plan_.begin()) - 1;
}

int64_t Walker::EndNs(size_t plan_index) const {
  return plan_index + 1 < plan_.size() ? plan_[plan_index + 1].segment.at_second * kNsPerSecond : kNever;
}

uint64_t Walker::EndNumber(size_t plan_index) const {
  return plan_index + 1 < plan_.size()
             ? static_cast<uint64_t>(plan_[plan_index + 1].segment.at_second) * plan_[plan_index].segment.qps
             : std::numeric_limits<uint64_t>::max();
}

}  // namespace hongbao::time
