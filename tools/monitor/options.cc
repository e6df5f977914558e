#include "tools/monitor/options.h"

#include <CLI/CLI.hpp>

#include "libhongbao/cli/options.h"

namespace hongbao::monitor {
namespace {

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

void AddOptions(CLI::App& app, Options& options) {
  cli::AddHostPort(app, "--listen", &options.listen, "address for servers and clients that have --monitor; port 0 = a free one");
  cli::AddHostPort(app, "--admin", &options.admin, "address for HTTP: the page, status, metrics; port 0 = a free one, printed");
  cli::AddSwitch(app, "--admin-remote", &options.admin_remote, "allow --admin to be off the loopback interface");
  cli::AddAdminHosts(app, &options.admin_hosts);
  cli::AddDurationNs(app, "--delay", &options.delay_ns, "a second's row comes so long after the first word of that second",
                     {.max = 60 * time::kNsPerSecond});
  cli::AddDurationMs(app, "--idle-timeout", &options.idle_timeout_ms,
                     "a connection without a byte for so long is closed, 0 = never", {.max = 7 * 24 * 3'600'000});
  cli::AddFile(app, "--csv", &options.csv, "append a line for every second to this file");
  cli::AddFile(app, "--sources-csv", &options.sources_csv, "append a line for every second and source to this file");
  cli::AddFile(app, "--report", &options.report, "write a JSON report to this file at the end");
  cli::AddSwitch(app, "--json", &options.json, "rows as JSON, one object a line");
  cli::AddFailIf(app, &options.conditions,
                 "what all clients that ended have to hold together, or the exit code is 3, as hongbao-client has it for one; "
                 "percentiles are not known here");
  cli::AddSwitch(app, "-q,--quiet", &options.quiet, "no row every second");
}

}  // namespace

absl::optional<int> ParseOptions(int argc, const char* const* argv, Options& options) {
  CLI::App app{"hongbao-monitor: lines up what servers and clients tell of each second, and keeps the account of the money."};
  app.footer(kFooter);
  AddOptions(app, options);
  return cli::ParseCommandLine(app, "hongbao-monitor", argc, argv);
}

}  // namespace hongbao::monitor
