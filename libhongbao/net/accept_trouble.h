// SayNotAccepted: why connections are not let in, on stderr, once in the life of the process.
//
// Whoever starts a service sees "ready"; that nobody gets in for want of descriptors must not be seen in counters alone.
// Owns nothing. Thread tag: thread-safe.
#pragma once

#include "libhongbao/cpp20.h"

namespace hongbao::net {

// `error`: what accept failed with (errno), or 0: a connection's descriptor was beyond the table.
void SayNotAccepted(int error);

}  // namespace hongbao::net
