// WorkerOptions: what one worker is made of.
//
// Owns nothing. Thread tag: thread-safe (values).
#pragma once

#include <cstdint>

#include "libhongbao/net/port.h"
#include "libhongbao/ring/kernel_ring.h"

namespace hongbao::net {

struct WorkerOptions {
  uint32_t sets = 1;
  PortOptions port;
  ring::RingOptions ring;
  int processor = -1;  // pinned to it; -1 = wherever the kernel likes
};

}  // namespace hongbao::net
