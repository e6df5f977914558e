// Port filter: the program by which the kernel chooses sockets for a dump (INET_DIAG_REQ_BYTECODE), by their ports.
//
// Owns the program's code. Never sends it. Thread tag: thread-safe (pure functions).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace hongbao::conns {

struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
};
inline constexpr size_t kPortRangesMax = 64;

// Accepts a local port within any of `ports` (at most kPortRangesMax). Empty when that is empty: no filter is needed.
std::vector<std::byte> PortFilter(absl::Span<const PortRange> ports);

}  // namespace hongbao::conns
