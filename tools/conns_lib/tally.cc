#include "tools/conns_lib/tally.h"

#include <algorithm>
#include <tuple>

namespace hongbao::conns {

std::vector<TallyRow> Tally::Rows(By by) const {
  absl::flat_hash_map<Pair, TallyRow> grouped;
  for (const auto& [pair, connections] : by_pair_) {
    const Pair key{by == By::kPeer ? uint16_t{0} : pair.first, by == By::kPort ? Address{} : pair.second};
    TallyRow& row = grouped[key];
    row.port = key.first;
    row.peer = key.second;
    row.connections += connections;
    ++row.others;
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
