// Session: what a server remembers of one connection, and what a call that serves it comes to. sessions.h works with it.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "libhongbao/net/connection.h"
#include "libhongbao/serve/session_address.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::serve {

inline constexpr uint16_t kNoGateway = 0;

// What is remembered of one connection. All zero bytes: nobody has logged in yet.
struct Session {
  uint32_t user = 0;                                // of a gateway: its first
  wire::Version version = wire::Version::kUnknown;  // settled by the first frame
  bool logged_in : 1 = false;
  bool over_limit : 1 = false;  // one connection more than the server takes: its login gets "full"
  bool at_cap : 1 = false;      // the user has won as often as allowed; a gateway's users are looked up one by one
  uint16_t gateway = kNoGateway;
  // v2 with a ledger: a request whose stamp is not above this may have an outcome already. Of a gateway this is the maximum over
  // its users; below it, the user's own last stamp is looked up.
  uint64_t stamp_floor = 0;

  bool is_gateway() const { return gateway != kNoGateway; }
  // How the directory names the connection whose address this is.
  uint64_t NameOf(uint64_t address) const { return is_gateway() ? address | kGatewayBit : address; }
};
static_assert(sizeof(Session) <= 16, "one per connection, a million of them");

// How a call to OnBytes ended.
struct Served {
  size_t consumed = 0;                               // whole frames; a part of one stays with the caller
  net::CloseReason close = net::CloseReason::kNone;  // other than kNone: close once the replies so far have left
};

// The answer to any frame but a shake: at most one, 36 bytes at most.
struct Reply {
  std::array<std::byte, 40> bytes{};
  size_t size = 0;         // 0: none, or it comes later as a message
  bool logged_in = false;  // it accepts a login
};

}  // namespace hongbao::serve
