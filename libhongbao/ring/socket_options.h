// SocketOptions: what every connection's socket is set to, on both sides.
//
// Owns nothing. On the accept side they are set on the listener and inherited: direct descriptors have no number to set them by.
// Thread tag: thread-safe.
#pragma once

#include <cstdint>

#include "libhongbao/address.h"
#include "libhongbao/cpp20.h"

namespace hongbao::ring {

struct SocketOptions {
  // A peer whose machine has acknowledged nothing of what was sent for so long is gone (TCP_USER_TIMEOUT); it also bounds how
  // long one that reads nothing may keep what does not fit its window. 0 = the kernel's own, a quarter of an hour.
  int64_t peer_timeout_ms = 0;
  // A connection on which nothing moves for so long is asked by TCP whether its peer is there (keepalive). 0 = never. Not asked
  // on this machine itself, where no peer goes without the kernel's saying so.
  int64_t keepalive_ms = 0;
  // How much the kernel may keep of what was sent and not acknowledged (SO_SNDBUF, which it doubles). 0 = its own, which grows.
  int send_buffer_bytes = 0;
};

// Sets them, and TCP_NODELAY: a 16-byte frame must not wait for the next. A wish the kernel refuses is no error.
// `other`: where the connections go to, or come in. On this machine itself (loopback) nothing is lost or delayed, so they are
// given the simplest congestion control there is: one that paces, as bbr does, sets a timer for each packet.
void Apply(int descriptor, const SocketOptions& options, const SocketAddress& other);

}  // namespace hongbao::ring
