// Bookkeeper: what both kinds of fleet write down alike: answers, losses, money, failed connects, and in which phase.
//
// Owns only which phase is the newest; the numbers are the WorkerTally's. Never knows users, connections or time: what
// happened when is told to it. Thread tag: worker-local; the WorkerTally it writes may be read by any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/types/span.h"
#include "libhongbao/load/counters.h"
#include "libhongbao/load/money.h"
#include "libhongbao/load/worker_tally.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/time/schedule.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::load {

class Bookkeeper {
 public:
  // Both must outlive it. `log_money`: hand every booked reply with money over to WorkerTally::money.
  Bookkeeper(const time::Schedule& schedule, WorkerTally& tally, bool log_money)
      : schedule_(schedule), tally_(tally), log_money_(log_money) {}

  // ---- phases: a request belongs to the one it was due in ----

  // Of a request that is sent now, whose `segment` was planned with a tally (or the process ends).
  PhaseTally& PhaseOfSegment(uint32_t segment) {
    return segment == segment_ ? *newest_ : PhaseOfOtherSegment(segment);
  }
  // Nearly always the newest; after a change of the rate the last answers are of the one before.
  PhaseTally& PhaseDueAt(int64_t due_ns) { return DueInNewest(due_ns) ? *newest_ : PhaseDueBefore(due_ns); }
  // Whether a request that was due then is of the newest phase that one was sent in.
  bool DueInNewest(int64_t due_ns) const { return due_ns >= newest_from_ns_; }
  PhaseTally& newest_phase() { return *newest_; }

  // ---- what happened ----

  // A shake of `phase` that was outstanding has its answer.
  void CountAnswer(PhaseTally& phase, const wire::ShakeResponse& answer);
  // A shake that was due at `due_ns` and outstanding will have none.
  void CountLost(int64_t due_ns);
  // At the end: a shake that is counted as missed or lost had no answer by then, so late after its due time. Of one that
  // was sent also since when, < 0: it was not, or nobody knows.
  void RecordLateness(int64_t due_ns, int64_t lateness_ns, int64_t since_sent_ns);
  // An open that was outstanding has brought that much; 0 = nothing.
  void CountOpened(uint32_t amount_fen);
  // The server's word on what a user has got, against what came: so many grants of that much together.
  void CompareStatement(const wire::Statement& statement, uint32_t grants, uint64_t fen);
  // A reply with money has been booked to its user.
  void LogMoney(const MoneyRecord& money);
  void CountConnectFailed(int error);
  void CountLoginRefused(wire::LoginResult why);
  // A connection has ended before its login was answered. `reason`: why.
  void CountLoginEnded(net::CloseReason reason);
  // These bytes are no answer to a login.
  void CountGarbled(absl::Span<const std::byte> bytes);
  // All own users have had a session, or never will; monotonic.
  void AllOnline(int64_t now_ns) {
    // Release: who sees it also sees the counters of the logins before it.
    tally_.all_online_ns.store(std::max<int64_t>(now_ns, 1), std::memory_order_release);
  }

 private:
  PhaseTally& PhaseOfOtherSegment(uint32_t segment);
  PhaseTally& PhaseDueBefore(int64_t due_ns);

  const time::Schedule& schedule_;
  WorkerTally& tally_;
  const bool log_money_;
  PhaseTally* newest_ = nullptr;
  uint32_t segment_ = time::Schedule::kNone;                             // of the newest
  int64_t newest_from_ns_ = std::numeric_limits<int64_t>::max();
};

}  // namespace hongbao::load
