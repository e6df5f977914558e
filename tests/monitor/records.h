// Records and arrivals as the monitor's tests make them.
#pragma once

#include "tools/monitor/inlet.h"

namespace hongbao::monitor {

inline const SocketAddress kHere = SocketAddress::Ipv4(0x0a00'0006);  // 10.0.0.6

// A process: where it runs, which life it is, its users.
struct Who {
  wire::Role role = wire::Role::kClient;
  uint64_t first_user = 0;
  uint64_t users = 100;
  uint64_t began_ns = 1;
  uint64_t process_id = 1;
  uint64_t connection = 1;
  SocketAddress peer = kHere;
};

// What it tells of a second: money in all, and more that a test sets by itself.
inline Arrival Tells(const Who& who, int64_t unix_s, uint64_t fen = 0, uint64_t base_fen = 0) {
  Arrival arrival{.connection = who.connection, .peer = who.peer};
  wire::CounterRecord& record = arrival.record;
  record.unix_s = unix_s;
  record.role = who.role;
  record.Set(wire::Slot::kLife, who.began_ns, who.process_id);
  if (who.role != wire::Role::kNic) {
    record.Set(wire::Slot::kUsers, who.first_user, who.users);
    record.Set(wire::Slot::kShakeReceivedFen, 0, fen);
    record.Set(wire::Slot::kBase, base_fen, 0);
  }
  return arrival;
}

inline Arrival Ends(const Who& who, int64_t unix_s, uint64_t fen = 0, uint64_t base_fen = 0, uint64_t exit_code = 0) {
  Arrival arrival = Tells(who, unix_s, fen, base_fen);
  arrival.record.Set(wire::Slot::kEnd, 1, exit_code);
  return arrival;
}

inline Arrival Gone(const Who& who) { return {.connection = who.connection, .peer = who.peer, .ended = true}; }

}  // namespace hongbao::monitor
