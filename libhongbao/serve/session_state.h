// Session: what a server remembers of one connection, and how a call for it ends. Sessions (session.h) works with it.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libhongbao/net/connection.h"
#include "libhongbao/serve/gateways.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::serve {

// What is remembered of one connection. All zero bytes: nobody has logged in yet.
struct Session {
  uint32_t user = 0;                                // of a gateway: its first
  wire::Version version = wire::Version::kUnknown;  // settled by the first frame
  bool logged_in : 1 = false;
  bool over_limit : 1 = false;  // one connection more than the server takes: its login gets "full"
  bool at_cap : 1 = false;      // the user has won as often as allowed; a gateway's users are looked up one by one
  uint16_t gateway = Gateways::kNone;
  // v2 with a ledger: a request of a stamp up to here may have an outcome already. Of a gateway: the highest of its users';
  // where a user's own ends is looked up then.
  uint64_t stamp_floor = 0;
};
static_assert(sizeof(Session) <= 16, "one per connection, a million of them");

// How a call to OnBytes ended.
struct Served {
  size_t consumed = 0;                               // whole frames; a part of one stays with the caller
  net::CloseReason close = net::CloseReason::kNone;  // other than kNone: close once the replies so far have left
};

}  // namespace hongbao::serve
