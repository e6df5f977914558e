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
  version_ = schedule_->version();  // first: what comes while we look is seen the next time
  if (const uint32_t moves = schedule_->moves(); moves != moves_) {
    moves_ = moves;
    known_ = 0;
    plan_.clear();
  }
  const uint32_t count = schedule_->size();
  for (; known_ < count; ++known_) {
    const Planned planned{schedule_->segment(known_), known_};
    const auto place =
        std::lower_bound(plan_.begin(), plan_.end(), planned.segment.at_second,
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

size_t Walker::NextDueMany(int64_t now_ns, absl::Span<DueUser> due, uint32_t& segment) {
  if (next_.due_ns > now_ns || next_.due_ns == kNever || due.empty()) {
    return 0;
  }
  const Segment& in_force = plan_[plan_index_].segment;
  segment = next_.segment;
  if (per_second_.divisor() != in_force.qps) {
    per_second_ = Reciprocal(in_force.qps);
  }
  // All numbers below it are due.
  const uint64_t until = NumberAt(plan_index_, now_ns == kNever ? kNever : now_ns + 1);
  size_t taken = 0;
  while (taken < due.size()) {
    const uint64_t number = round_start_ + Position(round_index_);
    if (number >= until) {
      break;
    }
    const uint64_t second = per_second_.Quotient(number);
    const uint64_t end = std::min(until, (second + 1) * in_force.qps);
    taken = positions_.empty() ? TakeOfSecond<true>(second, end, in_force.burst, due, taken)
                               : TakeOfSecond<false>(second, end, in_force.burst, due, taken);
  }
  floor_ns_ = due[taken - 1].due_ns + 1;
  if (!Take(plan_index_)) {
    Seek(EndNs(plan_index_));
  }
  return taken;
}

template <bool kAll>
size_t Walker::TakeOfSecond(uint64_t second, uint64_t end, bool burst, absl::Span<DueUser> due, size_t taken) {
  // Locals: the stores to `due` may not make the compiler load members again.
  const Reciprocal per_second = per_second_;
  const Permutation permutation = permutation_;
  const uint32_t* positions = positions_.data();
  const int64_t second_ns = (static_cast<int64_t>(second) - shift_s_) * kNsPerSecond;
  const uint64_t round_start = round_start_;
  // DueNs: ceil((number - second * qps) * 1e9 / qps) behind the second, below 2^60; a burst is due at its start.
  const uint64_t first = second * per_second.divisor();
  const uint64_t factor = burst ? 0 : uint64_t{kNsPerSecond};
  const uint64_t round_up = burst ? 0 : per_second.divisor() - 1;
  uint64_t index = round_index_;
  for (const uint64_t own = own_count_; taken < due.size() && index < own; ++index, ++taken) {
    const uint64_t position = kAll ? index : positions[index];
    const uint64_t number = round_start + position;
    if (number >= end) {
      break;
    }
    const uint64_t behind_ns = per_second.Quotient((number - first) * factor + round_up);
    due[taken] = {second_ns + static_cast<int64_t>(behind_ns), permutation.UserAt(position)};
  }
  round_index_ = index;
  if (index == own_count_) {
    round_index_ = 0;
    round_start_ += permutation.total();
  }
  return taken;
}

void Walker::Seek(int64_t wall_ns) {
  const size_t in_force = PlanIndexAt(wall_ns);
  for (size_t i = in_force == kBeforeAll ? 0 : in_force; own_count_ > 0 && i < plan_.size(); ++i) {
    const Segment& segment = plan_[i].segment;
    if (segment.qps == 0) {
      continue;
    }
    GoTo(FirstNumberAtOrAfter(ToAgreed(std::max(wall_ns, segment.at_second * kNsPerSecond)), segment.qps, segment.burst), i);
    if (Take(i)) {
      return;
    }
  }
  next_ = {};
}

void Walker::GoTo(uint64_t number, size_t plan_index) {
  round_start_ = number - number % permutation_.total();
  round_index_ = Below(number - round_start_);
  if (round_index_ == own_count_) {
    round_index_ = 0;
    round_start_ += permutation_.total();
  }
  plan_index_ = plan_index;
  end_number_ = EndNumber(plan_index);
}

void Walker::FollowWall(int64_t shift_s, int64_t now_ns) {
  const int64_t by_s = shift_s - shift_s_;
  shift_s_ = shift_s;
  if (by_s == 0 || next_.due_ns == kNever) {
    return;
  }
  if (next_.due_ns >= now_ns) {
    return Seek(now_ns);
  }
  // What was due and has not been yielded yet goes on at its place. (Before the epoch there are no numbers: then as at it.)
  const int64_t number = static_cast<int64_t>(next_.number) + by_s * int64_t{plan_[plan_index_].segment.qps};
  GoTo(static_cast<uint64_t>(std::max<int64_t>(number, 0)), plan_index_);
  if (!Take(plan_index_)) {
    Seek(EndNs(plan_index_));
  }
}

bool Walker::Take(size_t plan_index) {
  const uint64_t position = Position(round_index_);
  const uint64_t number = round_start_ + position;
  if (number >= end_number_) {
    return false;
  }
  const Planned& planned = plan_[plan_index];
  next_ = {.number = number,
           .due_ns = DueNs(number, planned.segment.qps, planned.segment.burst) - shift_s_ * kNsPerSecond,
           .user = permutation_.UserAt(position),
           .segment = planned.index};
  return true;
}

uint64_t Walker::SkipTo(int64_t wall_ns) {
  uint64_t skipped = 0;
  if (next_.due_ns < wall_ns) {
    const int64_t end_ns = std::min(wall_ns, EndNs(plan_index_));
    // From the next request, not from its due time: of a burst some may have been yielded.
    skipped = Rank(NumberAt(plan_index_, end_ns)) - Rank(next_.number) + CountBetween(end_ns, wall_ns);
    floor_ns_ = std::max(floor_ns_, wall_ns);
    Seek(floor_ns_);
  } else if (next_.due_ns >= floor_ns_) {
    floor_ns_ = std::max(floor_ns_, wall_ns);  // a change learned late must not bring back what was given up
  }
  return skipped;
}

uint64_t Walker::CountBetween(int64_t from_ns, int64_t to_ns) const {
  uint64_t count = 0;
  const size_t in_force = PlanIndexAt(from_ns);
  for (size_t i = in_force == kBeforeAll ? 0 : in_force; i < plan_.size(); ++i) {
    const Segment& segment = plan_[i].segment;
    const int64_t begin_ns = std::max(from_ns, segment.at_second * kNsPerSecond);
    const int64_t end_ns = std::min(to_ns, EndNs(i));
    if (begin_ns >= to_ns) {
      break;
    }
    if (segment.qps > 0 && begin_ns < end_ns) {
      count += Rank(NumberAt(i, end_ns)) - Rank(NumberAt(i, begin_ns));
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
  const auto after = std::upper_bound(plan_.begin(), plan_.end(), wall_ns, [](int64_t wall, const Planned& planned) {
    return wall < planned.segment.at_second * kNsPerSecond;
  });
  return after == plan_.begin() ? kBeforeAll : static_cast<size_t>(after - plan_.begin()) - 1;
}

int64_t Walker::EndNs(size_t plan_index) const {
  return plan_index + 1 < plan_.size() ? plan_[plan_index + 1].segment.at_second * kNsPerSecond : kNever;
}

uint64_t Walker::EndNumber(size_t plan_index) const {
  constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
  const Segment& segment = plan_[plan_index].segment;
  const auto number_at = [&](int64_t second) {
    return static_cast<uint64_t>(std::max<int64_t>(second + shift_s_, 0)) * segment.qps;
  };
  const uint64_t first = number_at(segment.at_second);
  const uint64_t next = plan_index + 1 < plan_.size() ? number_at(plan_[plan_index + 1].segment.at_second) : kNone;
  return segment.requests != 0 && segment.requests < kNone - first ? std::min(next, first + segment.requests) : next;
}

uint64_t Walker::NumberAt(size_t plan_index, int64_t wall_ns) const {
  const Segment& segment = plan_[plan_index].segment;
  return std::min(FirstNumberAtOrAfter(ToAgreed(wall_ns), segment.qps, segment.burst), EndNumber(plan_index));
}

}  // namespace hongbao::time
