// Tally: how many connections there are by local port and by peer.
//
// Owns the counts. Never knows where the connections come from. A million connections are a million calls of Add, some
// tens of nanoseconds each; memory grows with the pairs of port and peer, not with the connections. Thread tag:
// thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/optional.h"
#include "tools/conns_program/diag.h"

namespace hongbao::conns {

enum class By : uint8_t { kPort, kPeer, kBoth };

struct TallyRow {
  uint16_t port = 0;  // By::kPeer: meaningless
  Address peer{};     // By::kPort: meaningless
  uint64_t connections = 0;
  uint64_t others = 0;  // By::kPort: how many peers; By::kPeer: how many local ports; By::kBoth: 1
};

class Tally {
 public:
  void Add(const Connection& connection) {
    ++total_;
    if (const absl::optional<uint32_t> ipv4 = Ipv4Of(connection.peer)) {
      ++by_ipv4_[uint64_t{connection.local_port} << 32 | *ipv4];
    } else {
      ++by_pair_[{connection.local_port, connection.peer}];
    }
  }
  void Clear() {
    total_ = 0;
    by_ipv4_.clear();
    by_pair_.clear();
  }

  uint64_t total() const { return total_; }
  // Most connections first; of equals the lower port, then the lower peer.
  std::vector<TallyRow> Rows(By by) const;

 private:
  using Pair = std::pair<uint16_t, Address>;
  absl::flat_hash_map<uint64_t, uint64_t> by_ipv4_;  // port << 32 | address: a third of the time of a Pair
  absl::flat_hash_map<Pair, uint64_t> by_pair_;      // the others
  uint64_t total_ = 0;
};

}  // namespace hongbao::conns
