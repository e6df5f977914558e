// Walker: one worker's own requests out of the fleet's schedule, in the order they are due.
//
// Owns the sorted positions of its users (4 bytes each; none when it owns them all) and a private copy of the plan.
// Yields each own request once, in O(1) amortised; skips ahead in O(log users + segments). Never goes back. Its times are of the
// steady time, which nobody sets; the numbers of its requests, by which all clients agree on users, are of the agreed time.
// Thread tag: worker-local; the Schedule it reads may be changed by other threads meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/time/permutation.h"
#include "libhongbao/time/reciprocal.h"
#include "libhongbao/time/schedule.h"

namespace hongbao::time {

// Users first..end-1. first == end is empty.
struct UserRange {
  uint64_t first = 0;
  uint64_t end = 0;
  uint64_t size() const { return end - first; }
};

// The `part`-th of `parts` nearly equal contiguous pieces of `range`: how users are shared among workers.
UserRange Slice(UserRange range, uint64_t part, uint64_t parts);

// One request to send.
struct Due {
  uint64_t number = 0;      // in the fleet's absolute numbering of its segment's rate
  int64_t due_ns = kNever;  // intended send time, unix ns; latency counts from here
  uint32_t user = 0;
  uint32_t segment = Schedule::kNone;  // index in the Schedule
};

// The same without what a whole batch has in common.
struct DueUser {
  int64_t due_ns = kNever;
  uint32_t user = 0;
};

class Walker {
 public:
  // Walks the requests of the users in `own` (inside 0..permutation.total()) that are due at or after `from_ns` (unix).
  // `schedule` must outlive the walker. Allocates: 4 bytes per own user.
  Walker(const Schedule& schedule, const Permutation& permutation, UserRange own, int64_t from_ns);

  // Looks for changes of the schedule: one atomic load when there is none. Call once per turn, before NextDue.
  void Refresh() {
    if (schedule_->version() != version_) [[unlikely]] {
      Learn();
    }
  }

  // The wall clock has been set: it is now `shift_s` ahead of the steady time, which is `now_ns`. From then on numbers are those
  // that all others use; when the fleet's requests are due, and how many, does not change.
  void FollowWall(int64_t shift_s, int64_t now_ns);

  // When the next own request is due (unix ns), or kNever in a silence without a planned end.
  int64_t next_due_ns() const { return next_.due_ns; }
  // The next own request itself; meaningless while next_due_ns() is kNever.
  const Due& next() const { return next_; }

  // If the next own request is due at or before `now_ns`: stores it in `due`, moves on, returns true.
  bool NextDue(int64_t now_ns, Due& due) {
    if (next_.due_ns > now_ns || next_.due_ns == kNever) {
      return false;
    }
    due = next_;
    Advance();
    return true;
  }

  // Takes up to due.size() own requests that are due at or before `now_ns`, in their order, all of one segment, which it
  // stores in `segment`; returns how many. A few ns each, where NextDue divides four times.
  size_t NextDueMany(int64_t now_ns, absl::Span<DueUser> due, uint32_t& segment);

  // Gives up every own request due before `wall_ns` and returns how many there were, exactly. Segments begin at whole
  // seconds, so a caller that skips second by second (see next()) can attribute each part to its second and segment.
  uint64_t SkipTo(int64_t wall_ns);

  // How many own requests are due in [from_ns, to_ns) by the plan as last refreshed, whatever has been yielded.
  uint64_t CountBetween(int64_t from_ns, int64_t to_ns) const;

  uint64_t users() const { return own_count_; }

 private:
  struct Planned {
    Segment segment{};
    uint32_t index{};  // in the Schedule
  };

  void Learn();
  void Advance();
  int64_t ToAgreed(int64_t steady_ns) const { return steady_ns == kNever ? kNever : steady_ns + shift_s_ * kNsPerSecond; }
  // Makes the request with `number`, or the first own one behind it, the next.
  void GoTo(uint64_t number, size_t plan_index);
  // Makes `next_` the first own request due at or after `wall_ns`.
  void Seek(int64_t wall_ns);
  // Makes `next_` the request at the present place in the round; false when it belongs to a later segment.
  bool Take(size_t plan_index);
  // Appends to due[taken] those of one whole second and one round with numbers below `end`; returns the new `taken`.
  template <bool kAll>
  size_t TakeOfSecond(uint64_t second, uint64_t end, bool burst, absl::Span<DueUser> due, size_t taken);
  // Own positions below `position`.
  uint64_t Below(uint64_t position) const;
  // Own requests with a number below `number`, counted from 0.
  uint64_t Rank(uint64_t number) const;
  uint64_t Position(uint64_t i) const { return positions_.empty() ? i : positions_[i]; }
  // Index in plan_ of the segment in force, kBeforeAll before the first.
  size_t PlanIndexAt(int64_t wall_ns) const;
  int64_t EndNs(size_t plan_index) const;       // where the next segment begins, or kNever
  uint64_t EndNumber(size_t plan_index) const;  // the first number that is due then or over the limit, or the largest
  // The first number of the segment that is due at or after `wall_ns`, EndNumber at most.
  uint64_t NumberAt(size_t plan_index, int64_t wall_ns) const;

  static constexpr size_t kBeforeAll = static_cast<size_t>(-1);

  const Schedule* schedule_;
  Permutation permutation_;
  std::vector<uint32_t> positions_;  // ascending; empty when every user is own
  uint64_t own_count_;
  uint32_t known_ = 0;    // segments of the schedule seen so far
  uint32_t version_ = 0;  // of the schedule, as last seen
  uint32_t moves_ = 0;
  int64_t shift_s_ = 0;        // agreed less steady time
  std::vector<Planned> plan_;  // by at_second, one per second
  int64_t floor_ns_;           // nothing due before this is yielded any more, but for the rest of a burst

  // The next request: number = round_start_ + Position(round_index_), valid while < end_number_.
  size_t plan_index_ = kBeforeAll;
  uint64_t round_start_ = 0;  // a multiple of total
  uint64_t round_index_ = 0;  // in 0..own_count_-1
  uint64_t end_number_ = 0;   // first number that does not belong to the segment any more
  Reciprocal per_second_;     // of the segment's rate, as of the last batch
  Due next_;
};

}  // namespace hongbao::time
