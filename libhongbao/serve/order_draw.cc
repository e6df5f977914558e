#include "libhongbao/serve/order_draw.h"

#include <algorithm>

namespace hongbao::serve {
namespace {

uint32_t IdOf(const ledger::Order& order, int64_t place) { return order.first_id + static_cast<uint32_t>(place); }

MintedGift DrawGift(const ledger::Order& order, int64_t place, envelope::Random& random) {
  MintedGift gift{.gift_id = IdOf(order, place)};
  Invited& invited = gift.invited;
  const int64_t drawn = random.Between(order.min_fen, order.max_fen);
  gift.amount_fen = static_cast<uint32_t>(std::max<int64_t>(drawn, order.users));  // a fen for each at least
  // Floyd's sampling: `users` distinct values, one draw each, also when the range is hardly larger.
  const uint64_t range = uint64_t{order.last_user} - order.first_user + 1;
  for (uint64_t top = range - order.users; top < range; ++top) {
    const uint32_t candidate = order.first_user + static_cast<uint32_t>(random.Below(top + 1));
    const absl::Span<const uint32_t> chosen = invited.Users();
    const bool taken = std::find(chosen.begin(), chosen.end(), candidate) != chosen.end();
    invited.users[invited.count++] = taken ? order.first_user + static_cast<uint32_t>(top) : candidate;
  }
  return gift;
}

}  // namespace

bool OrderDraw::Reach(const ledger::Order& order, int64_t place, int64_t& budget) {
  for (; in_turn_ && next_ < place; ++next_, --budget) {
    if (budget == 0) {
      return false;
    }
    if (order.is_gift) {
      DrawGift(order, next_, stream_);
    } else {
      stream_.Between(order.min_fen, order.max_fen);
    }
  }
  return true;
}

envelope::LuckyEnvelope OrderDraw::Shake(const ledger::Order& order, int64_t place) {
  if (!in_turn_) {
    return {.id = IdOf(order, place), .amount = amounts_.At(place)};
  }
  ++next_;
  return {.id = IdOf(order, place), .amount = envelope::Fen(stream_.Between(order.min_fen, order.max_fen))};
}

MintedGift OrderDraw::Gift(const ledger::Order& order, int64_t place) {
  if (in_turn_) {
    ++next_;
    return DrawGift(order, place, stream_);
  }
  envelope::Random random(order.key, static_cast<uint64_t>(place) + 1);
  return DrawGift(order, place, random);
}

}  // namespace hongbao::serve
