// hongbao-server: options -> Server -> rows and admin -> drain -> report. Everything else is in the library.

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "libhongbao/cli/exit_codes.h"
#include "libhongbao/cli/json_lines.h"
#include "libhongbao/cli/linger.h"
#include "libhongbao/cli/numbers.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/cli/report.h"
#include "libhongbao/cli/signals.h"
#include "libhongbao/cli/standard_streams.h"
#include "libhongbao/http/admin_server.h"
#include "libhongbao/net/set_up.h"
#include "libhongbao/serve/server.h"
#include "libhongbao/watch/watch.h"
#include "server/metrics.h"
#include "server/money.h"
#include "server/options.h"
#include "server/reporter.h"
#include "server/routes.h"
#include "server/status.h"

namespace hongbao::server {
namespace {

constexpr const char* kProgram = "hongbao-server";

int CouldNotRun(const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", kProgram, std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kDataLoss ? cli::kDoesNotReconcile : cli::kCouldNot;
}

void SayStatus(const serve::Server& server, const ProcessFacts& facts, const time::Clock& clock) {
  const auto status = StatusJson(server, server.Look(), facts, clock);
  std::fprintf(stderr, "%s\n", status.dump(2).c_str());
}

// One more look a little after each full second, when the workers have filed the one before.
int64_t UntilNextLook(const time::Clock& clock) {
  return time::kNsPerSecond - clock.WallNs() % time::kNsPerSecond + 20 * time::kNsPerMs;
}

// Serves until a signal comes, then drains while a second signal may still end it all.
void RunUntilStopped(serve::Server& server, const ProcessFacts& facts, const time::Clock& clock, const Options& options,
                     cli::Signals& signals, Reporter& reporter, watch::Watch& watch) {
  for (;;) {
    const cli::SignalEvent event = signals.Wait(UntilNextLook(clock));
    reporter.Collect();
    watch.Tick();
    if (event == cli::SignalEvent::kStop) {
      break;
    }
    if (event == cli::SignalEvent::kStatus) {
      SayStatus(server, facts, clock);
    }
  }
  std::fprintf(stderr, "%s: draining, at most %s; a second signal leaves at once\n", kProgram,
               cli::DurationToString(options.drain_ms * time::kNsPerMs).c_str());
  std::atomic<bool> drained{false};
  std::thread drain([&] {
    server.Drain(static_cast<uint32_t>(options.drain_ms));
    drained.store(true, std::memory_order_release);  // all that Drain has done, before the word that it is done
  });
  while (!drained.load(std::memory_order_acquire)) {
    if (signals.Wait(20 * time::kNsPerMs) == cli::SignalEvent::kStopNow) {
      std::_Exit(signals.exit_code());
    }
    reporter.Collect();
    watch.Tick();
  }
  drain.join();
  reporter.Collect();
}

int Report(serve::Server& server, const ProcessFacts& facts, const time::Clock& clock, const Options& options,
           const cli::Signals& signals, const Reporter& reporter) {
  const serve::ServerCounts counts = server.Look();
  const std::vector<serve::Identity> identities = serve::Identities(counts, server.LookAtRest());
  nlohmann::json document = StatusJson(server, counts, facts, clock);
  AddReport(document, reporter.seconds(), identities);
  int code = cli::kDone;
  for (const serve::Identity& identity : identities) {
    if (!identity.holds) {
      std::fprintf(stderr, "%s: does not hold: %s\n", kProgram, identity.name.c_str());
      code = cli::kDoesNotReconcile;
    }
  }
  if (options.json) {
    cli::JsonLines(stdout).Write(document);
  }
  if (!options.report.empty()) {
    const cli::LeaveAtSignal leave(signals);  // a report may be a pipe that nobody reads
    if (const absl::Status status = cli::WriteReport(options.report, document); !status.ok()) {
      return CouldNotRun(status);
    }
  }
  std::fprintf(stderr, "%s: %s: %llu connections, %llu requests, won %s of %s yuan issued\n", kProgram,
               code == 0 ? "pass" : "fail", static_cast<unsigned long long>(counts.net[net::Counter::kAccepted]),
               static_cast<unsigned long long>(counts.serve[serve::Counter::kReceived]),
               cli::Yuan(static_cast<int64_t>(counts.serve[serve::Counter::kWonFen])).c_str(),
               cli::Yuan(counts.issued.sum.value()).c_str());
  return code;
}

int AuditOnly(const std::string& ledger) {
  const absl::Status status = PrintAudit(ledger);
  return status.ok() ? cli::ExitCodeOfOutput(0) : CouldNotRun(status);
}

void SayReady(const serve::Server& server, const ProcessFacts& facts, const std::string& admin_address, const Options& options) {
  std::fprintf(stderr, "%s %s: %s\nready: listening on %s, admin %s (pid %d)\n", kProgram, cli::Version(),
               server.plan().ToString().c_str(), facts.listen.c_str(), admin_address.c_str(), getpid());
  if (!options.server.user_token && !options.server.listen_address.IsLoopback()) {
    std::fprintf(stderr, "%s: whoever reaches %s may log in as any user: --user-key-file asks for tokens\n", kProgram,
                 facts.listen.c_str());
  }
}

int Main(int argc, const char* const* argv) {
  Options options;
  cli::Signals signals;                                               // before any thread
  absl::optional<cli::LeaveAtSignal> leave(absl::in_place, signals);  // until it serves: files and a recovery take their time
  if (const absl::optional<int> code = ParseOptions(argc, argv, options)) {
    return *code;
  }
  if (const absl::Status status = options.report.empty() ? absl::OkStatus() : cli::CheckReportPath(options.report);
      !status.ok()) {
    return CouldNotRun(status);
  }
  if (options.audit_only) {
    return AuditOnly(options.ledger);
  }
  if (const absl::Status status = ResolveAddresses(options); !status.ok()) {
    return CouldNotRun(status);
  }
  const time::RealClock clock;
  absl::StatusOr<std::unique_ptr<ledger::Ledger>> ledger =
      OpenLedger(options.ledger, clock.WallNs() / time::kNsPerMs, options.server.clock_settle_ns / time::kNsPerMs);
  if (!ledger.ok()) {
    return CouldNotRun(ledger.status());
  }
  absl::StatusOr<std::unique_ptr<serve::Server>> server = serve::Server::Start(options.server, &clock, *std::move(ledger));
  if (!server.ok()) {
    return CouldNotRun(server.status());
  }
  const ProcessFacts facts{.listen = options.server.listen_address.WithPort((*server)->port()).ToString(),
                           .ledger = options.ledger,
                           .started_ns = clock.MonotonicNs()};
  watch::Watch watch({.role = "server",
                      .title = "hongbao-server " + facts.listen,
                      .monitor = options.monitor,
                      .columns = RowColumns(),
                      .quiet = options.quiet,
                      .json = options.json},
                     clock);  // outlives the AdminServer that answers from it
  http::AdminServer admin;
  watch.AddTo(admin, [&server, &watch] {
    return ServerFamilies((*server)->Look(), {.draining = (*server)->draining(), .last_unix_s = watch.LastUnixSecond()});
  });
  AddRoutes(admin, **server, facts, clock, options.compat);
  if (const absl::Status status = admin.Start({.host = options.admin.host,
                                               .port = options.admin.port,
                                               .allow_remote = options.admin_remote,
                                               .hosts = options.admin_hosts});
      !status.ok()) {
    return CouldNotRun(status);
  }
  leave.reset();  // whoever reads "ready" may send the signal to drain
  SayReady(**server, facts, admin.address(), options);
  Reporter reporter(**server, clock, watch);
  RunUntilStopped(**server, facts, clock, options, signals, reporter, watch);
  const int code = Report(**server, facts, clock, options, signals, reporter);
  watch.End(code);
  cli::Linger(signals, options.linger_ns, admin.address(), [&] { SayStatus(**server, facts, clock); });
  admin.Stop();
  return cli::ExitCodeOfOutput(code);
}

}  // namespace
}  // namespace hongbao::server

int main(int argc, char** argv) {
  return hongbao::net::RunMain("hongbao-server", [&] { return hongbao::server::Main(argc, argv); });
}
