#include "libhongbao/load/client.h"

#include <string.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "libhongbao/load/gateway_carrier.h"
#include "libhongbao/load/user_carrier.h"
#include "libhongbao/net/processors.h"
#include "libhongbao/net/service.h"

namespace hongbao::load {

// The workers, whichever carrier their fleets have. Virtual calls, as controlling threads make them: never per message.
class FleetService {
 public:
  virtual ~FleetService() = default;
  virtual bool Post(uint32_t worker, FleetMessage message) = 0;
  virtual void Drain(uint32_t drain_ms) = 0;
  virtual const net::ServicePlan& plan() const = 0;
  virtual const net::Counters& counters(uint32_t worker) const = 0;
};

namespace {

template <class FleetT>
class FleetServiceOf final : public FleetService {
 public:
  explicit FleetServiceOf(const time::Clock& clock) : service(clock) {}
  bool Post(uint32_t worker, FleetMessage message) override { return service.Post(worker, message); }
  void Drain(uint32_t drain_ms) override { service.Drain(drain_ms); }
  const net::ServicePlan& plan() const override { return service.plan(); }
  const net::Counters& counters(uint32_t worker) const override { return service.counters(worker); }

  net::Service<FleetT> service;
};

// A change must reach every worker before the second it is for.
constexpr int64_t kPlanAheadNs = 2'000'000;
constexpr uint32_t kWorkersChosenMax = 64;  // as many as --workers takes

// Of one gateway, waiting behind the send in flight: what a usual window needs, and no more cache than that.
constexpr uint32_t kGatewayUnsentBytesMax = 262'144;

std::string ErrnoName(size_t error) {
  const char* name = strerrorname_np(static_cast<int>(error));
  return name != nullptr ? name : absl::StrCat("errno_", error);
}

// Fills in the figures per second, from the phase's whole seconds.
void SummariseSeconds(const std::vector<Client::Series::Row>& rows, const time::Schedule& schedule, uint32_t index,
                      PhaseReport& phase) {
  std::vector<uint64_t> sent, won;
  for (const Client::Series::Row& row : rows) {
    const int64_t begin_ns = row.second * time::kNsPerSecond;
    if (begin_ns >= phase.begin_ns && begin_ns + time::kNsPerSecond <= phase.end_ns && row.span == 1 &&
        schedule.phase(schedule.IndexAt(begin_ns)) == index) {
      sent.push_back(row.delta[Counter::kSent]);
      won.push_back(row.delta[Counter::kWon]);
    }
  }
  if (!sent.empty()) {
    const auto [worst, best] = std::minmax_element(sent.begin(), sent.end());
    phase.worst_second_qps = *worst;
    phase.best_second_qps = *best;
  }
  const auto is_win = [](uint64_t wins) { return wins > 0; };
  const auto first = std::find_if(won.begin(), won.end(), is_win);
  const auto last = std::find_if(won.rbegin(), won.rend(), is_win).base();  // behind the last win
  if (last - first > 2) {
    const auto [least, most] = std::minmax_element(first + 1, last - 1);
    phase.wins_per_second_min = *least;
    phase.wins_per_second_max = *most;
  }
}

absl::Status CheckOptions(const ClientOptions& options) {
  if (options.users.first > options.users.last || options.users.last >= options.users.total) {
    return absl::InvalidArgumentError("users: want first <= last < total");
  }
  if (options.connects_per_second == 0 || options.connecting_max_per_worker == 0) {
    return absl::InvalidArgumentError("nothing can connect at a rate of 0");
  }
  if (options.gateways == 0 && (options.max_rate || options.requests_max > 0)) {
    return absl::InvalidArgumentError("only gateways send at the highest rate, or a number of requests");
  }
  if (options.gateways > 0 && options.version != wire::Version::k2) {
    return absl::InvalidArgumentError("gateways need protocol 2");
  }
  if (options.gateways > kGatewaysMax || uint64_t{options.gateways} * 2 > options.users.count()) {
    return absl::InvalidArgumentError(absl::StrCat("gateways: ", kGatewaysMax, " at most, and two users for each, not ",
                                                   options.gateways, " for ", options.users.count(), " users"));
  }
  if (options.window == 0 || options.window > GatewayWindow::kCapacityMax) {
    return absl::InvalidArgumentError(absl::StrCat("window: want 1 to ", GatewayWindow::kCapacityMax, " requests"));
  }
  if (options.requests_max > kRequestsMax) {
    return absl::InvalidArgumentError(absl::StrCat("requests: ", kRequestsMax, " at most"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Start(const ClientOptions& options, const time::Clock& clock) {
  if (const absl::Status status = CheckOptions(options); !status.ok()) {
    return status;
  }
  // A gateway is one connection, whoever its users are.
  const UserRange connections = {0, options.gateways - 1, options.gateways};
  absl::StatusOr<AddressPlan> addresses = AddressPlan::Make({.destinations = options.servers,
                                                             .sources = options.sources,
                                                             .local_ports = ReadLocalPortRange(),
                                                             .users = options.gateways > 0 ? connections : options.users});
  if (!addresses.ok()) {
    return addresses.status();
  }
  ClientOptions resolved = options;
  if (resolved.workers == 0) {
    resolved.workers = std::min(net::UsableProcessors().count, kWorkersChosenMax);
  }
  resolved.workers = std::min(resolved.workers, options.gateways > 0 ? options.gateways : resolved.users.count());
  std::unique_ptr<Client> client(new Client(resolved, *std::move(addresses), clock));
  const absl::Status status = options.gateways > 0 ? client->StartFleets<GatewayFleet>() : client->StartFleets<UserFleet>();
  if (!status.ok()) {
    return status;
  }
  return client;
}

template <class FleetT>
absl::Status Client::StartFleets() {
  auto service = std::make_unique<FleetServiceOf<FleetT>>(clock_);
  FleetServiceOf<FleetT>& starting = *service;
  service_ = std::move(service);
  net::ServiceOptions wanted = {
      .listen = false,
      // A worker holds at most its slice, one more than the mean.
      .connections_max = (options_.gateways > 0 ? options_.gateways : options_.users.count()) + options_.workers,
      .workers = options_.workers,
      .login_deadline_ms = static_cast<uint32_t>(options_.connect_timeout_ns / time::kNsPerMs),
      .idle_timeout_ms = 0,  // an idle user is the normal case
      .sockets = options_.sockets,
      .tuning = options_.tuning};
  if (options_.gateways > 0) {
    // Twice: a new connection may be there before the kernel has let go of the old one. No room for answers is asked
    // for: nothing that comes makes a gateway send more.
    const uint32_t per_worker = (options_.gateways + options_.workers - 1) / options_.workers;
    wanted.bulk = {.connections = 2 * per_worker, .unsent_bytes_max = kGatewayUnsentBytesMax};
  }
  return starting.service.Start(wanted, [this](net::WorkerContext<FleetMessage>& context) {
    const uint32_t worker = context.index();
    return std::make_unique<FleetT>(FleetOptionsOf(worker), addresses_, context.ports(), wall_, schedule_, skew_,
                                    *tallies_[worker]);
  });
}

Client::Client(const ClientOptions& options, AddressPlan addresses, const time::Clock& clock)
    : options_(options), addresses_(std::move(addresses)), clock_(clock), wall_(clock), started_ns_(clock.MonotonicNs()) {
  for (uint32_t i = 0; i < options_.workers; ++i) {
    tallies_.push_back(std::make_unique<WorkerTally>(options_.money_records_per_worker));
  }
}

Client::~Client() { Drain(0); }

const net::ServicePlan& Client::plan() const { return service_->plan(); }

FleetOptions Client::FleetOptionsOf(uint32_t worker) const {
  const time::UserRange users = {options_.users.first, uint64_t{options_.users.last} + 1};
  FleetOptions fleet = {.own = time::Slice(users, worker, options_.workers),
                        .total_users = options_.users.total,
                        .version = options_.version,
                        .connects_per_second = std::max(1u, options_.connects_per_second / options_.workers),
                        .connecting_max = options_.connecting_max_per_worker,
                        .connect_timeout_ns = options_.connect_timeout_ns,
                        .answer_timeout_ns = options_.answer_timeout_ns,
                        .late_max_ns = options_.late_max_ns,
                        .send_quantum_ns = options_.send_quantum_ns,
                        .statements = options_.statements,
                        .log_money = options_.money_records_per_worker > 0,
                        .user_token = options_.user_token,
                        .seed = (uint64_t{options_.users.first} << 8) + worker};
  if (options_.gateways == 0) {
    return fleet;
  }
  // Each worker has its share of the gateways, and users and requests in proportion to them, so that all gateways of
  // the process are about equal.
  const time::UserRange gateways = time::Slice({0, options_.gateways}, worker, options_.workers);
  const auto share = [&](time::UserRange whole) {
    return time::UserRange{whole.first + whole.size() * gateways.first / options_.gateways,
                           whole.first + whole.size() * gateways.end / options_.gateways};
  };
  fleet.own = share(users);
  fleet.gateways = fleet.connecting_max = static_cast<uint32_t>(gateways.size());
  fleet.first_gateway = static_cast<uint32_t>(gateways.first);
  fleet.token = options_.gateway_token;
  fleet.window = options_.window;
  fleet.max_rate = options_.max_rate;
  fleet.limited = options_.requests_max > 0;
  if (fleet.limited) {
    fleet.quota = share({0, options_.requests_max}).size();
  }
  return fleet;
}

absl::Status Client::SetRate(uint32_t qps, int64_t at_second, const std::string& name, bool alone) {
  const std::string usual_name = TargetOf(qps) != qps ? "max" : absl::StrCat(qps, " qps");
  return Plan({{.at_second = at_second, .qps = qps, .burst = options_.burst}}, name.empty() ? usual_name : name, alone);
}

absl::Status Client::SetProfile(const std::vector<RateStep>& steps, const std::string& name, bool alone) {
  std::vector<time::Segment> segments;
  for (const RateStep& step : steps) {
    segments.push_back({.at_second = step.at_second, .qps = step.qps, .burst = options_.burst});
  }
  return Plan(std::move(segments), name, alone);
}

absl::Status Client::SetEnd(int64_t at_second) {
  return Plan({{.at_second = at_second}}, "end", /*alone=*/true, /*is_end=*/true);
}

bool Client::Ended() const {
  // Acquire: pairs with Plan's release; the segment is whole.
  const uint32_t end = end_segment_.load(std::memory_order_acquire);
  return end != time::Schedule::kNone && wall_.Now().steady_ns >= schedule_.segment(end).at_second * time::kNsPerSecond;
}

absl::Status Client::Plan(std::vector<time::Segment> segments, const std::string& name, bool alone, bool is_end) {
  const time::Moment now = wall_.Now();
  const int64_t now_ns = now.wall_ns;
  const int64_t at_second = segments.empty() ? 0 : segments.front().at_second;
  if (at_second > time::kSecondMax || at_second * time::kNsPerSecond < now_ns + kPlanAheadNs) {
    return absl::InvalidArgumentError(
        absl::StrCat("second ", at_second, " is not in the future (now is ", time::UnixSecond(now_ns), ")"));
  }
  if (stopped_ns_.load(std::memory_order_relaxed) != 0) {
    return absl::FailedPreconditionError("this client has stopped sending: its run is over");
  }
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t phase = names_.size();
  segments.front().requests = phase == 0 && !options_.max_rate ? options_.requests_max : 0;
  const bool silent = std::all_of(segments.begin(), segments.end(), [](const time::Segment& one) { return one.qps == 0; });
  if (phase < time::Schedule::kPhasesMax && !silent) {
    for (std::unique_ptr<WorkerTally>& tally : tallies_) {
      tally->phases[phase] = std::make_unique<PhaseTally>();
    }
  }
  for (time::Segment& segment : segments) {
    segment.at_second -= (now.wall_ns - now.steady_ns) / time::kNsPerSecond;
  }
  const uint32_t with = is_end && phase > 0 ? 0 : alone ? time::Schedule::kFixed : time::Schedule::kNone;
  const absl::StatusOr<uint32_t> added = schedule_.AddPhase(segments, with);
  if (!added.ok()) {
    return added.status();
  }
  if (is_end) {
    end_segment_.store(*added, std::memory_order_release);  // after the segment
  }
  names_.push_back(name);
  for (uint32_t worker = 0; worker < workers(); ++worker) {
    service_->Post(worker, FleetMessage::kWake);  // a full inbox: it is awake
  }
  return absl::OkStatus();
}

ClientCounts Client::Look() const {
  ClientCounts snapshot;
  snapshot.target = options_.users.count();
  snapshot.target_qps = stopped_ns_.load(std::memory_order_relaxed) != 0 ? 0 : QpsAt(time::UnixSecond(wall_.Now().steady_ns));
  int64_t all_online_ns = 1;
  for (const std::unique_ptr<WorkerTally>& tally : tallies_) {
    // Acquire: pairs with the fleet's release; the logins counted before it are seen below.
    const int64_t online_ns = tally->all_online_ns.load(std::memory_order_acquire);
    all_online_ns = online_ns == 0 || all_online_ns == 0 ? 0 : std::max(all_online_ns, online_ns);
  }
  snapshot.all_online = all_online_ns != 0;
  const int64_t until_ns = snapshot.all_online ? all_online_ns : clock_.MonotonicNs();
  snapshot.connect_seconds = static_cast<double>(std::max<int64_t>(until_ns - started_ns_, 0)) * 1e-9;
  count::Values<Errno> errors;
  for (uint32_t worker = 0; worker < workers(); ++worker) {
    snapshot.counters += tallies_[worker]->cells.Snapshot();
    errors += tallies_[worker]->connect_errors.Snapshot();
    snapshot.login_refusals += tallies_[worker]->login_refusals.Snapshot();
    snapshot.idle_close_ns = std::max(snapshot.idle_close_ns, tallies_[worker]->idle_close_ns.load(std::memory_order_relaxed));
    if (snapshot.stranger.empty()) {
      snapshot.stranger = tallies_[worker]->stranger.bytes();
    }
    const net::Counters& counters = service_->counters(worker);
    snapshot.closes += counters.closes.Snapshot();
    snapshot.net += counters.events.Snapshot();
  }
  for (size_t error = 0; error < errors.value.size(); ++error) {
    if (errors.value[error] != 0) {
      snapshot.connect_errors.emplace_back(ErrnoName(error), errors.value[error]);
    }
  }
  snapshot.skew = skew_.Best();
  snapshot.clock_steps = wall_.Count();
  return snapshot;
}

count::HistogramSnapshot Client::SumOf(count::Histogram WorkerTally::*histogram) const {
  count::HistogramSnapshot sum;
  for (const std::unique_ptr<WorkerTally>& tally : tallies_) {
    sum += (*tally.*histogram).Snapshot();
  }
  return sum;
}

count::HistogramSnapshot Client::Latency() const { return SumOf(&WorkerTally::latency); }
count::HistogramSnapshot Client::Waiting() const { return SumOf(&WorkerTally::waiting); }
count::HistogramSnapshot Client::Lag() const { return SumOf(&WorkerTally::lag); }

count::HistogramSnapshot Client::Service() const {
  count::HistogramSnapshot sum;
  std::lock_guard<std::mutex> lock(mutex_);
  for (const std::unique_ptr<WorkerTally>& tally : tallies_) {
    for (const std::unique_ptr<PhaseTally>& phase : tally->phases) {
      if (phase != nullptr) {
        sum += phase->service.Snapshot();
      }
    }
  }
  return sum;
}

Client::Series Client::MakeSeries() const {
  std::vector<const count::History<Counter>*> histories;
  for (const std::unique_ptr<WorkerTally>& tally : tallies_) {
    histories.push_back(&tally->history);
  }
  return Series(std::move(histories), [this](int64_t second) { return wall_.LabelOf(second); });
}

// What has been and is in force, in order, until now or until the sending stopped.
std::vector<Client::InForce> Client::PlanInForce() const {
  const int64_t stopped_ns = stopped_ns_.load(std::memory_order_relaxed);
  const int64_t until_ns = stopped_ns != 0 ? stopped_ns : wall_.Now().steady_ns;
  std::map<int64_t, InForce> by_second;
  for (uint32_t index = 0; index < schedule_.size(); ++index) {
    const time::Segment segment = schedule_.segment(index);
    by_second[segment.at_second] = {.phase = schedule_.phase(index), .qps = segment.qps};
  }
  std::vector<InForce> plan;
  for (auto at = by_second.begin(); at != by_second.end(); ++at) {
    const auto next = std::next(at);
    InForce& one = at->second;
    one.begin_ns = at->first * time::kNsPerSecond;
    one.end_ns = std::min(until_ns, next == by_second.end() ? until_ns : next->first * time::kNsPerSecond);
    if (one.begin_ns < one.end_ns) {
      plan.push_back(one);
    }
  }
  return plan;
}

std::vector<NeverServed> Client::NeverServedByPhase(const std::vector<Series::Row>& rows) const {
  count::Values<Counter> total;
  uint64_t missed_timed = 0, lost_timed = 0;
  for (const std::unique_ptr<WorkerTally>& tally : tallies_) {
    total += tally->cells.Snapshot();
    missed_timed += tally->missed_timed.load(std::memory_order_relaxed);  // numbers of a worker that has ended
    lost_timed += tally->lost_timed.load(std::memory_order_relaxed);
  }
  return load::NeverServedByPhase(rows, schedule_, names_.size(),
                                  {.missed = Missed(total) - std::min(Missed(total), missed_timed),
                                   .lost = total[Counter::kLost] - std::min(total[Counter::kLost], lost_timed),
                                   .outstanding = total[Counter::kOutstanding],
                                   .sample_every = LatencySampleEvery(options_),
                                   .end_ns = wall_.Now().steady_ns});
}

std::vector<PhaseReport> Client::Phases(const std::vector<Series::Row>& rows) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const std::vector<NeverServed> never_served = NeverServedByPhase(rows);
  std::vector<PhaseReport> all(names_.size()), phases;
  std::vector<double> due(names_.size());  // of the whole fleet
  for (const InForce& one : PlanInForce()) {
    PhaseReport& phase = all[one.phase];
    if (phase.duration_s == 0) {
      phase.begin_ns = one.begin_ns;
      phase.at_second = wall_.LabelOf(one.begin_ns / time::kNsPerSecond);
    }
    const double seconds = static_cast<double>(one.end_ns - one.begin_ns) * 1e-9;
    phase.duration_s += seconds;
    phase.end_ns = one.end_ns;
    due[one.phase] += one.qps * seconds;
  }
  for (uint32_t i = 0; i < all.size(); ++i) {
    PhaseReport& phase = all[i];
    phase.name = names_[i];
    if (due[i] == 0) {  // silence, replaced before it began, or not begun yet
      continue;
    }
    phase.target_qps = TargetOf(static_cast<uint32_t>(std::lround(due[i] / phase.duration_s)));
    for (const std::unique_ptr<WorkerTally>& tally : tallies_) {
      phase.counters += tally->phases[i]->cells.Snapshot();
      phase.winners += tally->phases[i]->winners.Snapshot();
      phase.others += tally->phases[i]->others.Snapshot();
      phase.service += tally->phases[i]->service.Snapshot();
    }
    phase.never_served = never_served[i];
    phase.others += phase.never_served.missed;
    phase.others += phase.never_served.lost;
    phase.service += phase.never_served.lost;
    phase.schedule += phase.winners;
    phase.schedule += phase.others;
    phase.mean_qps = static_cast<double>(phase.counters[PhaseCounter::kSent]) / phase.duration_s;
    SummariseSeconds(rows, schedule_, i, phase);
    phases.push_back(std::move(phase));
  }
  std::stable_sort(phases.begin(), phases.end(),
                   [](const PhaseReport& a, const PhaseReport& b) { return a.begin_ns < b.begin_ns; });
  return phases;
}

bool Client::AllWorkers(std::atomic<bool> WorkerTally::*flag) const {
  // Acquire: pairs with the fleet's release; what it counted before is seen.
  return std::all_of(tallies_.begin(), tallies_.end(), [flag](const std::unique_ptr<WorkerTally>& tally) {
    return (*tally.*flag).load(std::memory_order_acquire);
  });
}

bool Client::SentAll() const { return AllWorkers(&WorkerTally::sent_all); }
bool Client::StatementsDone() const { return AllWorkers(&WorkerTally::statements_done); }
bool Client::Quiet() const { return AllWorkers(&WorkerTally::stopped) && Outstanding() == 0; }

void Client::StopSending() {
  stopped_ns_.store(wall_.Now().steady_ns, std::memory_order_relaxed);  // a number for the reports: orders nothing
  PostToAll(FleetMessage::kStop);
}

void Client::PostToAll(FleetMessage message) {
  for (uint32_t worker = 0; worker < workers(); ++worker) {
    while (!service_->Post(worker, message)) {
      std::this_thread::yield();  // its inbox is full of wake-ups that it is about to take
    }
  }
}

void Client::AskStatements() { PostToAll(FleetMessage::kStatements); }

std::vector<StatementDifference> Client::TakeDifferences() {
  std::vector<StatementDifference> differences;
  StatementDifference one;
  for (const std::unique_ptr<WorkerTally>& tally : tallies_) {
    while (tally->differences.Pop(one)) {
      differences.push_back(one);
    }
  }
  return differences;
}

uint64_t Client::Outstanding() const {
  uint64_t outstanding = 0;
  for (const std::unique_ptr<WorkerTally>& tally : tallies_) {
    outstanding += tally->cells.Get(Counter::kOutstanding) + tally->cells.Get(Counter::kOpensOutstanding);
  }
  return outstanding;
}

void Client::Drain(uint32_t drain_ms) {
  if (closed_) {
    return;
  }
  closed_ = true;
  if (service_ != nullptr) {
    service_->Drain(drain_ms);
  }
  for (std::unique_ptr<WorkerTally>& tally : tallies_) {
    tally->history.Close(tally->cells);  // the workers have been joined: their cells are ours now
  }
}

}  // namespace hongbao::load
