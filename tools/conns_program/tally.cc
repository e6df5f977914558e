#include "tools/conns_program/tally.h"

#include <algorithm>
#include <tuple>

namespace hongbao::conns {

std::vector<TallyRow> Tally::Rows(By by) const {
  absl::flat_hash_map<Pair, TallyRow> grouped;
  const auto add = [&grouped, by](uint16_t port, const Address& peer, uint64_t connections) {
    const Pair key{by == By::kPeer ? uint16_t{0} : port, by == By::kPort ? Address{} : peer};
    TallyRow& row = grouped[key];
    row.port = key.first;
    row.peer = key.second;
    row.connections += connections;
    ++row.others;
  };
  for (const auto& [pair, connections] : by_pair_) add(pair.first, pair.second, connections);
  for (const auto& [packed, connections] : by_ipv4_) {
    add(static_cast<uint16_t>(packed >> 32), AddressOfIpv4(static_cast<uint32_t>(packed)), connections);
  }
  std::vector<TallyRow> rows;
  rows.reserve(grouped.size());
  for (const auto& [key, row] : grouped) rows.push_back(row);
  std::sort(rows.begin(), rows.end(), [](const TallyRow& a, const TallyRow& b) {
    return std::tie(b.connections, a.port, a.peer) < std::tie(a.connections, b.port, b.peer);
  });
  return rows;
}

}  // namespace hongbao::conns
