#include "server/options.h"

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/cli/token_file.h"
#include "libhongbao/cli/user_keys.h"
#include "server/money.h"

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

void AddOptions(CLI::App& app, Options& options) {
  constexpr int64_t kDayMs = 24 * 3'600'000;
  serve::ServerOptions& server = options.server;
  cli::AddHostPort(app, "--listen", &options.listen,
                   "address for clients, a number or a name; port 0 = a free one; [::]:1025 is IPv6 and IPv4");
  cli::AddHostPort(app, "--admin", &options.admin, "address for HTTP; whoever reaches it can issue money");
  cli::AddSwitch(app, "--admin-remote", &options.admin_remote, "allow --admin to be off the loopback interface");
  cli::AddAdminHosts(app, &options.admin_hosts);
  cli::AddCount(app, "--users-max", &server.users_max, "users 0..N-1 may log in", {.min = 1});
  cli::AddCount(app, "--connections-max", &server.connections_max, "connections at most", {.min = 1, .max = 1 << 26});
  cli::AddCount(app, "-t,--workers", &server.workers, "threads, 0 = one per processor", {.max = 256});
  cli::AddTuning(app, &server.tuning);
  cli::AddCount(app, "--max-qps", &server.max_qps, "shakes and sends per second, 0 = no limit", {.max = 1'000'000'000});
  cli::AddDurationNs(app, "--queue-wait-max", &options.queue_wait_ns,
                     "average wait of requests above which fewer users are admitted, 0 = never",
                     {.max = 60 * time::kNsPerSecond, .step = time::kNsPerUs});
  cli::AddCount(app, "--wins-per-user", &server.wins_per_user, "shake wins of one user at most, 0 = no limit",
                {.max = serve::Directory::kShakeWinsMax});
  cli::AddDurationMs(app, "--gift-expiry", &server.gift_expiry_ms, "what is not opened by then goes back",
                     {.min = 1, .max = 365 * kDayMs});
  cli::AddDurationNs(app, "--clock-settle", &options.server.clock_settle_ns,
                     "no gift expires by a wall clock that is further than this from what the ledger saw last, until the "
                     "kernel says that it is kept or it has stood for so long; 0 = any clock is good",
                     {.max = 24 * 3'600 * time::kNsPerSecond});
  cli::AddCount(app, "--gifts-max", &server.gifts_max, "gifts that have not expired, at most",
                {.min = 256, .max = (1 << 26) - 1});
  cli::AddCount(app, "--gifts-per-sender", &server.gifts_per_sender, "gifts of one sender that have not expired, 0 = no limit",
                {.max = 1'000'000});
  cli::AddCount(app, "--gifts-per-pair", &server.gifts_per_pair,
                "of those to one and the same user, in each thread's book, 0 = no limit", {.max = 1'000'000});
  cli::AddText(app, "--ledger", &options.ledger,
               "where money is durable: a file, made if it is not there, or none: it lives as long as this process")
      ->type_name("sqlite:FILE|none");
  cli::AddCount(app, "--ledger-waiting-max", &server.ledger_waiting_max,
                "records under way to the ledger; beyond it shakes and sends are answered \"overloaded\"",
                {.min = 256, .max = 1 << 22});
  cli::AddSwitch(app, "--audit-only", &options.audit_only, "check every identity of the ledger, print them, and end");
  cli::AddFile(app, "--gateway-token-file", &options.gateway_token_file,
               "let gateways in, connections that carry many users, that know the 32 hex digits in this file");
  cli::AddFile(app, "--user-key-file", &options.user_key_file,
               "let in only logins with a token made with a key in this file, 64 hex digits a line; else anybody may be "
               "any user");
  cli::AddCount(app, "--gateways-max", &server.gateways_max, "gateways at most, per thread", {.min = 1, .max = 1'024});
  cli::AddDurationMs(app, "--login-deadline", &options.login_deadline_ms, "how long the first frame may take, 0 = for ever",
                     {.max = kDayMs});
  cli::AddDurationMs(app, "--frame-deadline", &options.frame_deadline_ms, "how long the rest of a frame that has begun may take",
                     {.min = 1, .max = kDayMs});
  cli::AddDurationMs(app, "--idle-timeout", &options.idle_timeout_ms,
                     "a connection without a byte for so long is closed, 0 = never", {.max = 7 * kDayMs});
  cli::AddDurationMs(app, "--unsent-deadline", &options.unsent_deadline_ms,
                     "who is held back for not reading, and takes nothing for so long, is closed", {.min = 100, .max = kDayMs});
  cli::AddDurationMs(app, "--peer-timeout", &server.sockets.peer_timeout_ms,
                     "a peer whose machine acknowledges nothing for so long is gone (TCP_USER_TIMEOUT), 0 = the kernel's own "
                     "time",
                     {.max = kDayMs});
  cli::AddDurationMs(
      app, "--keepalive", &server.sockets.keepalive_ms,
      "a peer that is silent for so long is asked by TCP whether it is there, 0 = never; not asked when it listens on loopback",
      {.max = kDayMs / 4});
  cli::AddDurationMs(app, "--drain", &options.drain_ms, "time to send what is owed after SIGINT or SIGTERM", {.max = kDayMs});
  cli::AddDurationNs(app, "--linger", &options.linger_ns, "after the end, keep /metrics and the other pages up so long",
                     {.max = 24 * 3'600 * time::kNsPerSecond});
  cli::AddSwitch(app, "--compat", &options.compat, "also the prototype's GET /yaohongbao and /fahongbao");
  cli::AddHostPort(app, "--monitor", &options.monitor, "tell hongbao-monitor there of every second; it may be absent");
  cli::AddFile(app, "--report", &options.report, "write a JSON report to this file at the end");
  cli::AddSwitch(app, "-q,--quiet", &options.quiet, "no rows");
  cli::AddSwitch(app, "--json", &options.json, "rows as JSON on stdout, one a line, the report as the last line");
}

// An error names the flag.
absl::Status Settle(Options& options) {
  if (absl::Status status = CheckLedgerFlag(options.ledger); !status.ok()) {
    return status;
  }
  if (options.monitor.port == 0 && !options.monitor.host.empty()) {
    return absl::InvalidArgumentError("--monitor: nobody listens on port 0; give the port that hongbao-monitor prints");
  }
  if (!options.gateway_token_file.empty()) {
    const absl::StatusOr<wire::Token> token = cli::ReadTokenFile(options.gateway_token_file);
    if (!token.ok()) {
      return token.status();
    }
    options.server.gateway_token = *token;
  }
  if (!options.user_key_file.empty()) {
    absl::StatusOr<cli::UserKeys> keys = cli::UserKeys::ReadFile(options.user_key_file);
    if (!keys.ok()) {
      return keys.status();
    }
    options.server.user_token = [keys = *std::move(keys)](const wire::Token& token, uint32_t first_user, uint32_t user_count,
                                                          int64_t unix_s) {
      return keys.Check(token, first_user, user_count, unix_s);
    };
  }
  options.server.login_deadline_ms = static_cast<uint32_t>(options.login_deadline_ms);
  options.server.frame_deadline_ms = static_cast<uint32_t>(options.frame_deadline_ms);
  options.server.idle_timeout_ms = static_cast<uint32_t>(options.idle_timeout_ms);
  options.server.unsent_deadline_ms = static_cast<uint32_t>(options.unsent_deadline_ms);
  options.server.delay.wait_max_us = options.queue_wait_ns / time::kNsPerUs;
  return serve::Validate(options.server);
}

}  // namespace

absl::optional<int> ParseOptions(int argc, const char* const* argv, Options& options) {
  CLI::App app{"hongbao-server: red envelopes for a million connections."};
  app.footer(kFooter);
  AddOptions(app, options);
  if (const absl::optional<int> code = cli::ParseCommandLine(app, kProgram, argc, argv)) {
    return code;
  }
  if (const absl::Status status = Settle(options); !status.ok()) {
    return cli::UsageError(kProgram, std::string(status.message()));
  }
  return absl::nullopt;
}

absl::Status ResolveAddresses(Options& options) {
  const absl::StatusOr<SocketAddress> listen = ResolveListen(options.listen);
  const absl::StatusOr<HostPort> admin_at = NumericListen(options.admin);
  if (!listen.ok() || !admin_at.ok()) {
    return !listen.ok() ? listen.status() : admin_at.status();
  }
  options.server.listen_address = *listen;
  options.admin = *admin_at;
  return absl::OkStatus();
}

}  // namespace hongbao::server
