// Values of command-line flags: text -> number, with the unit settled, or a Status that says what was wrong and shows a
// right one.
//
// Owns: the syntax of counts, durations, addresses and user ranges, the same in every program.
// Never: reads the command line itself (options.h), never resolves a name, never touches the network.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libhongbao/address.h"

namespace hongbao::cli {

// "20000", "20,000", "60k", "1M", "1.5M", "10G": units of 1000. Never negative. InvalidArgument for anything else or
// beyond int64.
absl::StatusOr<int64_t> ParseCount(absl::string_view text);

// "5s", "1.5s", "240s", "100us", "30ms", "2m", "1h", "250ns"; "0" needs no unit. Nanoseconds. A bare number other than
// 0 is refused: nobody can know which unit was meant.
absl::StatusOr<int64_t> ParseDurationNs(absl::string_view text);

// As ParseDurationNs, in whole milliseconds; a duration above 0 but below 1 ms is refused rather than rounded to
// nothing.
absl::StatusOr<int64_t> ParseDurationMs(absl::string_view text);

// HOST:PORT, in words of the command line (libhongbao/address.h).
using hongbao::HostPort;
using hongbao::ParseHostPort;

// An inclusive range of user ids out of `total` users of the whole fleet.
struct UserRange {
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t total = 0;

  uint32_t Count() const { return last - first + 1; }
};

// "0-499999/1M", "250k-499999/1M"; "20k" alone means 0-19999/20000. first <= last < total <= 2^32 - 1.
absl::StatusOr<UserRange> ParseUsers(absl::string_view text);

// Source addresses as ranges, because 127.0.0.0/8 has 16 million of them, and an IPv6 network more than anybody counts.
struct Sources {
  struct Range {
    SocketAddress first{};
    uint32_t count = 0;  // of a larger block the first 2^32 - 1
  };
  std::vector<Range> ranges{};

  // Number of addresses in all ranges together.
  uint64_t Count() const;
  // The i-th address. i < Count().
  SocketAddress At(uint64_t i) const;
};

// A comma-separated list of addresses ("10.0.0.1", "2001:db8::1"), ranges ("10.0.0.1-10.0.0.9") and blocks ("127.0.0.0/8",
// "2001:db8::/120"). An IPv4 block of /30 or larger leaves out its first and last address (network and broadcast), an IPv6
// block its first one (the routers' own).
absl::StatusOr<Sources> ParseSources(absl::string_view text);

}  // namespace hongbao::cli
