// Member: where one connection of a fleet stands: a user's own connection, or a gateway's (user.h, gateway.h).
//
// It names its connection by port, slot and generation; the connection belongs to net. Which member may connect, and
// when, is in ramp.h; what its session does is in fleet.h. A million users are members, so every byte counts.
// Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <cstdint>

#include "libhongbao/time/clock.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::load {

//   kWaiting -> kConnecting -> kLoggingIn -> (kBases ->) kOnline
//      ^            |              |            |           |
//      '-- kBackOff <--------------'------------'-----------'       a refusal for good: kLoggingIn -> kBarred
enum class MemberState : uint8_t {
  kWaiting,     // in the queue of those that may connect now
  kBackOff,     // in the reconnect wheel
  kConnecting,  // a connect is in flight
  kLoggingIn,   // connected; the login request is on its way
  kBases,       // a gateway: logged in, and asks what its users had before; nothing is sent that could change it
  kOnline,      // has a session, and may send
  kBarred,      // the server refused its login for good: with another reason than that it is full
};

inline constexpr uint32_t kNoMember = 0xffff'ffff;
inline constexpr uint8_t kFailuresMax = 15;  // as far as they are counted; the back-off stops growing long before

struct Member {
  uint64_t last_stamp = 0;       // v2 identity: the newest stamp used; kept over reconnects
  uint32_t slot = 0;             // of its connection, valid from kConnecting on
  uint32_t generation : 24 = 0;  // of its connection, valid from kLoggingIn on
  uint32_t port : 8 = 0;         // which of the worker's ports holds the connection
  uint32_t next = kNoMember;     // in the queue or the wheel; kLoggingIn: place in LoginWatch; kOnline: the carrier's
  MemberState state : 4 = MemberState::kWaiting;
  uint8_t failures : 4 = 0;      // in a row, kFailuresMax at most; the exponent of the back-off
  bool seen_online : 1 = false;  // has had a session
  bool closed_idle : 1 = false;  // the server has closed its connection while neither waited for the other

  bool logged_in() const { return state == MemberState::kOnline || state == MemberState::kBases; }
};

// The stamp of the next request in protocol v2: unix time in ns, strictly increasing whatever the clock does (protocol
// rule 3).
inline uint64_t NextStamp(Member& member, int64_t wall_ns) {
  member.last_stamp = std::max(member.last_stamp + 1, static_cast<uint64_t>(std::max<int64_t>(wall_ns, 0)));
  return member.last_stamp;
}

// Whether the last stamp that a server names can be believed: a peer that goes on above a stamp of the year 2554 would
// go there. Our own last stamp may be ahead of a clock that was set back, and the server's clock may be ahead of ours.
inline bool IsCredible(const wire::LoginResponse& answer, uint64_t own_last_stamp, int64_t wall_ns) {
  const uint64_t latest = std::max({own_last_stamp, answer.server_unix_ns, static_cast<uint64_t>(std::max<int64_t>(wall_ns, 0))});
  return answer.last_stamp <= latest || answer.last_stamp - latest <= uint64_t{wire::kStampAheadMaxMs} * time::kNsPerMs;
}

}  // namespace hongbao::load
