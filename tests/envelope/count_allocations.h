// Replaces operator new in a test binary by one that counts (count_allocations.cc must be among its sources).
#pragma once

#include <cstdint>

namespace hongbao::envelope {

uint64_t Allocations();  // by any thread, since the start

}  // namespace hongbao::envelope
