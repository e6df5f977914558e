// Answers: what the end of a request means for the tallies: its outcome, its latency, its money, and the phase it belongs
// to.
//
// Owns only which phase is the newest; the numbers are the WorkerTally's. It never knows users, connections or clocks:
// the caller says when something happened.
// Thread tag: worker-local; any thread may read the WorkerTally that it writes.
#pragma once

#include <cstdint>
#include <limits>

#include "libhongbao/load/counters.h"
#include "libhongbao/load/money.h"
#include "libhongbao/load/worker_tally.h"
#include "libhongbao/time/schedule.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::load {

// A request that is in flight no more: it was answered, or it was given up.
struct FinishedRequest {
  uint64_t stamp = 0;
  uint32_t user = 0;
  bool timed = true;             // its latency is recorded; the next two are valid then
  int64_t due_ns = 0;            // steady time: when the schedule wanted it
  int64_t due_monotonic_ns = 0;  // the same on the monotonic clock
  int64_t sent_ns = 0;           // monotonic; 0 = not known any more
};

class Answers {
 public:
  // Both must outlive it. `log_money`: hand every booked reply with money over to WorkerTally::money.
  Answers(const time::Schedule& schedule, WorkerTally& tally, bool log_money)
      : schedule_(schedule), tally_(tally), log_money_(log_money) {}

  // ---- phases: a request belongs to the one it was due in ----

  // For a request that is sent now. Its `segment` was planned with a tally, or the process ends.
  PhaseTally& PhaseOfSegment(uint32_t segment) { return segment == segment_ ? *newest_ : PhaseOfOtherSegment(segment); }
  // Nearly always the newest; after a change of the rate the last answers are of the one before.
  PhaseTally& PhaseDueAt(int64_t due_ns) { return DueInNewest(due_ns) ? *newest_ : PhaseDueBefore(due_ns); }
  // Whether a request that was due then belongs to the newest phase that anything was sent in.
  bool DueInNewest(int64_t due_ns) const { return due_ns >= newest_from_ns_; }
  PhaseTally& newest_phase() { return *newest_; }

  // ---- requests ----

  // `sent` shakes of a segment were sent, `late` of them late.
  void CountSent(PhaseTally& phase, uint64_t sent, uint64_t late) {
    tally_.cells.Add(Counter::kDue, sent);
    tally_.cells.Add(Counter::kSent, sent);
    tally_.cells.Add(Counter::kOutstanding, sent);
    phase.cells.Add(PhaseCounter::kDue, sent);
    phase.cells.Add(PhaseCounter::kSent, sent);
    if (late > 0) {
      tally_.cells.Add(Counter::kLate, late);
      phase.cells.Add(PhaseCounter::kLate, late);
    }
  }
  // So many shakes whose time came were not sent. `why`: one of the kMissed.. counters.
  void CountMissed(PhaseTally& phase, uint64_t missed, Counter why);
  // A shake of `phase` that was outstanding has its answer.
  void CountAnswer(PhaseTally& phase, const wire::ShakeResponse& answer);
  // The same for `count` shakes that found nothing.
  void CountNothings(PhaseTally& phase, uint64_t count);
  void RecordLatency(PhaseTally& phase, const FinishedRequest& request, bool won, int64_t now_ns) {
    if (!request.timed) {
      return;
    }
    const int64_t latency_ns = now_ns - request.due_monotonic_ns;
    tally_.latency.Record(latency_ns);
    (won ? phase.winners : phase.others).Record(latency_ns);
    if (request.sent_ns != 0) {
      phase.service.Record(now_ns - request.sent_ns);
    }
  }
  // A shake that was outstanding will have no answer. `at_end`: the run ends, so it is known how late the shake is.
  void CountLost(const FinishedRequest& request, bool at_end, int64_t now_ns);
  // At the end, of shakes that are counted as missed or lost: one had waited so long. `since_sent_ns` < 0: it was not
  // sent, or nobody knows when.
  void RecordLateness(PhaseTally& phase, int64_t lateness_ns, int64_t since_sent_ns);
  // An open that was outstanding has brought that much; 0 = nothing.
  void CountOpened(uint32_t amount_fen);

  // ---- money ----

  // What the server says that a user has got, against what came: so many grants, and their sum.
  void CompareStatement(const wire::Statement& statement, uint32_t grants, uint64_t fen);
  // A reply with money has been booked to its user.
  void LogMoney(const MoneyRecord& money);

 private:
  PhaseTally& PhaseOfOtherSegment(uint32_t segment);
  PhaseTally& PhaseDueBefore(int64_t due_ns);

  const time::Schedule& schedule_;
  WorkerTally& tally_;
  const bool log_money_;
  PhaseTally* newest_ = nullptr;
  uint32_t segment_ = time::Schedule::kNone;  // of the newest
  int64_t newest_from_ns_ = std::numeric_limits<int64_t>::max();
};

// Adds to a number that only this thread writes. Relaxed: a reader takes it for itself, and orders nothing by it.
inline void AddOwn(std::atomic<uint64_t>& number, uint64_t n) {
  number.store(number.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace hongbao::load
