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
  PortOptions port{};
  ring::RingOptions ring{};
  // Under load a worker that has run out of work waits this long before it looks again, without being woken: a wake-up
  // costs more than a request does. 0 = never. Bounded by what the application is due to do.
  uint32_t batch_wait_us = 100;
  int processor = -1;  // pinned to it; -1 = wherever the kernel likes
};

}  // namespace hongbao::net
