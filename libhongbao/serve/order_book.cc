#include "libhongbao/serve/order_book.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace hongbao::serve {

envelope::Fen OrderBook::MaxOf(const ledger::Order& order) {
  const absl::uint128 most =
      absl::uint128(static_cast<uint64_t>(order.count)) * static_cast<uint64_t>(std::max<int64_t>(order.max_fen, order.users));
  // An older file may hold more than is taken today: then nothing more is.
  return envelope::Fen(static_cast<int64_t>(std::min<absl::uint128>(most, uint64_t{std::numeric_limits<int64_t>::max()} / 2)));
}

KnownOrder& OrderBook::Add(KnownOrder known) {
  const int64_t room = std::numeric_limits<int64_t>::max() - ordered_max_.value();
  ordered_max_ += std::min(MaxOf(known.order), envelope::Fen(room));
  const uint32_t first_id = known.order.first_id;
  KnownOrder& added = orders_.insert_or_assign(first_id, std::move(known)).first->second;
  if (!added.order.caller_key.empty()) {
    by_key_.emplace(added.order.caller_key, first_id);
  }
  return added;
}

void OrderBook::Remove(uint32_t first_id) {
  const auto order = orders_.find(first_id);
  by_key_.erase(order->second.order.caller_key);
  ordered_max_ -= MaxOf(order->second.order);
  orders_.erase(order);
}

KnownOrder* OrderBook::Find(uint32_t first_id) {
  const auto order = orders_.find(first_id);
  return order == orders_.end() ? nullptr : &order->second;
}

KnownOrder* OrderBook::FindByKey(const std::string& caller_key) {
  const auto first_id = by_key_.find(caller_key);
  return first_id == by_key_.end() ? nullptr : Find(first_id->second);
}

KnownOrder* OrderBook::FindByEnvelope(uint32_t envelope_id) {
  auto order = orders_.upper_bound(envelope_id);
  if (order == orders_.begin()) {
    return nullptr;
  }
  --order;
  return envelope_id - order->first < order->second.order.count ? &order->second : nullptr;
}

}  // namespace hongbao::serve
