// Dump: asks the kernel for its TCP sockets and counts them, in one walk of its table.
//
// Owns the netlink socket and its buffer. Never lists a socket as text, never needs a privilege in its own namespace. A
// count is of a moment that lasts as long as the walk: connections that come or go meanwhile may be in it or not.
// Thread tag: thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/conns_program/diag.h"
#include "tools/conns_program/tally.h"

namespace hongbao::conns {

struct Wanted {
  uint32_t states = kEstablished;
  std::vector<PortRange> ports;  // none: all
  bool ipv4 = true;
  bool ipv6 = true;
};

struct DumpTold {
  uint32_t retries = 0;      // walks begun anew
  bool interrupted = false;  // the last walk as well: the kernel says that its table changed under it
};

class Dump {
 public:
  // `namespace_path`: "" for ours, or e.g. /proc/4711/ns/net, which this thread then moves into (needs root).
  static absl::StatusOr<Dump> Open(const std::string& namespace_path);
  Dump(Dump&& other) noexcept;
  Dump(const Dump&) = delete;
  ~Dump();

  // Replaces what is in `tally`. Blocks for as long as the walk takes.
  absl::StatusOr<DumpTold> Count(const Wanted& wanted, Tally& tally);

 private:
  enum class Walked : uint8_t { kWhole, kInterrupted, kCut, kRefused };

  explicit Dump(int socket);
  absl::StatusOr<Walked> Walk(Family family, const Wanted& wanted, Tally& tally);

  int socket_;
  uint32_t sequence_ = 0;
  bool both_at_once_ = true;  // until the kernel refuses that
  std::vector<std::byte> buffer_;
};

}  // namespace hongbao::conns
