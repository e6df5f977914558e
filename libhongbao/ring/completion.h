// Completion: one CQE, decoded. What every ring (the kernel's, and the scripted one of the tests) hands to net/.
//
// Owns nothing: a buffer named here belongs to the ring until RecycleBuffer, which the receiver must call exactly once for
// each completion with has_buffer, stale or not. Thread tag: worker-local.
#pragma once

#include <cstdint>

#include "libhongbao/ring/tag.h"

namespace hongbao::ring {

struct Completion {
  Tag tag{};
  int32_t result = 0;  // >= 0: bytes, or the accepted descriptor; < 0: -errno
  bool more = false;   // the multishot operation goes on; without it, it has ended, whatever the result says
  bool has_buffer = false;
  uint16_t buffer = 0;  // id for Buffer() and RecycleBuffer(); of the group that the operation receives into
};

}  // namespace hongbao::ring
