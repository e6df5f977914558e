// OrderDraw: what each envelope of an order holds, and whom each gift is for: a function of the order's key and the place.
//
// Owns the random numbers of one order. Any place of an order of today is reached at once; orders of ledger files of version 1
// are one stream, so a place is reached by drawing all before it, a part at a time. Thread tag: thread-compatible.
#pragma once

#include <cstdint>

#include "libhongbao/envelope/amounts.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/envelope/random.h"
#include "libhongbao/ledger/ledger.h"
#include "libhongbao/serve/message.h"

namespace hongbao::serve {

class OrderDraw {
 public:
  explicit OrderDraw(const ledger::Order& order)
      : in_turn_(order.draw == ledger::Draw::kInTurn),
        amounts_(order.key, order.min_fen, order.max_fen, order.count),
        stream_(order.key) {}

  // Makes `place`, which only grows, the next to be drawn. False: there is more before it than `budget` places, which are
  // behind us now; ask again.
  bool Reach(const ledger::Order& order, int64_t place, int64_t& budget);
  // The envelope or gift of the place that was reached.
  envelope::LuckyEnvelope Shake(const ledger::Order& order, int64_t place);
  MintedGift Gift(const ledger::Order& order, int64_t place);

 private:
  bool in_turn_;
  envelope::Amounts amounts_;
  envelope::Random stream_;  // in_turn_: of all places, from next_ on
  int64_t next_ = 0;
};

}  // namespace hongbao::serve
