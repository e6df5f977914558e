// Client: the load generator of one process: a fleet per worker, of users or of gateways, one schedule, and what came
// of it.
//
// Owns the workers, the schedule, the tallies and the address plan. Needs no coordinator: clients that know the same
// total of users and the same rates agree on every request by the wall clock alone. Never parses flags, never prints.
// Thread tag: thread-safe after Start, but for Drain (SetRate locks; snapshots read what the workers publish).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libhongbao/count/series.h"
#include "libhongbao/load/addresses.h"
#include "libhongbao/load/client_options.h"
#include "libhongbao/load/counters.h"
#include "libhongbao/load/never_served.h"
#include "libhongbao/load/worker_tally.h"
#include "libhongbao/net/counters.h"
#include "libhongbao/net/service_plan.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/time/clock_sync.h"
#include "libhongbao/time/schedule.h"
#include "libhongbao/time/wall_steps.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::load {

class FleetService;
enum class FleetMessage : uint32_t;
struct FleetOptions;

// Sums over all workers at one moment (each number whole, not all of the same instant).
struct ClientCounts {
  count::Values<Counter> counters{};
  std::vector<std::pair<std::string, uint64_t>> connect_errors{};  // by errno's name, those that happened
  count::Values<LoginRefusal> login_refusals{};
  std::string stranger{};     // the first bytes of what answered a login and was no answer; mostly empty
  int64_t idle_close_ns = 0;  // for how long the last connection of kClosedIdle had been silent; 0 = there was none
  count::Values<net::CloseReason> closes{};
  count::Values<net::Counter> net{};
  time::Skew skew{};
  time::StepCount clock_steps{};
  uint32_t target = 0;         // users of this client
  uint32_t target_qps = 0;     // of the whole fleet, now; 0 at max_rate
  bool all_online = false;     // every user has had a session (or was refused for good)
  double connect_seconds = 0;  // until then, or so far
};

struct RateStep {
  int64_t at_second = 0;  // unix
  uint32_t qps = 0;       // of the whole fleet
};

// One change of the rate, or a profile, with a rate above 0 anywhere. Requests belong to it by their due time.
struct PhaseReport {
  std::string name{};
  int64_t at_second = 0;    // unix, as the wall clock showed it then
  int64_t begin_ns = 0;     // steady time
  int64_t end_ns = 0;       // steady time; where another phase begins or the sending stopped; of a running phase: now
  uint32_t target_qps = 0;  // of the whole fleet, of a profile the mean; 0 at max_rate
  count::Values<PhaseCounter> counters{};
  double duration_s = 0;
  double mean_qps = 0;                                 // sent per second
  uint64_t worst_second_qps = 0, best_second_qps = 0;  // sent, over its whole seconds
  // Over the whole seconds between the first and the last one with a win (those two may be cut); 0 when there are none.
  uint64_t wins_per_second_min = 0, wins_per_second_max = 0;
  count::HistogramSnapshot winners{}, others{}, schedule{}, service{};  // schedule: winners and others together
  NeverServed never_served{};  // in the three last already, and not in Client::Latency and Service
};

class Client {
  // The part of a segment that was in force: until a later segment starts, or one planned later for the same second
  // replaces it.
  struct InForce {
    uint32_t phase = 0;
    uint32_t qps = 0;
    int64_t begin_ns = 0, end_ns = 0;  // steady time
  };

 public:
  using Series = count::Series<Counter>;

  // Connects at once, with silence for a schedule. `clock` must outlive the client. Errors say cause and cure.
  static absl::StatusOr<std::unique_ptr<Client>> Start(const ClientOptions& options, const time::Clock& clock);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // From unix second `at_second` on the whole fleet sends `qps` requests a second (0: none). InvalidArgument when that
  // second is not in the future or its rate is too high, FailedPrecondition after StopSending.
  // `alone`: that second is this client's own choice, so it comes then even if the wall clock is set before.
  absl::Status SetRate(uint32_t qps, int64_t at_second, const std::string& name, bool alone = false);
  // The same for a rate over time, one phase in the reports: from each step's second on its rate, until the next. A
  // rate set for a second in the middle of it stands until its next step.
  absl::Status SetProfile(const std::vector<RateStep>& steps, const std::string& name, bool alone = false);
  // Silence from unix second `at_second` on, for good: the end of what was planned first. Once that has begun, the end
  // comes when its time has passed, wherever the wall clock is set meanwhile.
  absl::Status SetEnd(int64_t at_second);
  // With an end: it has come.
  bool Ended() const;

  ClientCounts Look() const;
  time::Skew Skew() const { return skew_.Best(); }  // the server's clock against this one
  count::HistogramSnapshot Latency() const;         // from the intended time to the answer, whole run
  count::HistogramSnapshot Service() const;         // from the send to the answer, whole run
  count::HistogramSnapshot Lag() const;             // from the intended time to the send, whole run
  count::HistogramSnapshot Waiting() const;         // WorkerTally::waiting of all
  // `rows`: the series so far. Phases in the order of their seconds; what was not served counts as late as it is now.
  std::vector<PhaseReport> Phases(const std::vector<Series::Row>& rows) const;
  Series MakeSeries() const;  // over this client's workers; it must not outlive the client
  // `steady_second`: as a row of the series has it.
  uint32_t QpsAt(int64_t steady_second) const { return TargetOf(schedule_.QpsAt(steady_second)); }
  const time::WallSteps& wall() const { return wall_; }  // the wall clock, and what is known of its steps

  bool SentAll() const;  // with requests_max: all of them
  // Sends no more; answers are still taken. Until Quiet() or the caller's patience ends.
  void StopSending();
  bool Quiet() const;            // after StopSending: nothing will be sent any more, and everything that was has its answer
  uint64_t Outstanding() const;  // requests and opens without an answer yet
  // After StopSending, v2 with statements: asks the server what every online user got, and compares.
  void AskStatements();
  bool StatementsDone() const;
  // The first users whose account differs. To be called by one thread at a time.
  std::vector<StatementDifference> TakeDifferences();
  // Every booked reply with money since the last call, to `each`. By one thread at a time.
  template <typename Each>
  void TakeMoney(Each each) {
    MoneyRecord record;
    for (const std::unique_ptr<WorkerTally>& tally : tallies_) {
      while (tally->money.Pop(record)) {
        each(record);
      }
    }
  }
  // Closes all connections and ends the workers; after it the counters stand still and the series has its last row.
  void Drain(uint32_t drain_ms);

  const AddressPlan& addresses() const { return addresses_; }
  const net::ServicePlan& plan() const;
  const ClientOptions& options() const { return options_; }
  uint32_t workers() const { return static_cast<uint32_t>(tallies_.size()); }

 private:
  Client(const ClientOptions& options, AddressPlan addresses, const time::Clock& clock);
  template <class FleetT>
  absl::Status StartFleets();
  FleetOptions FleetOptionsOf(uint32_t worker) const;
  bool AllWorkers(std::atomic<bool> WorkerTally::*flag) const;
  count::HistogramSnapshot SumOf(count::Histogram WorkerTally::*histogram) const;  // of all workers
  uint32_t TargetOf(uint32_t qps) const { return options_.max_rate ? 0 : qps; }
  absl::Status Plan(std::vector<time::Segment> segments, const std::string& name, bool alone, bool is_end = false);
  std::vector<InForce> PlanInForce() const;
  std::vector<NeverServed> NeverServedByPhase(const std::vector<Series::Row>& rows) const;
  void PostToAll(FleetMessage message);

  const ClientOptions options_;
  const AddressPlan addresses_;
  const time::Clock& clock_;
  mutable time::WallSteps wall_;
  const int64_t started_ns_;  // monotonic
  time::Schedule schedule_;
  time::SkewEstimator skew_;
  std::vector<std::unique_ptr<WorkerTally>> tallies_;

  mutable std::mutex mutex_;  // the plan's names, and that segments and their tallies are made in step
  std::vector<std::string> names_;
  std::atomic<int64_t> stopped_ns_{0};  // when StopSending was called, steady time; 0 before
  std::atomic<uint32_t> end_segment_{time::Schedule::kNone};

  bool closed_ = false;
  std::unique_ptr<FleetService> service_;  // last: its threads use all of the above
};

}  // namespace hongbao::load
