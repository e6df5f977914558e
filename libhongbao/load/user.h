// User: what the load generator remembers of one simulated user; a million of them is the normal case.
//
// Owns nothing by itself: its connection belongs to net, its outstanding requests to the InFlight pool, both named by
// index. Never knows time or sockets. One writer at a time: only the worker that runs the user touches it (the prototype
// had a reading and a sending thread on one connection, and its author's note "race here").
// Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <cstdint>

#include "libhongbao/load/in_flight.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::load {

enum class UserState : uint8_t {
  kWaiting,     // in the queue of those who may connect now
  kBackOff,     // in the reconnect wheel
  kConnecting,  // a connect is in flight
  kLoggingIn,   // connected; the login request is on its way
  kOnline,      // logged in
  kBarred,      // the server said for good that it does not know the user (result 1 or 2)
};

// Protocol v2's statement: what the server says the user got.
enum class StatementState : uint8_t {
  kNone,       // none is awaited; what is known of the user's account is all there is
  kBaseAsked,  // what the user had before this client's time is on its way
  kBaseLost,   // the connection ended before it came
  kAsked,      // at the end: the account to be compared is on its way
  kSettled,    // compared, or skipped
};

inline constexpr uint32_t kNoUser = 0xffff'ffff;

// Above it a due request is counted missed: a user does not pile up requests on a server that does not answer.
inline constexpr uint8_t kOutstandingPerUserMax = 64;
// Shakes and opens together: after a reconnect all of them leave at once, and fit what a connection may have unsent.
inline constexpr uint8_t kRequestsPerUserMax = 200;

struct User {
  uint64_t last_stamp = 0;       // v2 identity: the newest stamp used; kept over reconnects
  uint32_t slot = 0;             // of its connection, valid from kConnecting on
  uint32_t generation : 24 = 0;  // of its connection, valid from kLoggingIn on
  uint32_t port : 8 = 0;         // which of the worker's ports holds the connection
  RequestList requests{};        // outstanding, oldest first
  uint32_t next = kNoUser;       // in the connect queue or the reconnect wheel; kOnline: since when, monotonic ms (wraps)
  UserState state = UserState::kWaiting;
  uint8_t outstanding = 0;       // shakes and opens in `requests`
  uint8_t failures = 0;          // in a row; the exponent of the back-off
  bool seen_online : 1 = false;  // has logged in at least once
  bool closed_idle : 1 = false;  // the server has closed its connection while neither waited for the other
  bool ended_young : 1 = false;  // v1: the server has ended the session soon after the login, and no connect has failed since
  StatementState statement : 5 = StatementState::kNone;
  uint32_t statement_mark = 0;   // of the statement asked last: the low half of its stamp
  uint32_t grants = 0;           // wins and shares that came, each stamp once, and the base
  uint64_t fen = 0;              // theirs
};
static_assert(sizeof(User) == 48, "a million users are 48 MB: the account took 16 bytes, and no more are free");

// The next request's stamp in protocol v2: unix time in ns, strictly increasing per user whatever the clock does.
// Protocol rule 3.
inline uint64_t NextStamp(User& user, int64_t wall_ns) {
  user.last_stamp = std::max(user.last_stamp + 1, static_cast<uint64_t>(std::max<int64_t>(wall_ns, 0)));
  return user.last_stamp;
}

// Whether the last stamp that a server tells can be believed: a peer that goes on above one of the year 2554 would go there. Our
// own last stamp may be ahead of a clock that was set back, and the server's clock of ours.
inline bool IsCredible(const wire::LoginResponse& answer, uint64_t own_last_stamp, int64_t wall_ns) {
  const uint64_t latest = std::max({own_last_stamp, answer.server_unix_ns, static_cast<uint64_t>(std::max<int64_t>(wall_ns, 0))});
  return answer.last_stamp <= latest || answer.last_stamp - latest <= uint64_t{wire::kStampAheadMaxMs} * time::kNsPerMs;
}

}  // namespace hongbao::load
