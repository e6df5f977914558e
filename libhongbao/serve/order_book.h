// OrderBook: every order of the ledger file (or of this process, without one): which keys callers gave, how far each has come,
// which were cancelled.
//
// Owns about 0.3 KB for each order for as long as the file lives: a key is good for as long, so at most kOrdersMax of them.
// Thread tag: thread-compatible (under the minter's mutex).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "libhongbao/envelope/fen.h"
#include "libhongbao/ledger/ledger.h"

namespace hongbao::serve {

struct KnownOrder {
  ledger::Order order{};
  int64_t issued = 0;          // published or won; gifts: on their way to their owners, or taken by them
  envelope::Fen issued_fen{};  // of a shake order
  int64_t offered_again = 0;   // gifts that found no room and wait to be offered again
  bool recorded = true;        // false: it, or its end, is on its way to the ledger
  std::optional<ledger::Cancel> cancel{};

  // Not to be issued any more.
  int64_t cancelled() const { return !cancel.has_value() ? 0 : order.is_gift ? order.count - issued : cancel->shares; }
  int64_t left() const { return order.count - issued - cancelled(); }
};

class OrderBook {
 public:
  static constexpr size_t kOrdersMax = 1'000'000;
  using Orders = std::map<uint32_t, KnownOrder>;  // by first id; a node stays where it is

  bool full() const { return orders_.size() >= kOrdersMax; }
  const Orders& orders() const { return orders_; }
  // Most that all orders so far may add up to.
  envelope::Fen ordered_max() const { return ordered_max_; }

  KnownOrder& Add(KnownOrder known);
  // Of an order that the ledger did not take.
  void Remove(uint32_t first_id);

  KnownOrder* Find(uint32_t first_id);
  KnownOrder* FindByKey(const std::string& caller_key);
  // The order that the gift or envelope belongs to.
  KnownOrder* FindByEnvelope(uint32_t envelope_id);

  // The most that an order can hold.
  static envelope::Fen MaxOf(const ledger::Order& order);

 private:
  Orders orders_;
  absl::flat_hash_map<absl::string_view, uint32_t> by_key_;  // keys of the orders themselves
  envelope::Fen ordered_max_;
};

}  // namespace hongbao::serve
