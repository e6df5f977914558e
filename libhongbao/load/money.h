// Money: what a worker tells of single replies: each booked win or share, and the users whose account differs.
//
// Plain records for a Handover. The client as a witness: nothing here comes from anywhere but the wire.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>

#include "libhongbao/cpp20.h"

namespace hongbao::load {

enum class MoneyKind : uint32_t { kShake, kOpen };

// One reply that brought money, as it was booked: in v2 once per stamp.
struct MoneyRecord {
  uint64_t stamp = 0;  // of the request
  uint32_t user = 0;
  uint32_t envelope_id = 0;
  uint32_t fen = 0;
  MoneyKind kind = MoneyKind::kShake;
};

// What a user got, and what the server says of it.
struct StatementDifference {
  uint32_t user = 0;
  uint32_t own_grants = 0;
  uint64_t own_fen = 0;
  uint32_t server_grants = 0;
  uint64_t server_fen = 0;
};

}  // namespace hongbao::load
