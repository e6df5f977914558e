// Order: what the minter was told to issue, and its end, as the ledger keeps them.
//
// Owns nothing. Thread tag: thread-compatible values.
#pragma once

#include <cstdint>
#include <string>

#include "libhongbao/envelope/fen.h"
#include "libhongbao/envelope/random.h"

namespace hongbao::ledger {

// How what an order's envelopes hold follows from its key.
enum class Draw : uint8_t {
  kInTurn = 0,   // one stream for all, a place after the other: orders of files of version 1
  kByPlace = 1,  // each place by itself, see envelope/amounts.h
};

// What the minter was told to issue. A shake order is also the envelope (the "lot") whose shares the envelopes are.
struct Order {
  bool is_gift = false;
  uint32_t first_id = 0;  // its envelopes are first_id .. first_id + count - 1
  int64_t count = 0;
  int64_t rate = 0;  // per second
  int64_t min_fen = 0;
  int64_t max_fen = 0;
  int64_t at_s = 0;             // unix second of the start
  int64_t created_ms = 0;       // unix time of the order
  envelope::Random::Key key{};  // of the stream that amounts (and a gift's users) are drawn from
  uint32_t users = 0;           // gifts: invited to each, from first_user..last_user
  uint32_t first_user = 0;
  uint32_t last_user = 0;
  envelope::Fen total{};  // shake: all amounts together, the budget
  Draw draw = Draw::kByPlace;
  std::string caller_key{};  // by which a caller finds the order it has placed already; "" = none
  std::string asked{};       // with a caller_key: what was asked for, in one line
};

// The end of an order before all of it was issued: what is below `place`, or was taken above it, stays.
struct Cancel {
  uint32_t first_id = 0;  // of the order
  int64_t place = 0;
  int64_t shares = 0;  // of a lot: so many envelopes go back, with `amount`. Gifts are funded one by one: 0
  envelope::Fen amount{};
  int64_t at_ms = 0;  // unix time
};

}  // namespace hongbao::ledger
