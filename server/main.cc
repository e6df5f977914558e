// hongbao-server: options -> Server -> rows and admin -> drain -> report. Everything else is in the library.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "libhongbao/admin/http_admin.h"
#include "libhongbao/admin/json_lines.h"
#include "libhongbao/admin/linger.h"
#include "libhongbao/admin/options.h"
#include "libhongbao/admin/page.h"
#include "libhongbao/admin/report.h"
#include "libhongbao/admin/signals.h"
#include "libhongbao/admin/standard_streams.h"
#include "libhongbao/admin/token_file.h"
#include "libhongbao/admin/user_keys.h"
#include "libhongbao/net/set_up.h"
#include "libhongbao/serve/server.h"
#include "server/metrics.h"
#include "server/money.h"
#include "server/reporter.h"
#include "server/routes.h"
#include "server/status.h"
#include "server/teller.h"

namespace hongbao::server {
namespace {

constexpr const char* kProgram = "hongbao-server";
constexpr const char* kFooter = R"(examples:
  hongbao-server                               a million users on port 1025, money in memory
  hongbao-server --ledger sqlite:money.ledger  money that survives a kill -9
  hongbao-server --listen 127.0.0.1:0 --quiet  a free port, printed on stderr; no rows
  hongbao-server --audit-only --ledger sqlite:money.ledger

exit codes:
  0    served and drained, and everything reconciles; also --help and --version
  1    could not start or write: a port, a limit, a file; the reason is on stderr
  2    wrong flags
  4    something does not reconcile, or the ledger is damaged
  5    a commit failed while serving: what was not answered may not be on disk
  130  left at once at a second signal, the first was SIGINT
  143  the same, the first was SIGTERM
  129  the same, the first was SIGHUP)";
constexpr int kCouldNotRun = 1;
constexpr int kDoesNotReconcile = 4;

struct Flags {
  admin::HostPort listen{.host = "0.0.0.0", .port = 1025};
  admin::HostPort monitor;  // an empty host: nobody is told
  admin::HostPort admin{.host = "127.0.0.1", .port = 8989};
  serve::ServerOptions server{.clock_settle_ns = 300 * time::kNsPerSecond};
  int64_t login_deadline_ms = 5'000;
  int64_t frame_deadline_ms = 5'000;
  int64_t idle_timeout_ms = 240'000;
  int64_t unsent_deadline_ms = 15'000;
  int64_t drain_ms = 10'000;
  int64_t linger_ns = 0;
  int64_t queue_wait_ns = 20 * time::kNsPerMs;
  bool admin_remote = false;
  bool compat = false;
  bool quiet = false;
  bool json = false;
  bool audit_only = false;
  std::string ledger = "none";
  std::vector<std::string> admin_hosts;
  std::string gateway_token_file;
  std::string user_key_file;
  std::string report;
};

void AddOptions(CLI::App& app, Flags& flags) {
  constexpr int64_t kDayMs = 24 * 3'600'000;
  serve::ServerOptions& server = flags.server;
  admin::AddHostPort(app, "--listen", &flags.listen,
                     "address for clients, a number or a name; port 0 = a free one; [::]:1025 is IPv6 and IPv4");
  admin::AddHostPort(app, "--admin", &flags.admin, "address for HTTP; whoever reaches it can issue money");
  admin::AddSwitch(app, "--admin-remote", &flags.admin_remote, "allow --admin to be off the loopback interface");
  admin::AddAdminHosts(app, &flags.admin_hosts);
  admin::AddCount(app, "--users-max", &server.users_max, "users 0..N-1 may log in", {.min = 1});
  admin::AddCount(app, "--connections-max", &server.connections_max, "connections at most", {.min = 1, .max = 1 << 26});
  admin::AddCount(app, "-t,--workers", &server.workers, "threads, 0 = one per processor", {.max = 256});
  admin::AddTuning(app, &server.tuning);
  admin::AddCount(app, "--max-qps", &server.max_qps, "shakes and sends per second, 0 = no limit",
                  {.max = 1'000'000'000});
  admin::AddDurationNs(app, "--queue-wait-max", &flags.queue_wait_ns,
                       "average wait of requests above which fewer users are admitted, 0 = never",
                       {.max = 60 * time::kNsPerSecond, .step = time::kNsPerUs});
  admin::AddCount(app, "--wins-per-user", &server.wins_per_user, "shake wins of one user at most, 0 = no limit",
                  {.max = serve::Directory::kShakeWinsMax});
  admin::AddDurationMs(app, "--gift-expiry", &server.gift_expiry_ms, "what is not opened by then goes back",
                       {.min = 1, .max = 365 * kDayMs});
  admin::AddDurationNs(app, "--clock-settle", &flags.server.clock_settle_ns,
                       "no gift expires by a wall clock that is further than this from what the ledger saw last, until the "
                       "kernel says that it is kept or it has stood for so long; 0 = any clock is good",
                       {.max = 24 * 3'600 * time::kNsPerSecond});
  admin::AddCount(app, "--gifts-max", &server.gifts_max, "gifts that have not expired, at most",
                  {.min = 256, .max = (1 << 26) - 1});
  admin::AddCount(app, "--gifts-per-sender", &server.gifts_per_sender,
                  "gifts of one sender that have not expired, 0 = no limit", {.max = 1'000'000});
  admin::AddCount(app, "--gifts-per-pair", &server.gifts_per_pair,
                  "of those to one and the same user, in each thread's book, 0 = no limit", {.max = 1'000'000});
  admin::AddText(app, "--ledger", &flags.ledger,
                 "where money is durable: a file, made if it is not there, or none: it lives as long as this process")
      ->type_name("sqlite:FILE|none");
  admin::AddCount(app, "--ledger-waiting-max", &server.ledger_waiting_max,
                  "records under way to the ledger; beyond it shakes and sends are answered \"overloaded\"",
                  {.min = 256, .max = 1 << 22});
  admin::AddSwitch(app, "--audit-only", &flags.audit_only, "check every identity of the ledger, print them, and end");
  admin::AddFile(app, "--gateway-token-file", &flags.gateway_token_file,
                 "let gateways in, connections that carry many users, that know the 32 hex digits in this file");
  admin::AddFile(app, "--user-key-file", &flags.user_key_file,
                 "let in only logins with a token made with a key in this file, 64 hex digits a line; else anybody may be "
                 "any user");
  admin::AddCount(app, "--gateways-max", &server.gateways_max, "gateways at most, per thread", {.min = 1, .max = 1'024});
  admin::AddDurationMs(app, "--login-deadline", &flags.login_deadline_ms, "how long the first frame may take, 0 = for ever",
                       {.max = kDayMs});
  admin::AddDurationMs(app, "--frame-deadline", &flags.frame_deadline_ms,
                       "how long the rest of a frame that has begun may take", {.min = 1, .max = kDayMs});
  admin::AddDurationMs(app, "--idle-timeout", &flags.idle_timeout_ms,
                       "a connection without a byte for so long is closed, 0 = never", {.max = 7 * kDayMs});
  admin::AddDurationMs(app, "--unsent-deadline", &flags.unsent_deadline_ms,
                       "who is held back for not reading, and takes nothing for so long, is closed", {.min = 100, .max = kDayMs});
  admin::AddDurationMs(app, "--peer-timeout", &server.sockets.peer_timeout_ms,
                       "a peer whose machine acknowledges nothing for so long is gone (TCP_USER_TIMEOUT), 0 = the kernel's own "
                       "time",
                       {.max = kDayMs});
  admin::AddDurationMs(app, "--keepalive", &server.sockets.keepalive_ms,
                       "a peer that is silent for so long is asked by TCP whether it is there, 0 = never", {.max = kDayMs / 4});
  admin::AddDurationMs(app, "--drain", &flags.drain_ms, "time to send what is owed after SIGINT or SIGTERM", {.max = kDayMs});
  admin::AddDurationNs(app, "--linger", &flags.linger_ns, "after the end, keep /metrics and the other pages up so long",
                       {.max = 24 * 3'600 * time::kNsPerSecond});
  admin::AddSwitch(app, "--compat", &flags.compat, "also the prototype's GET /yaohongbao and /fahongbao");
  admin::AddHostPort(app, "--monitor", &flags.monitor, "tell hongbao-monitor there of every second; it may be absent");
  admin::AddFile(app, "--report", &flags.report, "write a JSON report to this file at the end");
  admin::AddSwitch(app, "-q,--quiet", &flags.quiet, "no rows");
  admin::AddSwitch(app, "--json", &flags.json, "rows as JSON on stdout, one a line, the report as the last line");
}

// An error names the flag.
absl::Status Settle(Flags& flags) {
  if (absl::Status status = CheckLedgerFlag(flags.ledger); !status.ok()) {
    return status;
  }
  if (flags.monitor.port == 0 && !flags.monitor.host.empty()) {
    return absl::InvalidArgumentError("--monitor: nobody listens on port 0; give the port that hongbao-monitor prints");
  }
  if (!flags.gateway_token_file.empty()) {
    const absl::StatusOr<wire::Token> token = admin::ReadTokenFile(flags.gateway_token_file);
    if (!token.ok()) {
      return token.status();
    }
    flags.server.gateway_token = *token;
  }
  if (!flags.user_key_file.empty()) {
    absl::StatusOr<admin::UserKeys> keys = admin::UserKeys::ReadFile(flags.user_key_file);
    if (!keys.ok()) {
      return keys.status();
    }
    flags.server.user_token = [keys = *std::move(keys)](const wire::Token& token, uint32_t first_user, uint32_t user_count,
                                                        int64_t unix_s) {
      return keys.Check(token, first_user, user_count, unix_s);
    };
  }
  flags.server.login_deadline_ms = static_cast<uint32_t>(flags.login_deadline_ms);
  flags.server.frame_deadline_ms = static_cast<uint32_t>(flags.frame_deadline_ms);
  flags.server.idle_timeout_ms = static_cast<uint32_t>(flags.idle_timeout_ms);
  flags.server.unsent_deadline_ms = static_cast<uint32_t>(flags.unsent_deadline_ms);
  flags.server.delay.wait_max_us = flags.queue_wait_ns / time::kNsPerUs;
  return serve::Validate(flags.server);
}

// What the names among them stand for, here and now.
absl::Status ResolveAddresses(Flags& flags) {
  const absl::StatusOr<SocketAddress> listen = ResolveListen(flags.listen);
  const absl::StatusOr<HostPort> admin_at = NumericListen(flags.admin);
  if (!listen.ok() || !admin_at.ok()) {
    return !listen.ok() ? listen.status() : admin_at.status();
  }
  flags.server.listen_address = *listen;
  flags.admin = *admin_at;
  return absl::OkStatus();
}

int CouldNotRun(const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", kProgram, std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kDataLoss ? kDoesNotReconcile : kCouldNotRun;
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
void RunUntilStopped(serve::Server& server, const ProcessFacts& facts, const time::Clock& clock, const Flags& flags,
                     admin::Signals& signals, Reporter& reporter, Teller& teller) {
  for (;;) {
    const admin::SignalEvent event = signals.Wait(UntilNextLook(clock));
    reporter.Collect();
    teller.Tell(reporter.TakeFresh());
    if (event == admin::SignalEvent::kStop) {
      break;
    }
    if (event == admin::SignalEvent::kStatus) {
      SayStatus(server, facts, clock);
    }
  }
  std::fprintf(stderr, "%s: draining, at most %s; a second signal leaves at once\n", kProgram,
               admin::DurationToString(flags.drain_ms * time::kNsPerMs).c_str());
  std::atomic<bool> drained{false};
  std::thread drain([&] {
    server.Drain(static_cast<uint32_t>(flags.drain_ms));
    drained.store(true, std::memory_order_release);  // all that Drain has done, before the word that it is done
  });
  while (!drained.load(std::memory_order_acquire)) {
    if (signals.Wait(20 * time::kNsPerMs) == admin::SignalEvent::kStopNow) {
      std::_Exit(signals.exit_code());
    }
    reporter.Collect();
    teller.Tell(reporter.TakeFresh());
  }
  drain.join();
  reporter.Collect();
}

int Report(serve::Server& server, const ProcessFacts& facts, const time::Clock& clock, const Flags& flags,
           const admin::Signals& signals, const Reporter& reporter) {
  const serve::ServerCounts counts = server.Look();
  const std::vector<serve::Identity> identities = serve::Identities(counts, server.LookAtRest());
  nlohmann::json document = StatusJson(server, counts, facts, clock);
  AddReport(document, reporter.seconds(), identities);
  int code = 0;
  for (const serve::Identity& identity : identities) {
    if (!identity.holds) {
      std::fprintf(stderr, "%s: does not hold: %s\n", kProgram, identity.name.c_str());
      code = kDoesNotReconcile;
    }
  }
  if (flags.json) {
    admin::JsonLines(stdout).Write(document);
  }
  if (!flags.report.empty()) {
    const admin::LeaveAtSignal leave(signals);  // a report may be a pipe that nobody reads
    if (const absl::Status status = admin::WriteReport(flags.report, document); !status.ok()) {
      return CouldNotRun(status);
    }
  }
  std::fprintf(stderr, "%s: %s: %llu connections, %llu requests, won %s of %s yuan issued\n", kProgram,
               code == 0 ? "pass" : "fail", static_cast<unsigned long long>(counts.net[net::Counter::kAccepted]),
               static_cast<unsigned long long>(counts.serve[serve::Counter::kReceived]),
               admin::Yuan(static_cast<int64_t>(counts.serve[serve::Counter::kWonFen])).c_str(),
               admin::Yuan(counts.issued.sum.value()).c_str());
  return code;
}

int AuditOnly(const std::string& ledger) {
  const absl::Status status = PrintAudit(ledger);
  return status.ok() ? admin::ExitCodeOfOutput(0) : CouldNotRun(status);
}

void SayReady(const serve::Server& server, const ProcessFacts& facts, const std::string& admin_address, const Flags& flags) {
  std::fprintf(stderr, "%s %s: %s\nready: listening on %s, admin %s (pid %d)\n", kProgram, admin::Version(),
               server.plan().ToString().c_str(), facts.listen.c_str(), admin_address.c_str(), getpid());
  if (!flags.server.user_token && !flags.server.listen_address.IsLoopback()) {
    std::fprintf(stderr, "%s: whoever reaches %s may log in as any user: --user-key-file asks for tokens\n", kProgram,
                 facts.listen.c_str());
  }
}

int Main(int argc, const char* const* argv) {
  CLI::App app{"hongbao-server: red envelopes for a million connections."};
  app.footer(kFooter);
  Flags flags;
  AddOptions(app, flags);
  admin::Signals signals;  // before any thread
  absl::optional<admin::LeaveAtSignal> leave(absl::in_place, signals);  // until it serves: files and a recovery take their time
  if (const absl::optional<int> code = admin::ParseCommandLine(app, kProgram, argc, argv)) {
    return *code;
  }
  if (const absl::Status status = Settle(flags); !status.ok()) {
    return admin::UsageError(kProgram, std::string(status.message()));
  }
  if (const absl::Status status = flags.report.empty() ? absl::OkStatus() : admin::CheckReportPath(flags.report);
      !status.ok()) {
    return CouldNotRun(status);
  }
  if (flags.audit_only) {
    return AuditOnly(flags.ledger);
  }
  if (const absl::Status status = ResolveAddresses(flags); !status.ok()) {
    return CouldNotRun(status);
  }
  const time::RealClock clock;
  absl::StatusOr<std::unique_ptr<ledger::Ledger>> ledger = OpenLedger(
      flags.ledger, clock.WallNs() / time::kNsPerMs, flags.server.clock_settle_ns / time::kNsPerMs);
  if (!ledger.ok()) {
    return CouldNotRun(ledger.status());
  }
  absl::StatusOr<std::unique_ptr<serve::Server>> server = serve::Server::Start(flags.server, &clock, *std::move(ledger));
  if (!server.ok()) {
    return CouldNotRun(server.status());
  }
  const ProcessFacts facts{.listen = flags.server.listen_address.WithPort((*server)->port()).ToString(),
                           .ledger = flags.ledger,
                           .started_ns = clock.MonotonicNs()};
  admin::RecentRows recent;  // outlives the server that answers from it, as the page does
  admin::Page page("server", "hongbao-server " + facts.listen);
  admin::MetricsPage metrics("server");
  metrics.Add(admin::Collects([&server, &recent] {
    return ServerFamilies((*server)->Look(), {.draining = (*server)->draining(), .last_unix_s = recent.LastUnixSecond()});
  }));
  admin::AdminServer admin;
  metrics.AddTo(admin);
  AddRoutes(admin, **server, facts, clock, flags.compat);
  page.AddTo(admin);
  admin.Get("/v1/series", [&recent](const admin::Request& request) { return recent.Answer(request); });
  if (const absl::Status status =
          admin.Start({.host = flags.admin.host,
                       .port = flags.admin.port,
                       .allow_remote = flags.admin_remote,
                       .hosts = flags.admin_hosts});
      !status.ok()) {
    return CouldNotRun(status);
  }
  leave.reset();  // whoever reads "ready" may send the signal to drain
  SayReady(**server, facts, admin.address(), flags);
  Reporter reporter(**server, clock, flags.quiet, flags.json, recent, page);
  Teller teller(flags.monitor, **server, clock);
  RunUntilStopped(**server, facts, clock, flags, signals, reporter, teller);
  const int code = Report(**server, facts, clock, flags, signals, reporter);
  teller.TellEnd(reporter.TakeFresh(), reporter.newest(), code);
  admin::Linger(signals, flags.linger_ns, admin.address(), [&] { SayStatus(**server, facts, clock); });
  admin.Stop();
  return admin::ExitCodeOfOutput(code);
}

}  // namespace
}  // namespace hongbao::server

int main(int argc, char** argv) {
  return hongbao::net::RunMain("hongbao-server", [&] { return hongbao::server::Main(argc, argv); });
}
