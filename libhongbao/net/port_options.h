// PortOptions: what a port and its connections are allowed. One set of them for all ports of a service.
//
// Owns nothing. Thread tag: thread-compatible (values).
#pragma once

#include <cstdint>

#include "libhongbao/ring/socket_options.h"

namespace hongbao::net {

// Connections that carry pipelined traffic: received in large pieces, and a piece only when the answers to it have room, so
// that a peer that sends faster than it reads is made to wait instead of being closed.
struct BulkOptions {
  uint32_t connections = 0;             // of one port at most; 0 = there are none
  uint32_t receive_bytes = 65'536;      // of one receive buffer
  uint32_t room_bytes = 0;              // that the answers to one full buffer may take
  uint32_t unsent_bytes_max = 262'144;  // waiting behind the send in flight, of one connection
  uint32_t owed_max = 16'384;           // answers owed (Port::Owe); with more nothing is received
};

struct PortOptions {
  uint32_t slots = 0;                  // room in the table: the highest descriptor number + 1
  bool direct_descriptors = true;      // else a slot is a regular descriptor
  uint32_t login_deadline_ms = 5'000;  // every accepted connection starts with it, a connecting one too; 0 = none
  uint32_t frame_deadline_ms = 5'000;  // for a partial frame, and for the last bytes of a closing connection
  uint32_t idle_timeout_ms = 240'000;  // 0 = none
  uint32_t unsent_bytes_max = 4'096;
  // What the answers to one receive buffer may take, and one answer that is owed. With less room than that nothing more is
  // received from the connection: it waits instead of being closed. 0 = it is closed at unsent_bytes_max.
  uint32_t room_bytes = 0;
  uint32_t owed_bytes = 0;
  uint32_t unsent_deadline_ms = 15'000;  // for a peer that is held, or sends no more, to take some of what is unsent
  ring::SocketOptions sockets{};         // connect side: of each socket
  BulkOptions bulk{};
};

}  // namespace hongbao::net
