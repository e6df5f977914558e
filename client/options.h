// Options: hongbao-client's command line as one checked struct.
//
// Owns the names of the flags, their defaults, and what they must be to each other. Never starts anything.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "client/profile.h"
#include "libhongbao/cli/flags.h"
#include "libhongbao/cli/thresholds.h"
#include "libhongbao/load/client.h"

namespace hongbao::client {

struct Options {
  load::ClientOptions load;
  uint32_t qps = 0;                   // of the whole fleet; the first rate. With load.max_rate: any but 0
  int64_t duration_ns = 0;            // from the first rate's second on; 0 = until a signal
  int64_t at_second = 0;              // unix second of the first rate; 0 = the next whole one after all have connected
  int64_t drain_ns = 10'000'000'000;  // patience for outstanding answers at the end, and again for the statements
  HostPort server{"127.0.0.1", 1025};
  HostPort admin{"127.0.0.1", 9090};
  std::vector<std::string> admin_hosts;
  HostPort monitor;                        // an empty host: nobody is told
  int64_t linger_ns = 0;                   // the pages stay up so long after the end
  bool compat = false;                     // the prototype's GET /qps?qps=
  int64_t wait_for_server_ns = 0;          // patience for a server that is not there yet
  bool admin_remote = false;               // --admin may be off the loopback interface
  std::string report;                      // file name; empty = none
  std::string hgrm;                        // file name; empty = none
  std::string money_log;                   // file name; empty = none
  bool quiet = false;                      // no rows
  bool json = false;                       // rows and report as JSON on stdout
  std::string profile;                     // as it was given; empty = one rate. Then qps is its highest, duration_ns its length
  std::vector<Profile::Step> steps;        // of the profile
  uint64_t profile_requests = 0;           // of the whole fleet
  std::vector<cli::Threshold> thresholds;  // what has to hold at the end
};

// The exit code if the program should end now (0 after --help or --version, 2 after a wrong command line).
absl::optional<int> ParseOptions(int argc, const char* const* argv, Options& options);

}  // namespace hongbao::client
