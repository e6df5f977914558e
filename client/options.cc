#include "client/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/money_log.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/cli/token_file.h"
#include "libhongbao/cli/user_keys.h"
#include "libhongbao/time/clock.h"

namespace hongbao::client {
namespace {

constexpr char kProgram[] = "hongbao-client";
constexpr char kFooter[] = R"(examples:
  hongbao-client                       1,000 users, 50 requests/s, to 127.0.0.1:1025, until Ctrl-C
  hongbao-client --users 0-9999/10000 --qps 2k --duration 30s
  hongbao-client --profile 0s:0,30s:2k,5m:2k --fail-if 'p99<5ms,missed<0.1%'
                                       up to 2,000/s in 30 s; exit code 3 if it was too slow
  hongbao-client --server host5:1025 --users 500000-999999/1M --qps 60k
                                       the second of two machines

exit codes:
  0    done, and everything reconciles; also --help and --version
  1    could not start, run or write; the reason is on stderr
  2    wrong flags
  3    the schedule was not held, requests have no answer, users were taken by another client,
       nothing was measured, or a condition of --fail-if does not hold
  4    requests, money or a user's statement do not reconcile
  130  interrupted by SIGINT, with a partial report
  143  interrupted by SIGTERM, with a partial report
  129  interrupted by SIGHUP (the terminal is gone), with a partial report)";

// Which address makes no sense, and why; empty when all do.
std::string WrongAddress(const Options& options) {
  const auto is_nowhere = [](const HostPort& peer) { return peer.port == 0 && !peer.host.empty(); };
  if (is_nowhere(options.server) || is_nowhere(options.monitor)) {
    return absl::StrCat(is_nowhere(options.server) ? "--server" : "--monitor",
                        ": nobody listens on port 0; give the port that is printed there");
  }
  if (!options.admin_remote && !options.admin.IsLoopback()) {
    return absl::StrCat("--admin ", options.admin.ToString(),
                        ": whoever reaches it can change the rate; give 127.0.0.1:", options.admin.port,
                        " and reach it through ssh -L, or add --admin-remote");
  }
  return "";
}

// What only --gateways can have, and tokens, as it was given.
struct GatewayFlags {
  std::string token_file;
  std::string user_key_file;
  int64_t requests = 0;
  bool window = false;
};

// Why these flags do not go together; empty when they do.
std::string WrongTogether(const load::ClientOptions& load, const GatewayFlags& gateway, uint32_t qps) {
  if (load.gateways == 0) {
    return !gateway.token_file.empty() ? "--gateway-token-file is for --gateways"
           : load.max_rate             ? "--qps max needs --gateways: a connection for each user has no window to fill"
           : gateway.requests > 0      ? "--requests needs --gateways: they send every one, late if need be"
           : gateway.window            ? "--window needs --gateways"
                                       : "";
  }
  if (load.version != wire::Version::k2) {
    return "--gateways needs --protocol 2";
  }
  if (gateway.token_file.empty() && !load.user_token) {
    return "--gateways needs --gateway-token-file, the same as the server's (or --user-key-file)";
  }
  if (uint64_t{load.gateways} * 2 > load.users.count()) {
    return absl::StrCat("--gateways ", load.gateways, " for ", load.users.count(),
                        " users: a gateway carries two users at least");
  }
  if (load.users.count() / load.gateways >= wire::kGatewayUsersMax) {
    return absl::StrCat("--gateways ", load.gateways, " for ", load.users.count(), " users: a gateway carries at most ",
                        wire::kGatewayUsersMax, " users");
  }
  return gateway.requests > 0 && qps == 0 ? "--requests with --qps 0 would never end" : "";
}

void AddGatewayFlags(CLI::App& app, load::ClientOptions& load, GatewayFlags& gateway) {
  cli::AddCount(app, "--gateways", &load.gateways,
                "carry all users over so many connections, at least two each, requests back to back (protocol 2); none is "
                "dropped: what finds no room is sent late; latency is sampled, one request in 64; 0 = a connection for each "
                "user",
                {.max = load::kGatewaysMax});
  cli::AddFile(app, "--gateway-token-file", &gateway.token_file,
               "file with the 32 hex digits that the server lets gateways in for (openssl rand -hex 16 > FILE)");
  cli::AddFile(app, "--user-key-file", &gateway.user_key_file,
               "file with the server's user keys: log in with tokens made with the first of them (protocol 2)");
  cli::AddCount(app, "--requests", &gateway.requests,
                "with --gateways: so many requests of the whole fleet (with --qps max: of this client), then the answers, "
                "the statements, and the end, e.g. 10G; 0 = no limit. A rate set later by HTTP has none",
                {.max = static_cast<int64_t>(load::kRequestsMax)});
  cli::AddCount(app, "--window", &load.window, "with --gateways: requests without an answer at most, per gateway",
                {.min = 1, .max = 1 << 20});
}

// Tokens of our own making. They are good for a day, which the clocks of two machines do not differ by; each login has a new one.
absl::Status TakeUserKeys(const std::string& path, load::ClientOptions& load) {
  constexpr int64_t kLifetimeS = 24 * 3'600;
  if (path.empty()) {
    return absl::OkStatus();
  }
  if (load.version != wire::Version::k2) {
    return absl::InvalidArgumentError("--user-key-file needs --protocol 2: a version 1 login has no room for a token");
  }
  absl::StatusOr<cli::UserKeys> keys = cli::UserKeys::ReadFile(path);
  if (!keys.ok()) {
    return keys.status();
  }
  load.user_token = [keys = *std::move(keys)](uint32_t first_user, uint32_t user_count) {
    const int64_t now_s = time::UnixSecond(time::RealClock().WallNs());
    return keys.Make(first_user, user_count, static_cast<uint32_t>(now_s + kLifetimeS));
  };
  return absl::OkStatus();
}

// When a server's machine that answers nothing is given up.
void AddPeerFlags(CLI::App& app, ring::SocketOptions& sockets) {
  constexpr int64_t kDayMs = 24 * 3'600'000;
  cli::AddDurationMs(app, "--peer-timeout", &sockets.peer_timeout_ms,
                     "a server whose machine acknowledges nothing for so long is gone (TCP_USER_TIMEOUT), 0 = the kernel's own "
                     "time",
                     {.max = kDayMs});
  cli::AddDurationMs(
      app, "--keepalive", &sockets.keepalive_ms,
      "a server that is silent for so long is asked by TCP whether it is there, 0 = never; not asked over loopback",
      {.max = kDayMs / 4});
}

// How fast it connects, and when exactly a request leaves.
void AddPaceFlags(CLI::App& app, load::ClientOptions& load) {
  cli::AddCount(app, "--connect-rate", &load.connects_per_second, "connects a second at most", {.min = 1});
  cli::AddCount(app, "--connecting-max", &load.connecting_max_per_worker, "connects and logins under way at most, per thread",
                {.min = 1});
  cli::AddSwitch(app, "--burst", &load.burst, "all of a second's requests at its start, as in 2017");
  cli::AddDurationNs(app, "--late-max", &load.late_max_ns, "a request later than this is missed, not sent", {.min = 1'000'000});
  cli::AddDurationNs(app, "--send-quantum", &load.send_quantum_ns, "wake for due requests at most this often",
                     {.max = 100'000'000});
  AddPeerFlags(app, load.sockets);
}

// Where the server is, and the patience with it.
void AddServerFlags(CLI::App& app, Options& options) {
  cli::AddHostPort(app, "--server", &options.server, "where hongbao-server listens: a name, or a number of IPv4 or [IPv6]");
  cli::AddDurationNs(app, "--wait-for-server", &options.wait_for_server_ns,
                     "keep trying so long for a server that is still starting, or whose name is not known yet",
                     {.max = 86'400'000'000'000});
  cli::AddDurationNs(app, "--connect-timeout", &options.load.connect_timeout_ns,
                     "a connect, and a login's answer, may take so long; when nobody has logged in by then, "
                     "the client gives up",
                     {.min = 100'000'000, .max = 3'600'000'000'000});
  cli::AddDurationNs(app, "--answer-timeout", &options.load.answer_timeout_ns,
                     "a connection that says nothing for so long while requests wait is made anew, and in protocol 2 they are "
                     "repeated; 0 = never",
                     {.max = 86'400'000'000'000});
}

CLI::Option* AddQps(CLI::App& app, Options& options) {
  CLI::Option* qps = cli::AddCountOr(app, "--qps", &options.qps, "max", &options.load.max_rate,
                                     "requests a second of the whole fleet (0: none); max, with --gateways: no "
                                     "schedule, as fast as the answers come",
                                     {.max = time::kQpsMax});
  return qps->default_str("TOTAL/20");
}

// Settles what the gateway flags mean; the reason when they are wrong.
absl::Status TakeGatewayFlags(const GatewayFlags& gateway, Options& options) {
  load::ClientOptions& load = options.load;
  options.qps = load.max_rate ? time::kQpsMax : options.qps;
  if (absl::Status status = TakeUserKeys(gateway.user_key_file, load); !status.ok()) {
    return status;
  }
  if (const std::string wrong = WrongTogether(load, gateway, options.qps); !wrong.empty()) {
    return absl::InvalidArgumentError(wrong);
  }
  load.requests_max = static_cast<uint64_t>(gateway.requests);
  if (load.gateways > 0 && !gateway.token_file.empty()) {
    const absl::StatusOr<wire::Token> token = cli::ReadTokenFile(gateway.token_file);
    if (!token.ok()) {
      return token.status();
    }
    load.gateway_token = *token;
  }
  return absl::OkStatus();
}

CLI::Option* AddProfile(CLI::App& app, Options& options) {
  return cli::AddText(app, "--profile", &options.profile,
                      "the rate over time, linear from point to point: TIME:QPS,TIME:QPS.. from 0s on (the same time twice is "
                      "a jump), or a file with a point a line, or the series.csv of an earlier run, or gala2015: the curve of "
                      "that evening with --qps as its peak and --duration (4h) as its length. Ends with the last point, or "
                      "after --duration")
      ->type_name("TIME:QPS,..|FILE|gala2015");
}

// Settles what the profile means; the reason when it is wrong.
absl::Status TakeProfile(bool qps_given, const GatewayFlags& gateway, Options& options) {
  if (options.load.max_rate || gateway.requests > 0) {
    return absl::InvalidArgumentError("--profile says when each request is due: without --qps max and --requests");
  }
  const int64_t asked_s = (options.duration_ns + time::kNsPerSecond - 1) / time::kNsPerSecond;
  const bool scaled = qps_given || client::IsProfileName(options.profile);
  const absl::StatusOr<client::Profile> profile =
      client::LoadProfile(options.profile, {.seconds = asked_s, .peak = scaled ? options.qps : 0});
  if (!profile.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--profile: ", std::string(profile.status().message())));
  }
  const int64_t seconds = asked_s > 0 ? asked_s : profile->seconds();
  if (seconds == 0) {
    return absl::InvalidArgumentError("--profile: one point has no end: give --duration too, or a second point");
  }
  absl::StatusOr<std::vector<client::Profile::Step>> steps = profile->Steps(seconds);
  if (!steps.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--profile: ", std::string(steps.status().message())));
  }
  options.steps = *std::move(steps);
  options.qps = profile->Peak(seconds);
  options.duration_ns = seconds * time::kNsPerSecond;
  options.profile_requests = profile->Requests(seconds);
  return absl::OkStatus();
}

void AddOutputFlags(CLI::App& app, Options& options) {
  cli::AddAdminHosts(app, &options.admin_hosts);
  cli::AddDurationNs(app, "--linger", &options.linger_ns, "after the end, keep /metrics and the other pages up so long",
                     {.max = 86'400'000'000'000});
  cli::AddSwitch(app, "-q,--quiet", &options.quiet, "no rows");
  cli::AddSwitch(app, "--json", &options.json, "rows as JSON on stdout, one a line, the report as the last line");
  cli::AddFailIf(app, &options.thresholds,
                 "what has to hold at the end, or the exit code is 3: 'p99<1ms,missed==0' passes a run whose p99 is below 1 ms "
                 "and that missed nothing");
}

}  // namespace

absl::optional<int> ParseOptions(int argc, const char* const* argv, Options& options) {
  CLI::App app{
      "hongbao-client: simulated users who shake for red envelopes. Any number of clients, on any machines, keep one "
      "rate together by the clock alone: give each its part of the users and all the same --qps."};
  app.footer(kFooter);
  cli::UserRange users{0, 999, 1'000};
  cli::Sources sources;
  uint32_t protocol = 2;
  load::ClientOptions& load = options.load;
  GatewayFlags gateway;
  AddServerFlags(app, options);
  cli::AddUsers(app, "--users", &users, "this client's users, of how many in all");
  CLI::Option* qps = AddQps(app, options);
  CLI::Option* profile = AddProfile(app, options);
  cli::AddDurationNs(app, "--duration", &options.duration_ns,
                     "how long to send; 0 = until SIGINT or SIGTERM, or until all --requests are sent",
                     {.step = time::kNsPerSecond});  // rates begin and end with whole seconds
  AddGatewayFlags(app, load, gateway);
  cli::AddCount(app, "--protocol", &protocol, "version of the wire protocol", {.min = 1, .max = 2})->type_name("1|2");
  cli::AddHostPort(app, "--admin", &options.admin, "HTTP: status, rate; port 0 = a free one, printed");
  cli::AddSwitch(app, "--admin-remote", &options.admin_remote,
                 "allow --admin to be off the loopback interface: whoever reaches it can change the rate");
  cli::AddHostPort(app, "--monitor", &options.monitor, "tell hongbao-monitor there of every second; it may be absent");
  cli::AddFile(app, "--report", &options.report, "write a JSON report to this file at the end, in place of an earlier one");
  cli::AddFile(app, "--hgrm", &options.hgrm,
               "write the latencies from the intended time, in us, as an HdrHistogram percentile text to this file");
  cli::AddCount(app, "-t,--workers", &load.workers, "threads; 0 = one per processor", {.max = 64});
  cli::AddTuning(app, &load.tuning);
  cli::AddSources(app, "--source", &sources,
                  "source addresses of this machine for this client alone (default: the kernel's choice; to a server "
                  "on 127.x as many of 127.0.0.1, 127.0.0.2.. as needed)");
  cli::AddCount(app, "--at", &options.at_second, "unix second of the first request (default: once all have connected)",
                {.max = time::kSecondMax});
  AddPaceFlags(app, load);
  cli::AddDurationNs(app, "--drain", &options.drain_ns,
                     "wait at most this long for outstanding answers at the end, and then for the statements (for these "
                     "1 s more per 20,000 users)");
  bool no_statements = false;
  cli::AddSwitch(app, "--no-statements", &no_statements,
                 "do not ask the server at the end what each user got, to compare (protocol 2)");
  cli::AddFile(app, "--money-log", &options.money_log,
               "append every reply that brought money to this file: kind,user,stamp,envelope,fen");
  cli::AddSwitch(app, "--compat", &options.compat, "also GET /qps?qps=N, as in the 2017 prototype");
  AddOutputFlags(app, options);
  if (const absl::optional<int> code = cli::ParseCommandLine(app, kProgram, argc, argv)) {
    return code;
  }
  if (const std::string wrong = WrongAddress(options); !wrong.empty()) {
    return cli::UsageError(kProgram, wrong);
  }
  load.users = {users.first, users.last, users.total};
  load.version = protocol == 1 ? wire::Version::k1 : wire::Version::k2;
  load.statements = load.version == wire::Version::k2 && !no_statements;
  load.money_records_per_worker = options.money_log.empty() ? 0 : kMoneyRecordsPerWorker;
  for (const cli::Sources::Range& range : sources.ranges) {
    load.sources.push_back({range.first, range.count});
  }
  if (qps->count() == 0) {
    options.qps = std::max(1u, users.total / 20);  // each user every 20 s, as in 2017
  }
  if (const absl::Status status = profile->count() > 0 ? TakeProfile(qps->count() > 0, gateway, options) : absl::OkStatus();
      !status.ok()) {
    return cli::UsageError(kProgram, std::string(status.message()));
  }
  gateway.window = app.count("--window") > 0;
  if (const absl::Status status = TakeGatewayFlags(gateway, options); !status.ok()) {
    return cli::UsageError(kProgram, std::string(status.message()));
  }
  return absl::nullopt;
}

}  // namespace hongbao::client
