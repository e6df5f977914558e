// hongbao-client: options -> run -> report.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/metrics.h"
#include "client/money_log.h"
#include "client/options.h"
#include "client/reach.h"
#include "client/reporter.h"
#include "client/routes.h"
#include "client/status.h"
#include "client/summary.h"
#include "client/verdict.h"
#include "libhongbao/cli/exit_codes.h"
#include "libhongbao/cli/json_lines.h"
#include "libhongbao/cli/linger.h"
#include "libhongbao/cli/numbers.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/cli/report.h"
#include "libhongbao/cli/signals.h"
#include "libhongbao/cli/standard_streams.h"
#include "libhongbao/http/admin_server.h"
#include "libhongbao/load/client.h"
#include "libhongbao/net/set_up.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/watch/watch.h"

namespace hongbao::client {
namespace {

using cli::SignalEvent;
using cli::WithCommas;
using load::Counter;

constexpr int64_t kPollNs = 50'000'000;
constexpr int64_t kStatementsPerSecond = 20'000;  // a slow server's; for the patience with it

void Say(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

int Fail(const absl::Status& status) {
  Say(absl::StrCat("error: ", std::string(status.message())));
  return cli::kCouldNot;
}

void SayBanner(const Options& options, const load::Client& client, const std::string& admin_address) {
  const load::UserRange& users = options.load.users;
  const uint64_t here = uint64_t{options.qps} * users.count() / users.total;
  const std::string target = options.load.max_rate ? "as fast as it goes"
                                                   : absl::StrCat("target ", WithCommas(options.qps), "/s in all, ",
                                                                  WithCommas(static_cast<int64_t>(here)), "/s here");
  Say(absl::StrCat("hongbao-client ", cli::Version(), ": users ", WithCommas(users.first), "-", WithCommas(users.last), " of ",
                   WithCommas(users.total), ", ", target, ", protocol v", static_cast<int>(options.load.version), ", server ",
                   options.server.ToString(), ", ", client.addresses().sources(), " source address",
                   client.addresses().sources() == 1 ? "" : "es"));
  if (!options.steps.empty()) {
    Say(absl::StrCat("          profile ", options.profile, ": ", WithCommas(static_cast<int64_t>(options.profile_requests)),
                     " requests of all in ", cli::DurationToString(options.duration_ns), ", target is its highest rate"));
  }
  if (options.load.gateways > 0) {
    const auto requests = static_cast<int64_t>(options.load.requests_max);
    Say(absl::StrCat("          over ", options.load.gateways, " gateways, ", WithCommas(options.load.window),
                     " requests in flight on each at most",
                     requests == 0 ? "" : absl::StrCat(", ends after ", WithCommas(requests), " requests")));
  }
  Say(absl::StrCat("          ", client.plan().ToString()));
  Say(absl::StrCat("ready: admin ", admin_address, " (pid ", getpid(), ")"));
}

std::string TitleOf(const Options& options) {
  const load::UserRange& users = options.load.users;
  return absl::StrCat("hongbao-client users ", WithCommas(users.first), "-", WithCommas(users.last), " of ",
                      WithCommas(users.total), " on ", options.server.ToString());
}

// One client from the first connect to the report.
class Run {
 public:
  Run(const Options& options, cli::Signals& signals, load::Client& client, std::string admin_address, watch::Watch& watch,
      MoneyLog& money)
      : options_(options),
        signals_(signals),
        client_(client),
        admin_address_(std::move(admin_address)),
        watch_(watch),
        reporter_(client, clock_, watch),
        money_(money) {}

  // The exit code.
  int Go() {
    if (options_.at_second != 0 && !Plan(options_.at_second)) {
      return cli::kCouldNot;
    }
    while (!Over()) {
      if (!Poll(kPollNs)) {
        break;
      }
      const load::ClientCounts snapshot = client_.Look();
      if (!CheckReach(options_, snapshot).ok()) {
        return Fail(WhyOut(snapshot));
      }
      SayReady(snapshot);
      Advise(snapshot);
      if (!connected_ && (snapshot.all_online || Stalled(snapshot))) {
        SayConnected(snapshot);
        if (options_.at_second == 0 && !Plan(time::UnixSecond(clock_.WallNs()) + 2)) {
          return cli::kCouldNot;
        }
      }
    }
    return Finish();
  }

  // Whether it came to its report without being told to leave at once.
  bool reported() const { return reported_; }

  void SayStatus() const { Say(StatusJson(options_, client_.Look(), watch::ReadProcessStats()).dump(2)); }

 private:
  // False once a signal says to stop.
  bool Poll(int64_t timeout_ns) {
    const SignalEvent event = signals_.Wait(timeout_ns);
    if (event == SignalEvent::kStatus) {
      SayStatus();
    }
    reporter_.Collect();
    watch_.Tick();
    money_.WriteAll(client_);
    return event != SignalEvent::kStop && event != SignalEvent::kStopNow;
  }

  bool Over() const { return client_.Ended() || (options_.load.requests_max > 0 && client_.SentAll()); }

  // The first rate, or the profile, from `at_second` on, and silence after the duration (whole seconds).
  bool Plan(int64_t at_second) {
    absl::Status status;
    const bool alone = options_.at_second == 0;  // no other client was told of this second
    if (options_.qps > 0) {
      status = options_.steps.empty() ? client_.SetRate(options_.qps, at_second, "load", alone)
                                      : client_.SetProfile(StepsFrom(at_second), "profile", alone);
    }
    if (status.ok() && options_.duration_ns > 0) {
      status = client_.SetEnd(at_second + (options_.duration_ns + time::kNsPerSecond - 1) / time::kNsPerSecond);
    }
    if (!status.ok()) {
      Fail(status);
    }
    return status.ok();
  }

  std::vector<load::RateStep> StepsFrom(int64_t at_second) const {
    std::vector<load::RateStep> steps;
    for (const client::Profile::Step& step : options_.steps) {
      steps.push_back({at_second + step.second, step.qps});
    }
    return steps;
  }

  // Not before somebody is in, unless the server is waited for: until then it may turn out that nothing can start.
  void SayReady(const load::ClientCounts& snapshot) {
    if (!ready_ && (snapshot.counters[Counter::kLogins] > 0 || options_.wait_for_server_ns > 0)) {
      ready_ = true;
      SayBanner(options_, client_, admin_address_);
    }
  }

  // Nobody is in. A web server that was told no more than a login may have said nothing yet: then it is asked.
  absl::Status WhyOut(load::ClientCounts snapshot) const {
    if (snapshot.stranger.empty() && snapshot.counters[Counter::kConnects] > 0 && SpeaksHttp(options_.load.servers.front())) {
      snapshot.stranger = "HTTP/";
    }
    return CheckReach(options_, snapshot);
  }

  // Some are in, and for as long as a login may take no other has followed: they begin without the rest.
  bool Stalled(const load::ClientCounts& snapshot) {
    const uint64_t in = snapshot.counters[Counter::kEstablished] + snapshot.counters[Counter::kBarred];
    const int64_t now_ns = clock_.MonotonicNs();
    if (in != in_ || in == 0) {
      in_ = in;
      in_since_ns_ = now_ns;
    }
    return now_ns - in_since_ns_ > options_.load.connect_timeout_ns;
  }

  // Says once per kind of trouble what to do about it.
  void Advise(const load::ClientCounts& snapshot) {
    for (; advised_ < snapshot.connect_errors.size(); ++advised_) {
      const auto& [name, number] = snapshot.connect_errors[advised_];
      const char* advice = AdviceFor(name);
      Say(absl::StrCat("warning: a connect failed with ", name, advice == nullptr ? "" : absl::StrCat(" (", advice, ")"),
                       "; trying again"));
    }
    if (const uint64_t superseded = snapshot.counters[Counter::kSuperseded]; superseded > 0 && !said_superseded_) {
      said_superseded_ = true;
      Say(absl::StrCat("warning: users log in elsewhere too, and the server has ended ",
                       WithCommas(static_cast<int64_t>(superseded)),
                       " sessions here: another client has the same users (see --users); logging in again"));
    }
  }

  void SayConnected(const load::ClientCounts& snapshot) {
    connected_ = true;
    const uint64_t established = snapshot.counters[Counter::kEstablished];
    const double seconds = std::max(snapshot.connect_seconds, 1e-3);
    const std::string errors = ErrorsOf(snapshot);
    char rate[64];
    std::snprintf(rate, sizeof(rate), " in %.1f s (%s/s)", seconds,
                  WithCommas(static_cast<int64_t>(static_cast<double>(established) / seconds)).c_str());
    Say(absl::StrCat("connected ", WithCommas(static_cast<int64_t>(established)), " / ", WithCommas(snapshot.target), rate,
                     ", failed connects ", errors.empty() ? "none" : errors,
                     snapshot.counters[Counter::kBarred] == 0
                         ? ""
                         : absl::StrCat(", refused by the server for good ", snapshot.counters[Counter::kBarred])));
    if (const std::string trouble = TroubleOf(options_, snapshot); !trouble.empty()) {
      Say(absl::StrCat("warning: ", trouble));
    }
  }

  // Sends nothing more, takes the answers that are still to come, reports.
  int Finish() {
    const bool interrupted = signals_.stop_signal() != 0;
    Say(absl::StrCat(interrupted ? "stopping" : "done", ": waiting for ", client_.Outstanding(), " answers (",
                     cli::DurationToString(options_.drain_ns), " at most; Ctrl-C again to leave now)"));
    client_.StopSending();
    bool hurry = !Await([this] { return client_.Quiet(); }, options_.drain_ns);
    if (!hurry && options_.load.statements) {
      client_.AskStatements();
      const int64_t longer_ns = options_.load.users.count() * (time::kNsPerSecond / kStatementsPerSecond);
      hurry = !Await([this] { return client_.StatementsDone(); }, options_.drain_ns + longer_ns);
    }
    Ending ending = {.interrupted = interrupted};
    const load::ClientCounts live = client_.Look();
    const watch::ProcessStats process = watch::ReadProcessStats();
    client_.Drain(hurry ? 0 : 10'000);
    reporter_.Collect();
    if (money_.open()) {
      money_.WriteAll(client_);
      money_.Close();
      ending.money_log = money_.end();
    }
    ending.schedule = client_.Latency();
    ending.service = client_.Service();
    ending.workers = client_.workers();
    const std::vector<Second> seconds = reporter_.seconds();
    std::vector<load::Client::Series::Row> rows;
    rows.reserve(seconds.size());
    for (const Second& second : seconds) {
      rows.push_back(second.row);
    }
    const std::vector<load::PhaseReport> phases = client_.Phases(rows);
    for (const load::PhaseReport& phase : phases) {
      ending.schedule += phase.never_served.missed;
      ending.schedule += phase.never_served.lost;
      ending.service += phase.never_served.lost;
    }
    const nlohmann::json report = ReportJson(options_, live, client_.Look(), phases, seconds, process, ending);
    if (options_.json) {
      cli::JsonLines(stdout).Write(report);
    } else {
      cli::WriteOut(stdout, SummaryOf(options_, report));
    }
    SayDifferences();
    if (const absl::Status status = WriteFiles(report, ending); !status.ok()) {
      return Fail(status);
    }
    reported_ = !hurry;
    return interrupted ? signals_.exit_code() : ExitCodeOf(report);
  }

  absl::Status WriteFiles(const nlohmann::json& report, const Ending& ending) {
    const cli::LeaveAtSignal leave(signals_);  // a report may be a pipe that nobody reads
    if (!options_.report.empty()) {
      if (absl::Status status = cli::WriteReport(options_.report, report); !status.ok()) {
        return status;
      }
      Say(absl::StrCat("report     ", options_.report));
    }
    if (!options_.hgrm.empty()) {
      if (absl::Status status = cli::WriteFileAtomically(options_.hgrm, ending.schedule.Hgrm()); !status.ok()) {
        return status;
      }
      Say(absl::StrCat("hgrm       ", options_.hgrm));
    }
    return absl::OkStatus();
  }

  // Until it holds or patience ends; false once a signal says to leave.
  template <typename Condition>
  bool Await(Condition holds, int64_t patience_ns) {
    const int64_t until_ns = clock_.MonotonicNs() + patience_ns;
    while (!holds() && clock_.MonotonicNs() < until_ns) {
      if (!Poll(10'000'000)) {
        return false;
      }
    }
    return true;
  }

  void SayDifferences() {
    for (const load::StatementDifference& one : client_.TakeDifferences()) {
      Say(absl::StrCat("error: user ", one.user, " got ", one.own_grants, " grants, ", one.own_fen,
                       " fen; the server's statement says ", one.server_grants, " grants, ", one.server_fen, " fen"));
    }
  }

  const Options& options_;
  cli::Signals& signals_;
  load::Client& client_;
  const std::string admin_address_;
  watch::Watch& watch_;
  const time::RealClock clock_;
  Reporter reporter_;
  MoneyLog& money_;
  bool ready_ = false;
  bool connected_ = false;
  uint64_t in_ = 0;          // users that have had a session or never will, as last seen
  int64_t in_since_ns_ = 0;  // and since when so many
  bool said_superseded_ = false;
  bool reported_ = false;
  size_t advised_ = 0;
};

int Main(int argc, char** argv) {
  cli::Signals signals;
  absl::optional<cli::LeaveAtSignal> leave(absl::in_place, signals);  // files and names may let it wait
  Options options;
  if (const absl::optional<int> code = ParseOptions(argc, argv, options)) {
    return *code;
  }
  for (const std::string& path : {options.report, options.hgrm}) {
    if (const absl::Status status = path.empty() ? absl::OkStatus() : cli::CheckReportPath(path); !status.ok()) {
      return Fail(status);
    }
  }
  MoneyLog money;
  if (!options.money_log.empty()) {
    if (const absl::Status status = money.Open(options.money_log); !status.ok()) {
      return Fail(status);
    }
  }
  const auto pause = [&signals](int64_t ns) {
    const SignalEvent event = signals.Wait(ns);
    return event != SignalEvent::kStop && event != SignalEvent::kStopNow;
  };
  const absl::StatusOr<SocketAddress> server = FindServer(options.server, options.wait_for_server_ns, pause);
  const absl::StatusOr<HostPort> admin_at = NumericListen(options.admin);
  for (const absl::Status& status : {server.status(), admin_at.status()}) {
    if (!status.ok()) {
      Fail(status);
      return absl::IsCancelled(status) ? signals.exit_code() : cli::kCouldNot;
    }
  }
  options.load.servers = {*server};
  const time::RealClock clock;
  absl::StatusOr<std::unique_ptr<load::Client>> client = load::Client::Start(options.load, clock);
  if (!client.ok()) {
    return Fail(client.status());
  }
  watch::Watch watch({.role = "client",
                      .title = TitleOf(options),
                      .monitor = options.monitor,
                      .columns = RowColumns(options.load.gateways > 0),
                      .quiet = options.quiet,
                      .json = options.json},
                     clock);  // outlives the AdminServer that answers from it
  http::AdminServer http;
  watch.AddTo(http, [&options, &client, &watch] {
    return ClientFamilies(options.load, (*client)->Look(), MomentOf(**client, watch.LastUnixSecond()));
  });
  AddRoutes(http, options, **client);
  if (const absl::Status status = http.Start(
          {.host = admin_at->host, .port = admin_at->port, .allow_remote = options.admin_remote, .hosts = options.admin_hosts});
      !status.ok()) {
    return Fail(status);
  }
  leave.reset();
  Run run(options, signals, **client, http.address(), watch, money);
  const int code = run.Go();
  watch.End(code);
  if (run.reported()) {
    cli::Linger(signals, options.linger_ns, http.address(), [&] { run.SayStatus(); });
  }
  http.Stop();
  return cli::ExitCodeOfOutput(code);
}

}  // namespace
}  // namespace hongbao::client

int main(int argc, char** argv) {
  return hongbao::net::RunMain("hongbao-client", [&] { return hongbao::client::Main(argc, argv); });
}
