// Diag: the bytes of the kernel's socket diagnosis (NETLINK_SOCK_DIAG): a request for TCP sockets by state and local
// port, and the answer's parts.
//
// Owns the layout of the messages. Never opens a socket, never counts; any bytes are answered with a verdict. The
// layout is the host's own byte order, as netlink's is. Thread tag: thread-safe (pure functions).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "tools/conns_program/port_filter.h"

namespace hongbao::conns {

// An IPv4 address as IPv4-mapped IPv6, so that a dual-stack socket's peer is the same as an IPv4 socket's.
using Address = std::array<uint8_t, 16>;
Address AddressOfIpv4(uint32_t host_order);
inline absl::optional<uint32_t> Ipv4Of(const Address& address) {
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!std::equal(kMapped.begin(), kMapped.end(), address.begin())) return absl::nullopt;
  return uint32_t{address[12]} << 24 | uint32_t{address[13]} << 16 | uint32_t{address[14]} << 8 | uint32_t{address[15]};
}
// "127.0.0.1", "fe80::1".
std::string AddressToString(const Address& address);

struct Connection {
  uint16_t local_port = 0;
  uint16_t peer_port = 0;
  uint8_t state = 0;
  Address peer{};
};

// The kernel's numbers of TCP states as bits: "established", "time-wait", ..., a list of them with commas, or "all".
absl::StatusOr<uint32_t> ParseStates(absl::string_view text);
std::string StatesToString(uint32_t states);
inline constexpr uint32_t kEstablished = 1U << 1;

// "1025", "1025-1028,8000".
absl::StatusOr<std::vector<PortRange>> ParsePorts(absl::string_view text);

// Whose sockets a dump asks for. Both in one walk of the kernel's table takes the older form of the request; the newer
// one is for a family each.
enum class Family : uint8_t { kBoth, kIpv4, kIpv6 };

// A whole dump request: sockets in one of `states` that `filter` (PortFilter's; empty: none) lets through.
std::vector<std::byte> DumpRequest(Family family, uint32_t states, absl::Span<const std::byte> filter, uint32_t sequence);

// What one datagram of an answer amounts to.
struct Parsed {
  enum class Verdict : uint8_t {
    kMore,  // the dump goes on with the next datagram
    kDone,
    kError,      // the kernel refuses: `error` is its errno
    kMalformed,  // lengths that cannot be
  };
  Verdict verdict = Verdict::kMore;
  int error = 0;
  bool interrupted = false;  // NLM_F_DUMP_INTR: the table changed under the dump, it may miss or repeat some
};

// Calls `found` for every socket in `bytes`; messages of another request than `sequence` are skipped. What was found
// before a malformed message has been told.
Parsed ParseDatagram(absl::Span<const std::byte> bytes, uint32_t sequence, absl::FunctionRef<void(const Connection&)> found);

}  // namespace hongbao::conns
