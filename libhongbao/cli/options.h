// Options: binds flags to variables through CLI11, with one reaction to a wrong command line in every program.
//
// Owns: how the values of flags.h look on the command line, and the exit codes of parsing: 0 for -h, --help and
// --version, 2 for a wrong flag or value with the reason on stderr. Never exits the process itself. Use:
//   CLI::App app{"hongbao-server: ..."};
//   AddCount(app, "--users-max", &options.users_max, "users at most", {.min = 1});
//   if (const absl::optional<int> code = ParseCommandLine(app, "hongbao-server", argc, argv)) return *code;
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "libhongbao/cli/flags.h"
#include "libhongbao/cli/thresholds.h"

namespace CLI {  // the callers that build an App include <CLI/CLI.hpp>; the others need not
class App;
class Option;
}  // namespace CLI

namespace hongbao::cli {

// Inclusive limits of a value, in the value's own unit (a count, nanoseconds, milliseconds).
struct Limits {
  int64_t min = 0;
  int64_t max = std::numeric_limits<int64_t>::max();
  int64_t step = 1;  // what is no multiple of it would be rounded, and is refused
};

// Each writes `*value` only when the flag is given and right; the present `*value` is shown as the default in --help.
// `flag` is the long name in kebab-case, possibly with a short one: "--users-max", "-t,--workers".
CLI::Option* AddCount(CLI::App& app, const std::string& flag, int64_t* value, const std::string& help, Limits limits = {});
CLI::Option* AddCount(CLI::App& app, const std::string& flag, uint32_t* value, const std::string& help, Limits limits = {});
// A count, or `word` instead of one: then `*is_word` is true and `*value` stays.
CLI::Option* AddCountOr(CLI::App& app, const std::string& flag, uint32_t* value, const std::string& word, bool* is_word,
                        const std::string& help, Limits limits = {});
CLI::Option* AddDurationNs(CLI::App& app, const std::string& flag, int64_t* value_ns, const std::string& help,
                           Limits limits_ns = {});
CLI::Option* AddDurationMs(CLI::App& app, const std::string& flag, int64_t* value_ms, const std::string& help,
                           Limits limits_ms = {});
CLI::Option* AddHostPort(CLI::App& app, const std::string& flag, HostPort* value, const std::string& help);
CLI::Option* AddUsers(CLI::App& app, const std::string& flag, UserRange* value, const std::string& help);
CLI::Option* AddSources(CLI::App& app, const std::string& flag, Sources* value, const std::string& help);
CLI::Option* AddText(CLI::App& app, const std::string& flag, std::string* value, const std::string& help);
// --admin-hosts: names of this machine, for AdminOptions::hosts.
CLI::Option* AddAdminHosts(CLI::App& app, std::vector<std::string>* hosts);
// The same as AddText for the name of a file; the shell then completes names of files.
CLI::Option* AddFile(CLI::App& app, const std::string& flag, std::string* value, const std::string& help);
// A switch: no value, true when given.
CLI::Option* AddSwitch(CLI::App& app, const std::string& flag, bool* value, const std::string& help);

// --fail-if: conditions (thresholds.h). The text says what every run has to hold besides.
CLI::Option* AddFailIf(CLI::App& app, std::vector<Threshold>* conditions, const std::string& help);

// The flags for those who have measured; `Tuning` is net's, which this room does not know.
template <class Tuning>
void AddTuning(CLI::App& app, Tuning* tuning) {
  AddCount(app, "--batch-wait-us", &tuning->batch_wait_us,
           "under load a thread gathers requests for so long before it looks again, 0 = it looks at once", {.max = 10'000});
  AddCount(app, "--sets-per-worker", &tuning->sets_per_worker, "rings of a thread at least, 0 = as many as the connections need",
           {.max = 256});
  AddCount(app, "--receive-buffers", &tuning->receive_buffers, "receive buffers of a ring, a power of two, 0 = chosen",
           {.max = 32'768});
  AddCount(app, "--pin", &tuning->first_processor, "pin thread i to processor N + i, -1 = wherever the kernel likes",
           {.min = -1, .max = 4'095});
}

// Lays --help out, adds --version (prints "<program> <version>") and --flags-file, holds the standard streams, parses
// what the command line, the environment and the file say (flag_sources.h), and returns the exit code if the program
// should end now: 0 after --help or --version (on stdout), 2 after a wrong flag (reason and a hint on stderr); nullopt:
// go on.
absl::optional<int> ParseCommandLine(CLI::App& app, const std::string& program, int argc, const char* const* argv);

// For what only shows when flags are compared: prints "program: reason" and the hint, returns 2.
int UsageError(const std::string& program, const std::string& reason);

// The version of the build, "0.1.0".
const char* Version();

// "340ms", "5s", "4m", "24h": the shortest exact form, as ParseDurationNs reads it.
std::string DurationToString(int64_t duration_ns);

}  // namespace hongbao::cli
