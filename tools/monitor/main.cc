// hongbao-monitor: options -> service, pages -> rows -> account. A service on libhongbao like any other.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libhongbao/admin/clock_news.h"
#include "libhongbao/admin/http_admin.h"
#include "libhongbao/admin/json_lines.h"
#include "libhongbao/admin/options.h"
#include "libhongbao/admin/page.h"
#include "libhongbao/admin/report.h"
#include "libhongbao/admin/rows.h"
#include "libhongbao/admin/signals.h"
#include "libhongbao/admin/standard_streams.h"
#include "libhongbao/net/run.h"
#include "libhongbao/net/service.h"
#include "libhongbao/net/set_up.h"
#include "tools/monitor/files.h"
#include "tools/monitor/metrics.h"
#include "tools/monitor/monitor.h"
#include "tools/monitor/receiver.h"

namespace hongbao::monitor {
namespace {

constexpr const char* kProgram = "hongbao-monitor";
constexpr const char* kFooter = R"(examples:
  hongbao-monitor                                       a row a second of who has --monitor
  hongbao-monitor --listen [::]:8002                    and of other machines, by IPv6 and IPv4
  hongbao-monitor --csv run.csv --sources-csv who.csv   all seconds in files as well
  hongbao-monitor --quiet --report run.json             only the account, and everything in one file

exit codes:
  0    done; also --help and --version
  1    could not start or write: a port, a file; the reason is on stderr
  2    wrong flags
  3    clients that ended did not hold their schedule, or a condition of --fail-if does not hold
  4    everybody ended in order, and what was given is not what was got
  130  left at once at a second signal, the first was SIGINT
  143  the same, the first was SIGTERM
  129  the same, the first was SIGHUP)";
constexpr int64_t kPollNs = 50 * time::kNsPerMs;
constexpr int64_t kPublishNs = 200 * time::kNsPerMs;
constexpr uint32_t kConnectionsMax = 4'000;

struct Flags {
  admin::HostPort listen{.host = "127.0.0.1", .port = 8002};
  admin::HostPort admin{.host = "127.0.0.1", .port = 8003};
  int64_t delay_ns = 3 * time::kNsPerSecond;
  int64_t idle_timeout_ms = 60'000;
  bool admin_remote = false;
  bool quiet = false;
  bool json = false;
  std::vector<std::string> admin_hosts;
  std::string csv, sources_csv, report;
  std::vector<admin::Threshold> conditions;
};

void AddOptions(CLI::App& app, Flags& flags) {
  admin::AddHostPort(app, "--listen", &flags.listen, "address for servers and clients that have --monitor; port 0 = a free one");
  admin::AddHostPort(app, "--admin", &flags.admin, "address for HTTP: the page, status, metrics; port 0 = a free one, printed");
  admin::AddSwitch(app, "--admin-remote", &flags.admin_remote, "allow --admin to be off the loopback interface");
  admin::AddAdminHosts(app, &flags.admin_hosts);
  admin::AddDurationNs(app, "--delay", &flags.delay_ns, "a second's row comes so long after the first word of that second",
                       {.max = 60 * time::kNsPerSecond});
  admin::AddDurationMs(app, "--idle-timeout", &flags.idle_timeout_ms,
                       "a connection without a byte for so long is closed, 0 = never", {.max = 7 * 24 * 3'600'000});
  admin::AddFile(app, "--csv", &flags.csv, "append a line for every second to this file");
  admin::AddFile(app, "--sources-csv", &flags.sources_csv, "append a line for every second and source to this file");
  admin::AddFile(app, "--report", &flags.report, "write a JSON report to this file at the end");
  admin::AddSwitch(app, "--json", &flags.json, "rows as JSON, one object a line");
  admin::AddFailIf(app, &flags.conditions,
                   "what all clients that ended have to hold together, or the exit code is 3, as hongbao-client has it for one; "
                   "percentiles are not known here");
  admin::AddSwitch(app, "-q,--quiet", &flags.quiet, "no row every second");
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", kProgram, std::string(status.message()).c_str());
  return 1;
}

// Everything that runs while the monitor does.
class Run {
 public:
  Run(const Flags& flags, admin::Signals& signals)
      : flags_(flags),
        signals_(signals),
        service_(clock_),
        monitor_(flags.delay_ns, flags.conditions),
        page_("monitor", "hongbao-monitor"),
        text_(stdout, flags.quiet || flags.json) {}

  absl::Status Start() {
    absl::optional<admin::LeaveAtSignal> leave(absl::in_place, signals_);  // a name may take its time
    absl::Status status;
    if (!flags_.csv.empty()) {
      status.Update(csv_.Open(flags_.csv, admin::CsvHeader()));
    }
    if (!flags_.sources_csv.empty()) {
      status.Update(sources_csv_.Open(flags_.sources_csv, SourceCsvHeader()));
    }
    if (!flags_.report.empty()) {
      status.Update(admin::CheckReportPath(flags_.report));
    }
    // One thread is plenty; descriptors, so that a peer's address can be asked for.
    net::ServiceOptions options{.connections_max = kConnectionsMax,
                                .workers = 1,
                                .login_deadline_ms = 0,
                                .idle_timeout_ms = static_cast<uint32_t>(flags_.idle_timeout_ms),
                                .regular_descriptors = true};
    status.Update(net::ParseListen(flags_.listen.ToString(), options));
    if (!status.ok()) {
      return status;
    }
    status = service_.Start(options, [this](Receiver::Context& context) { return std::make_unique<Receiver>(context, inlet_); });
    if (!status.ok()) {
      return status;
    }
    AddRoutes();
    const absl::StatusOr<HostPort> admin_at = NumericListen(flags_.admin);
    status = !admin_at.ok() ? admin_at.status()
                            : http_.Start({.host = admin_at->host,
                                           .port = admin_at->port,
                                           .allow_remote = flags_.admin_remote,
                                           .hosts = flags_.admin_hosts});
    leave.reset();
    if (status.ok()) {
      const SocketAddress listen = options.listen_address.WithPort(service_.port());
      std::fprintf(stderr, "%s %s: page http://%s/, rows %s behind\nready: listening on %s, admin %s (pid %d)\n", kProgram,
                   admin::Version(), http_.address().c_str(), admin::DurationToString(flags_.delay_ns).c_str(),
                   listen.ToString().c_str(), http_.address().c_str(), getpid());
    }
    return status;
  }

  int Go() {
    for (;;) {
      const admin::SignalEvent event = signals_.Wait(kPollNs);
      Poll(false);
      if (event == admin::SignalEvent::kStop) {
        break;
      }
      if (event == admin::SignalEvent::kStatus) {
        std::fprintf(stderr, "%s\n", Status().dump(2).c_str());
      }
    }
    std::fprintf(stderr, "%s: stopping\n", kProgram);
    service_.Drain(0);
    Poll(true);
    const int code = Close();
    EndHttp();
    return code;
  }

 private:
  void AddRoutes() {
    http_.SetReady([] { return true; });
    http_.Get("/v1/status", [this](const admin::Request&) { return admin::JsonResponse(Status()); });
    page_.AddTo(http_);
    metrics_.Add(admin::Collects([this] { return MonitorFamilies(monitor_.Look(), RefusedBy(inlet_)); }));
    metrics_.Add(admin::Collects([this] { return admin::Families{admin::ClockStepsOf(wall_.Count().count)}; }));
    metrics_.AddTo(http_);
  }

  // Browsers may hold on to their streams for a moment; a second signal does not wait for them.
  void EndHttp() {
    std::atomic<bool> ended{false};
    std::thread stop([&] {
      http_.Stop();
      ended.store(true, std::memory_order_release);  // the end, before the word of it
    });
    while (!ended.load(std::memory_order_acquire)) {
      if (signals_.Wait(10 * time::kNsPerMs) == admin::SignalEvent::kStopNow) {
        std::_Exit(signals_.exit_code());
      }
    }
    stop.join();
  }

  nlohmann::json Status() const {
    nlohmann::json status = StatusJson(monitor_.Look());
    status["pid"] = getpid();
    status["clock"] = admin::ClockStepsJson(wall_.Count());
    status["unix_s"] = time::UnixSecond(clock_.WallNs());
    for (size_t i = 0; i < static_cast<size_t>(Refusal::kCount); ++i) {
      status["refused"][kRefusalNames[i]] = inlet_.refused(static_cast<Refusal>(i));
    }
    return status;
  }

  void Poll(bool all) {
    if (const uint64_t steps = wall_.Now().steps; steps != steps_) {
      steps_ = steps;
      monitor_.ClockSet();
      news_.Say(kProgram, wall_.Count());
    }
    for (const Arrival& arrival : inlet_.TakeAll()) {
      monitor_.Take(arrival, clock_.WallNs(), clock_.MonotonicNs());
    }
    for (const Told& told : monitor_.Rows(clock_.MonotonicNs(), all)) {
      Show(told);
    }
    for (const std::string& line : monitor_.TakeNews()) {
      std::fprintf(stderr, "%s %s\n", admin::ClockTime(time::UnixSecond(clock_.WallNs())).c_str(), line.c_str());
    }
    // A copy of every source: often enough for who reads a status page, seldom enough to cost nothing with a thousand.
    if (const int64_t now_ns = clock_.MonotonicNs(); all || now_ns - published_ns_ >= kPublishNs) {
      monitor_.Publish();
      published_ns_ = now_ns;
    }
  }

  void Show(const Told& told) {
    page_.Publish(told.row);
    csv_.Write(admin::CsvLine(told.row));
    for (const auto& [source, record] : told.sources) {
      sources_csv_.Write(SourceCsvLine(source, record));
    }
    text_.Print(told.row, told.hosts);
    if (flags_.json && !flags_.quiet) {
      json_lines_.Write(JsonOf(told.row));
    }
  }

  static nlohmann::json JsonOf(const admin::SecondRow& row) {
    const nlohmann::json names = admin::ColumnNames(), values = admin::RowValues(row);
    nlohmann::json object;
    for (size_t i = 0; i < names.size(); ++i) {
      object[names[i].get<std::string>()] = values[i];
    }
    return object;
  }

  int Close() {
    if (flags_.json) {
      json_lines_.Write({{"account", monitor_.CloseJson()}});
    } else {
      admin::WriteOut(stdout, monitor_.ClosingText());
    }
    if (csv_.lost() + sources_csv_.lost() > 0) {
      std::fprintf(stderr, "%s: %llu lines found no room on the disk\n", kProgram,
                   static_cast<unsigned long long>(csv_.lost() + sources_csv_.lost()));
    }
    if (!flags_.report.empty()) {
      const admin::LeaveAtSignal leave(signals_);  // a report may be a pipe that nobody reads
      nlohmann::json report = monitor_.ReportJson();
      report.update(Status());
      if (const absl::Status status = admin::WriteReport(flags_.report, report); !status.ok()) {
        return Fail(status);
      }
    }
    const int code = csv_.lost() + sources_csv_.lost() > 0 ? 1 : 0;
    const int judged = monitor_.ExitCode();
    return judged != 0 ? judged : admin::ExitCodeOfOutput(code);
  }

  const Flags& flags_;
  admin::Signals& signals_;
  const time::RealClock clock_;
  time::WallSteps wall_{clock_};
  uint64_t steps_ = 0;
  admin::ClockNews news_;
  Inlet inlet_;
  net::Service<Receiver> service_;
  Monitor monitor_;
  admin::Page page_;
  admin::MetricsPage metrics_{"monitor"};
  admin::AdminServer http_;
  TextRows text_;
  admin::JsonLines json_lines_{stdout};
  LineFile csv_, sources_csv_;
  int64_t published_ns_ = 0;
};

int Main(int argc, const char* const* argv) {
  CLI::App app{"hongbao-monitor: lines up what servers and clients tell of each second, and keeps the account of the money."};
  app.footer(kFooter);
  Flags flags;
  AddOptions(app, flags);
  admin::Signals signals;  // before any thread
  absl::optional<admin::LeaveAtSignal> leave(absl::in_place, signals);  // a file of flags may be a pipe that nobody writes
  if (const absl::optional<int> code = admin::ParseCommandLine(app, kProgram, argc, argv)) {
    return *code;
  }
  leave.reset();
  Run run(flags, signals);
  if (const absl::Status status = run.Start(); !status.ok()) {
    return Fail(status);
  }
  return run.Go();
}

}  // namespace
}  // namespace hongbao::monitor

int main(int argc, char** argv) {
  return hongbao::net::RunMain("hongbao-monitor", [&] { return hongbao::monitor::Main(argc, argv); });
}
