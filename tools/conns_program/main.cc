// hongbao-conns: counts TCP connections by local port and peer, fast enough for millions of them. tools/conns starts
// it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libhongbao/cli/exit_codes.h"
#include "libhongbao/cli/numbers.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/cli/signals.h"
#include "libhongbao/time/clock.h"
#include "tools/conns_program/dump.h"
#include "tools/conns_program/show.h"

namespace hongbao::conns {
namespace {

constexpr char kProgram[] = "tools/conns";
constexpr int64_t kWatchMinNs = 100'000'000;
constexpr char kFooter[] = R"(examples:
  tools/conns                             established connections by local port
  tools/conns --port 1025-1028 --by peer  who is connected to a server, by address
  tools/conns --port 1025 --watch 1s      again each second, until Ctrl-C
  tools/conns --netns 4711                in that process's network (tools/simulate --own-network)

exit codes:
  0    counted, or watched until SIGINT or SIGTERM
  1    could not ask the kernel, or not write; the reason is on stderr
  2    wrong flags)";

struct Options {
  Wanted wanted;
  Shown shown;
  std::string netns;  // a path
  int64_t watch_ns = 0;
  bool json = false;
  bool quiet = false;
};

std::string NamespacePath(const std::string& text) {
  const bool is_process = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  return is_process                                            ? absl::StrCat("/proc/", text, "/ns/net")
         : text.empty() || text.find('/') != std::string::npos ? text
                                                               : absl::StrCat("/run/netns/", text);
}

// The exit code when there is nothing more to do.
absl::optional<int> ParseOptions(int argc, const char* const* argv, Options& options) {
  CLI::App app{
      "tools/conns: counts TCP connections by local port and peer. It asks the kernel in binary (netlink "
      "sock_diag), so a million take a fraction of a second. Both ends of a connection are counted when both are on "
      "this machine."};
  app.footer(kFooter);
  std::string states = "established";
  std::string ports;
  std::string by = "port";
  std::string netns;
  int64_t top = 20;
  bool ipv4 = false;
  bool ipv6 = false;
  cli::AddText(app, "--state", &states, "states to count: established, time-wait, ..., several with commas, or all")
      ->type_name("STATES");
  cli::AddText(app, "--port", &ports, "only these local ports: 1025, 1025-1028, several with commas")->type_name("PORTS");
  cli::AddSwitch(app, "-4,--ipv4", &ipv4, "only IPv4 sockets");
  cli::AddSwitch(app, "-6,--ipv6", &ipv6, "only IPv6 sockets (those of both families belong to it)");
  cli::AddText(app, "--by", &by, "one row for each port, for each peer, or for both")->type_name("port|peer|both");
  cli::AddCount(app, "--top", &top, "rows at most, the largest first; 0 = all", {.max = 1 << 30});
  cli::AddDurationNs(app, "--watch", &options.watch_ns, "count again so often, until Ctrl-C; 0 = once",
                     {.max = 86'400'000'000'000});
  cli::AddText(app, "--netns", &netns,
               "look into another network namespace: a process id, a name of `ip netns`, or a path (root)")
      ->type_name("NETWORK");
  cli::AddSwitch(app, "--json", &options.json, "one JSON document a count");
  cli::AddSwitch(app, "-q,--quiet", &options.quiet, "nothing on stderr but errors");
  if (const absl::optional<int> code = cli::ParseCommandLine(app, kProgram, argc, argv)) return code;
  const absl::StatusOr<uint32_t> parsed_states = ParseStates(states);
  if (!parsed_states.ok()) return cli::UsageError(kProgram, absl::StrCat("--state: ", parsed_states.status().message()));
  options.wanted.states = options.shown.states = *parsed_states;
  if (!ports.empty()) {
    absl::StatusOr<std::vector<PortRange>> parsed_ports = ParsePorts(ports);
    if (!parsed_ports.ok()) return cli::UsageError(kProgram, absl::StrCat("--port: ", parsed_ports.status().message()));
    options.wanted.ports = *std::move(parsed_ports);
  }
  if (by != "port" && by != "peer" && by != "both") {
    return cli::UsageError(kProgram, absl::StrCat("--by: '", by, "' is none of port, peer, both"));
  }
  if (options.watch_ns > 0 && options.watch_ns < kWatchMinNs) {
    return cli::UsageError(kProgram, "--watch: must be at least 100ms, or 0: once");
  }
  options.shown.by = by == "port" ? By::kPort : by == "peer" ? By::kPeer : By::kBoth;
  options.wanted.ipv4 = ipv4 || !ipv6;
  options.wanted.ipv6 = ipv6 || !ipv4;
  options.shown.top = static_cast<size_t>(top);
  options.netns = NamespacePath(netns);
  return absl::nullopt;
}

// What this process has had of a processor, the kernel's work for it included.
int64_t ProcessorNs() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * time::kNsPerSecond + now.tv_nsec;
}

void Say(const std::string& line) { std::fprintf(stderr, "%s: %s\n", kProgram, line.c_str()); }

// False: nobody reads any more.
bool Print(const std::string& text) { return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0; }

int Run(Options& options, cli::Signals& signals) {
  absl::StatusOr<Dump> dump = Dump::Open(options.netns);
  if (!dump.ok()) {
    Say(absl::StrCat("error: ", dump.status().message()));
    return cli::kCouldNot;
  }
  const time::RealClock clock;
  Tally tally;
  int64_t next_ns = clock.MonotonicNs();
  while (true) {
    options.shown.unix_s = time::UnixSecond(clock.WallNs());
    const int64_t begun_ns = clock.MonotonicNs();
    const int64_t processor_before_ns = ProcessorNs();
    const absl::StatusOr<DumpTold> told = dump->Count(options.wanted, tally);
    if (!told.ok()) {
      Say(absl::StrCat("error: ", told.status().message()));
      return cli::kCouldNot;
    }
    const int64_t processor_ns = ProcessorNs() - processor_before_ns;
    options.shown.took_us = (clock.MonotonicNs() - begun_ns) / 1'000;
    if (told->interrupted) Say("the kernel's table changed under the count: it may miss some or have some twice");
    const std::string prefix = options.watch_ns > 0 ? absl::StrCat(cli::ClockTime(options.shown.unix_s), "  ") : "";
    const std::string text =
        options.json ? ShowJson(tally, *told, options.shown) + "\n" : ShowLines(tally, options.shown, prefix);
    if (!Print(text)) {
      if (errno == EPIPE) return 0;  // | head has what it wanted
      Say(absl::StrCat("error: cannot write to stdout: ", std::strerror(errno)));
      return cli::kCouldNot;
    }
    if (options.watch_ns == 0) {
      if (!options.quiet && !options.json) {
        Say(absl::StrCat("counted in ", cli::Milliseconds(options.shown.took_us * 1'000), " ms, of it ",
                         cli::Milliseconds(processor_ns), " ms on a processor"));
      }
      return 0;
    }
    // A count that took longer than the interval does not make up for it.
    next_ns = std::max(next_ns + options.watch_ns, clock.MonotonicNs());
    for (int64_t left_ns = next_ns - clock.MonotonicNs(); left_ns > 0; left_ns = next_ns - clock.MonotonicNs()) {
      if (signals.Wait(left_ns) == cli::SignalEvent::kStop) return 0;
    }
    if (signals.stop_signal() != 0 || signals.Wait(0) == cli::SignalEvent::kStop) return 0;
  }
}

}  // namespace
}  // namespace hongbao::conns

int main(int argc, char** argv) {
  hongbao::conns::Options options;
  if (const absl::optional<int> code = hongbao::conns::ParseOptions(argc, argv, options)) return *code;
  hongbao::cli::Signals signals;
  return hongbao::conns::Run(options, signals);
}
