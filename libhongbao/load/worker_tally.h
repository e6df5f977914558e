// Worker tally: all that one worker of the load generator tells the world: its counters, for the whole run and for each phase
// (rate segment), how long answers took, and the money that came.
//
// Owned by the controlling thread, which makes room for a phase before it adds it. Written by one worker, read by anyone.
// Thread tag: as its parts.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "libhongbao/count/cells.h"
#include "libhongbao/count/histogram.h"
#include "libhongbao/count/history.h"
#include "libhongbao/handover.h"
#include "libhongbao/load/counters.h"
#include "libhongbao/load/money.h"
#include "libhongbao/load/stranger.h"
#include "libhongbao/time/schedule.h"

namespace hongbao::load {

// Per errno of a failed connect; numbers beyond the table count in the last cell.
enum class Errno : uint32_t { kCount = 160 };

// Refused logins by the protocol's result; larger ones count in the last cell.
enum class LoginRefusal : uint32_t { kCount = 8 };

// Requests belong to the phase they were due in, whenever they were sent or answered.
enum class PhaseCounter : uint32_t { kDue, kSent, kLate, kMissed, kAnswered, kLost, kWon, kWonFen, kRefused, kCount };

struct PhaseTally {
  count::Cells<PhaseCounter> cells;
  // From the intended time to the answer; wins may wait for a commit. What had none at the end is among the others.
  count::Histogram winners, others;
  count::Histogram service;  // from the send to the answer
};

// All that one worker tells the world.
struct WorkerTally {
  explicit WorkerTally(uint32_t money_records = 0) : money(money_records) {}

  count::Cells<Counter> cells;
  count::History<Counter> history;
  count::Histogram latency;  // from the intended time, all phases: the rows take differences of it
  count::Histogram waiting;  // for the rows: how long those without an answer had waited at the end of each second
  count::Histogram lag;      // how late requests left: from the intended time to the send; at max_rate there is none
  count::Cells<Errno> connect_errors;
  count::Cells<LoginRefusal> login_refusals;
  Stranger stranger;
  std::atomic<int64_t> idle_close_ns{0};                 // for how long the last connection of kClosedIdle had been silent
  std::atomic<uint64_t> missed_timed{0}, lost_timed{0};  // of Missed() and kLost: whose lateness is in the histograms above
  // Monotonic time when the last own user had had its first session (or was barred); 0 before.
  std::atomic<int64_t> all_online_ns{0};
  // Set once the worker has taken kStop: it sends nothing any more.
  std::atomic<bool> stopped{false};
  // Set once the worker has nothing left to send of a limited number of requests (gateway mode).
  std::atomic<bool> sent_all{false};
  // Set once the worker has compared or skipped every user's statement.
  std::atomic<bool> statements_done{false};
  Handover<MoneyRecord> money;                   // every booked reply that brought money, when there is a money log
  Handover<StatementDifference> differences{8};  // the first ones
  // By phase of the schedule. Made by the controlling thread before the phase is added, which publishes it (release in
  // Schedule::AddPhase): no allocation on the hot path.
  std::vector<std::unique_ptr<PhaseTally>> phases{time::Schedule::kPhasesMax};
};

}  // namespace hongbao::load
