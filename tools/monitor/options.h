// Options: hongbao-monitor's command line as one checked struct.
//
// Owns the names of the flags and their defaults. Never starts anything. Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "libhongbao/address.h"
#include "libhongbao/cli/thresholds.h"
#include "libhongbao/time/clock.h"

namespace hongbao::monitor {

struct Options {
  HostPort listen{.host = "127.0.0.1", .port = 8002};
  HostPort admin{.host = "127.0.0.1", .port = 8003};
  int64_t delay_ns = 3 * time::kNsPerSecond;
  int64_t idle_timeout_ms = 60'000;
  bool admin_remote = false;
  bool quiet = false;
  bool json = false;
  std::vector<std::string> admin_hosts;
  std::string csv, sources_csv, report;
  std::vector<cli::Threshold> conditions;
};

// The exit code if the program should end now (0 after --help or --version, 2 after a wrong command line).
absl::optional<int> ParseOptions(int argc, const char* const* argv, Options& options);

}  // namespace hongbao::monitor
