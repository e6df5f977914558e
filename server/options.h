// Options: hongbao-server's command line as one checked struct.
//
// Owns the names of the flags, their defaults, and what they must be to each other. Never starts anything.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "libhongbao/address.h"
#include "libhongbao/serve/server.h"
#include "libhongbao/time/clock.h"

namespace hongbao::server {

struct Options {
  HostPort listen{.host = "0.0.0.0", .port = 1025};
  HostPort monitor;  // an empty host: nobody is told
  HostPort admin{.host = "127.0.0.1", .port = 8989};
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

// The exit code if the program should end now (0 after --help or --version, 2 after a wrong command line).
absl::optional<int> ParseOptions(int argc, const char* const* argv, Options& options);

// Turns the names among the addresses into numbers, here and now. An error names the flag.
absl::Status ResolveAddresses(Options& options);

}  // namespace hongbao::server
