// hongbao-monitor: options -> service, pages -> rows -> account. A service on libhongbao like any other.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libhongbao/cli/numbers.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/cli/report.h"
#include "libhongbao/cli/signals.h"
#include "libhongbao/cli/standard_streams.h"
#include "libhongbao/http/admin_server.h"
#include "libhongbao/net/run.h"
#include "libhongbao/net/service.h"
#include "libhongbao/net/set_up.h"
#include "libhongbao/watch/clock_news.h"
#include "libhongbao/watch/watch.h"
#include "tools/monitor/files.h"
#include "tools/monitor/metrics.h"
#include "tools/monitor/monitor.h"
#include "tools/monitor/options.h"
#include "tools/monitor/receiver.h"
#include "tools/monitor/status.h"

namespace hongbao::monitor {
namespace {

constexpr const char* kProgram = "hongbao-monitor";
constexpr int64_t kPollNs = 50 * time::kNsPerMs;
constexpr int64_t kPublishNs = 200 * time::kNsPerMs;
constexpr uint32_t kConnectionsMax = 4'000;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", kProgram, std::string(status.message()).c_str());
  return cli::kCouldNot;
}

// Everything that runs while the monitor does.
class Run {
 public:
  Run(const Options& options, cli::Signals& signals)
      : options_(options),
        signals_(signals),
        service_(clock_),
        monitor_(options.delay_ns, options.conditions),
        watch_({.role = "monitor",
                .title = "hongbao-monitor",
                .columns = RowColumns(),
                .quiet = options.quiet,
                .json = options.json},
               clock_) {}

  absl::Status Start() {
    absl::optional<cli::LeaveAtSignal> leave(absl::in_place, signals_);  // a name may take its time
    absl::Status status;
    if (!options_.csv.empty()) {
      status.Update(csv_.Open(options_.csv, watch::CsvHeader()));
    }
    if (!options_.sources_csv.empty()) {
      status.Update(sources_csv_.Open(options_.sources_csv, SourceCsvHeader()));
    }
    if (!options_.report.empty()) {
      status.Update(cli::CheckReportPath(options_.report));
    }
    // One thread is plenty; descriptors, so that a peer's address can be asked for.
    net::ServiceOptions service{.connections_max = kConnectionsMax,
                                .workers = 1,
                                .login_deadline_ms = 0,
                                .idle_timeout_ms = static_cast<uint32_t>(options_.idle_timeout_ms),
                                .regular_descriptors = true};
    status.Update(net::ParseListen(options_.listen.ToString(), service));
    if (!status.ok()) {
      return status;
    }
    status = service_.Start(service, [this](Receiver::Context& context) { return std::make_unique<Receiver>(context, inlet_); });
    if (!status.ok()) {
      return status;
    }
    AddRoutes();
    const absl::StatusOr<HostPort> admin_at = NumericListen(options_.admin);
    status = !admin_at.ok() ? admin_at.status()
                            : http_.Start({.host = admin_at->host,
                                           .port = admin_at->port,
                                           .allow_remote = options_.admin_remote,
                                           .hosts = options_.admin_hosts});
    leave.reset();
    if (status.ok()) {
      const SocketAddress listen = service.listen_address.WithPort(service_.port());
      std::fprintf(stderr, "%s %s: page http://%s/, rows %s behind\nready: listening on %s, admin %s (pid %d)\n", kProgram,
                   cli::Version(), http_.address().c_str(), cli::DurationToString(options_.delay_ns).c_str(),
                   listen.ToString().c_str(), http_.address().c_str(), getpid());
    }
    return status;
  }

  int Go() {
    for (;;) {
      const cli::SignalEvent event = signals_.Wait(kPollNs);
      Poll(false);
      if (event == cli::SignalEvent::kStop) {
        break;
      }
      if (event == cli::SignalEvent::kStatus) {
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
    http_.Get("/v1/status", [this](const http::Request&) { return http::JsonResponse(Status()); });
    watch_.AddTo(http_, [this] { return MonitorFamilies(monitor_.Look(), RefusedBy(inlet_), wall_.Count().count); });
  }

  // Browsers may hold on to their streams for a moment; a second signal does not wait for them.
  void EndHttp() {
    std::atomic<bool> ended{false};
    std::thread stop([&] {
      http_.Stop();
      ended.store(true, std::memory_order_release);  // the end, before the word of it
    });
    while (!ended.load(std::memory_order_acquire)) {
      if (signals_.Wait(10 * time::kNsPerMs) == cli::SignalEvent::kStopNow) {
        std::_Exit(signals_.exit_code());
      }
    }
    stop.join();
  }

  nlohmann::json Status() const {
    nlohmann::json status = StatusJson(monitor_.Look());
    status["pid"] = getpid();
    status["clock"] = watch::ClockStepsJson(wall_.Count());
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
      std::fprintf(stderr, "%s %s\n", cli::ClockTime(time::UnixSecond(clock_.WallNs())).c_str(), line.c_str());
    }
    // A copy of every source: often enough for who reads a status page, seldom enough to cost nothing with a thousand.
    if (const int64_t now_ns = clock_.MonotonicNs(); all || now_ns - published_ns_ >= kPublishNs) {
      monitor_.Publish();
      published_ns_ = now_ns;
    }
  }

  void Show(const Told& told) {
    watch_.Take(
        {.row = told.row, .document = watch::RowJson(told.row, /*unknown=*/true), .cells = CellsOf(told.row, told.hosts)});
    csv_.Write(watch::CsvLine(told.row));
    for (const auto& [source, record] : told.sources) {
      sources_csv_.Write(SourceCsvLine(source, record));
    }
  }

  int Close() {
    if (options_.json) {
      watch_.WriteJson({{"account", monitor_.CloseJson()}});
    } else {
      cli::WriteOut(stdout, monitor_.ClosingText());
    }
    if (csv_.lost() + sources_csv_.lost() > 0) {
      std::fprintf(stderr, "%s: %llu lines found no room on the disk\n", kProgram,
                   static_cast<unsigned long long>(csv_.lost() + sources_csv_.lost()));
    }
    if (!options_.report.empty()) {
      const cli::LeaveAtSignal leave(signals_);  // a report may be a pipe that nobody reads
      nlohmann::json report = monitor_.ReportJson();
      report.update(Status());
      if (const absl::Status status = cli::WriteReport(options_.report, report); !status.ok()) {
        return Fail(status);
      }
    }
    const int code = csv_.lost() + sources_csv_.lost() > 0 ? cli::kCouldNot : cli::kDone;
    const int judged = monitor_.ExitCode();
    return judged != 0 ? judged : cli::ExitCodeOfOutput(code);
  }

  const Options& options_;
  cli::Signals& signals_;
  const time::RealClock clock_;
  time::WallSteps wall_{clock_};
  uint64_t steps_ = 0;
  watch::ClockNews news_;
  Inlet inlet_;
  net::Service<Receiver> service_;
  Monitor monitor_;
  watch::Watch watch_;
  http::AdminServer http_;
  LineFile csv_, sources_csv_;
  int64_t published_ns_ = 0;
};

int Main(int argc, const char* const* argv) {
  cli::Signals signals;  // before any thread
  Options options;
  {
    const cli::LeaveAtSignal leave(signals);  // a file of flags may be a pipe that nobody writes
    if (const absl::optional<int> code = ParseOptions(argc, argv, options)) {
      return *code;
    }
  }
  Run run(options, signals);
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
