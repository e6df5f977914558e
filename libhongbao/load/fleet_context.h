// FleetContext: what a fleet, its ramp and its carrier know together: the options, the clocks, where to count, and how
// far the run is. FleetOptions is what a fleet is made with.
//
// It owns the tallies' rules (Answers) and the clock; ports, schedule and tally belong to others and must outlive it.
// Thread tag: worker-local; any thread may read the WorkerTally that it writes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/check.h"
#include "libhongbao/load/answers.h"
#include "libhongbao/load/counters.h"
#include "libhongbao/load/fleet_clock.h"
#include "libhongbao/load/member.h"
#include "libhongbao/load/user_token.h"
#include "libhongbao/load/worker_tally.h"
#include "libhongbao/net/port.h"
#include "libhongbao/net/replies.h"
#include "libhongbao/time/schedule.h"
#include "libhongbao/time/walker.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::load {

struct FleetOptions {
  time::UserRange own{};                                 // this worker's users, numbered in the whole fleet
  uint32_t total_users = 1;                              // of the whole fleet
  wire::Version version = wire::Version::k2;             // gateways: k2
  uint32_t connects_per_second = 25'000;                 // first connects and reconnects together
  uint32_t connecting_max = 512;                         // connects and logins under way at most
  int64_t connect_timeout_ns = 10 * time::kNsPerSecond;  // of a login's answer
  int64_t answer_timeout_ns = 10 * time::kNsPerSecond;   // see SilenceWatch; 0 = never
  int64_t late_max_ns = time::kNsPerSecond;              // users: later than this a request is missed, not sent
  int64_t send_quantum_ns = 50'000;                      // wakes for due requests at most this often
  uint32_t in_flight_max = 1 << 20;                      // users: outstanding requests at most (address space; memory as used)
  bool statements = true;                                // v2: ask for users' bases, so that kStatements can compare
  bool log_money = false;                                // hand every booked reply with money over to WorkerTally::money
  UserTokenMaker user_token{};                           // v2: makes the token of each login; empty = none
  uint64_t seed = 1;                                     // of the back-off's jitter
  // ---- gateways alone ----
  uint32_t gateways = 1;               // of this worker; at least two users for each
  uint32_t first_gateway = 0;          // this worker's first, numbered in the process: for the address plan
  std::optional<wire::Token> token{};  // the gateways'; without it user_token makes theirs, too
  uint32_t window = 16'384;            // requests in flight per gateway
  bool max_rate = false;               // no schedule: as fast as the windows allow, while the rate in force is not 0
  uint64_t quota = std::numeric_limits<uint64_t>::max();  // max_rate: requests of this worker in all
  bool limited = false;  // requests end with a limit (quota, or Segment::requests): sent_all is set then
};

// What a controlling thread says to the fleets.
enum class FleetMessage : uint32_t {
  kWake,        // look at the schedule again
  kStop,        // send nothing new; what has no answer yet is still waited for, in v2 over reconnects too
  kStatements,  // after kStop, v2: ask for every online user's statement and compare
};

// What became of the search for the request that an answer answers.
enum class Match { kFound, kRepeated, kNone };

struct FleetContext {
  static constexpr int64_t kNoSecond = std::numeric_limits<int64_t>::min();

  FleetContext(const FleetOptions& wish, absl::Span<net::Port* const> with_ports, time::WallSteps& wall, time::Schedule& plan,
               WorkerTally& counted)
      : options(wish),
        ports(with_ports.begin(), with_ports.end()),
        clock(wall),
        schedule(plan),
        tally(counted),
        cells(counted.cells),
        answers(plan, counted, wish.log_money),
        now_ns(clock.monotonic_ns()) {
    Check(!ports.empty() && ports.size() <= 256, "a fleet has 1 to 256 ports");
  }

  bool v2() const { return options.version == wire::Version::k2; }
  int64_t WallNs() const { return clock.WallAt(now_ns); }
  // Of the member's next request. In v1 a stamp is only the time.
  uint64_t NextStamp(Member& member, int64_t wall_ns) const {
    return v2() ? load::NextStamp(member, wall_ns) : static_cast<uint64_t>(std::max<int64_t>(wall_ns, 0) / time::kNsPerSecond);
  }
  // Null: the connection has ended, or there is none.
  net::Connection* Find(const Member& member) const { return ports[member.port]->Find({member.slot, member.generation}); }
  net::Replies Out(const Member& member, net::Connection& connection) const { return ports[member.port]->Out(connection); }
  // Every statement has been compared or skipped.
  void EndStatements() {
    asking = false;
    tally.statements_done.store(true, std::memory_order_release);  // whoever sees it also sees all counts
  }

  const FleetOptions options;
  const std::vector<net::Port*> ports;
  FleetClock clock;
  time::Schedule& schedule;
  WorkerTally& tally;
  count::Cells<Counter>& cells;
  Answers answers;
  int64_t now_ns;              // monotonic, as last read
  int64_t second = kNoSecond;  // under way, of the steady time
  bool stopping = false;       // nothing new is sent
  bool draining = false;       // the end: nobody connects any more
  bool asking = false;         // for statements, at the end
};

}  // namespace hongbao::load
