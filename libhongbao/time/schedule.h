// Schedule: which request of the whole fleet is due when, as a pure function of the wall clock.
//
// Absolute numbering, free of history: with q requests per second in force, request N (N = 0, 1, 2.. from the unix
// epoch) is due at ceil(N * 1e9 / q) ns and belongs to user perm(N mod total). A change at second T ends the old rate's
// requests at due < T s and starts the new rate's at N = T * q, which is due exactly at T. Any process started at any
// time agrees with every other, and each whole second holds exactly q requests. `burst`: all of a second's requests are
// due at its start (imitates the 2017 prototype).
// Seconds of changes are of the steady time (wall_steps.h): a phase that has begun goes on when the wall clock is set, and one
// that has not begins at its second of the agreed time (FollowWall). Without steps the two are one.
// Never reads a clock, never knows whether a user is connected.
// Thread tag: thread-safe (Add locks; readers don't). Walker (walker.h) is worker-local.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "libhongbao/time/clock.h"

namespace hongbao::time {

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// One request per nanosecond: the bound below which no two requests of one rate share a due time, which is what makes
// a second's first request exactly T * q.
inline constexpr uint32_t kQpsMax = 1'000'000'000;
// Last second whose nanoseconds (and whose request numbers at kQpsMax) fit 64 bits; in the year 2255.
inline constexpr int64_t kSecondMax = 9'000'000'000;

// From `at_second` (unix) on, `qps` requests per second, until the next segment. qps 0 = silence.
struct Segment {
  int64_t at_second = 0;
  uint32_t qps = 0;
  bool burst = false;
  // Of the whole fleet: after so many silence until the next segment. 0 = no limit. As a part of the schedule it holds
  // for any partition of the users: the first `requests` numbers, whoever sends them.
  uint64_t requests = 0;
  friend bool operator==(const Segment&, const Segment&) = default;
};

// Due time (unix ns) of request `number` at `qps` (1..kQpsMax). Exactly ceil(number * 1e9 / qps): the whole seconds are
// taken out first, so that what is left, (number mod qps) * 1e9 < 2^60, needs no 128-bit product. No drift.
constexpr int64_t DueNs(uint64_t number, uint32_t qps, bool burst = false) {
  const int64_t start_ns = static_cast<int64_t>(number / qps) * kNsPerSecond;
  if (burst) {
    return start_ns;
  }
  const uint64_t rest = (number % qps) * uint64_t{kNsPerSecond};
  return start_ns + static_cast<int64_t>((rest + qps - 1) / qps);
}

// The smallest number with DueNs(number, qps, burst) >= wall_ns. Times before the epoch count as the epoch.
constexpr uint64_t FirstNumberAtOrAfter(int64_t wall_ns, uint32_t qps, bool burst = false) {
  if (wall_ns <= 0) {
    return 0;
  }
  const auto before = static_cast<uint64_t>(wall_ns - 1);  // ceil(x) >= w  <=>  x > w - 1
  const uint64_t second = before / uint64_t{kNsPerSecond};
  if (burst) {
    return (second + 1) * qps;
  }
  return second * qps + before % uint64_t{kNsPerSecond} * qps / uint64_t{kNsPerSecond} + 1;
}

// All rate changes of a process, past and planned: a map from second to rate, so that the order in which changes arrive
// doesn't matter, and clients told in different orders still agree. A change planned for an earlier second than one
// already planned leaves the later one standing; a change for the same second replaces it.
//
// A change is one segment, or the many of a profile, which are one phase: what counts by phase has one place for all of them.
class Schedule {
 public:
  static constexpr uint32_t kPhasesMax = 1024;
  static constexpr uint32_t kSegmentsMax = 65'536;
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  static constexpr uint32_t kFixed = kNone - 1;

  Schedule() = default;
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  // Plans a change, as a phase of its own. Returns its index (0, 1, 2.. in order of arrival; stable for the life of the
  // schedule). Errors: InvalidArgument (qps above kQpsMax, second outside 0..kSecondMax), ResourceExhausted (kPhasesMax
  // changes, or no room for so many segments).
  // That `at_second` lies in the future is for the caller to see to, with some margin for the workers' turns: a worker
  // that learns of a change late obeys it from the next request it has not yet yielded.
  absl::StatusOr<uint32_t> Add(const Segment& segment) { return AddPhase({&segment, 1}); }
  // The same for several that are one phase, in the order of their seconds, no two of the same (or InvalidArgument). Readers see
  // all of them or none. Returns the index of the first; not for none.
  // `with`: an earlier phase that it moves with, as its end does; kNone: by itself; kFixed: never, nobody else was told of it.
  absl::StatusOr<uint32_t> AddPhase(absl::Span<const Segment> segments, uint32_t with = kNone);

  // The wall clock has been set: it is now `shift_s` ahead of the steady time, whose second `steady_s` is under way. Phases that
  // have not begun move so that they begin at the agreed second that they were planned for; one that consists of a single
  // segment not before the next. `steps`: how often it was set; a word that is not newer than the last is no news.
  void FollowWall(uint64_t steps, int64_t shift_s, int64_t steady_s);

  // How many segments have been added. Acquire: pairs with Add's release, so that segment(i) for i < size() is whole.
  uint32_t size() const { return size_.load(std::memory_order_acquire); }
  // Changes with each phase that is added, and each time that phases move. Acquire: what it counts can be read.
  uint32_t version() const { return version_.load(std::memory_order_acquire); }
  // How often phases have moved. Acquire, as above.
  uint32_t moves() const { return moves_.load(std::memory_order_acquire); }
  // `index` < size(). Only its second ever changes, see FollowWall.
  Segment segment(uint32_t index) const {
    Segment segment = PlannedAt(index).segment;
    segment.at_second += MovedBy(PlannedAt(index).phase);
    return segment;
  }
  // Of phases, in order of arrival: 0, 1, 2..
  uint32_t phase(uint32_t index) const { return PlannedAt(index).phase; }

  // Index of the segment in force at `wall_ns` (steady), or kNone before the first. Linear in the phases, not in their segments.
  uint32_t IndexAt(int64_t wall_ns) const;
  // Rate in force at that second, 0 before the first segment.
  uint32_t QpsAt(int64_t unix_second) const;

 private:
  struct Planned {
    Segment segment{};
    uint32_t phase = 0;
    uint32_t phase_end = 0;  // index behind the last segment of its phase
  };
  // Segments never move once they can be seen: they live in chunks, made as they are needed.
  static constexpr uint32_t kChunk = 1024;
  using Chunk = std::array<Planned, kChunk>;

  const Planned& PlannedAt(uint32_t index) const { return (*chunks_[index / kChunk])[index % kChunk]; }

  // Relaxed: a reader that looks while a phase moves sees it before or after; the version says when to look again.
  int64_t MovedBy(uint32_t phase) const { return moved_s_[phase].load(std::memory_order_relaxed); }
  int64_t BeginOf(uint32_t phase) const;

  std::mutex adding_;  // writers only: admin threads
  uint32_t phases_ = 0;
  std::array<uint32_t, kPhasesMax> first_of_{};  // by phase: its first segment
  std::array<uint32_t, kPhasesMax> with_{};      // by phase: the one that it moves with, itself or an earlier one; kFixed
  std::array<std::atomic<int64_t>, kPhasesMax> moved_s_{};
  uint64_t followed_steps_ = 0;
  int64_t followed_shift_s_ = 0;
  std::atomic<uint32_t> version_{0};
  std::atomic<uint32_t> moves_{0};
  std::array<std::unique_ptr<Chunk>, kSegmentsMax / kChunk> chunks_{};
  std::atomic<uint32_t> size_{0};
};

}  // namespace hongbao::time
