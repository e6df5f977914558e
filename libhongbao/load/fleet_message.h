// FleetMessage: what a controlling thread tells the fleets, of either kind.
//
// Owns nothing. Thread tag: thread-safe (a value).
#pragma once

#include <cstdint>

#include "libhongbao/cpp20.h"

namespace hongbao::load {

enum class FleetMessage : uint32_t {
  kWake,        // look at the schedule again
  kStop,        // send nothing new; what has no answer yet is still waited for, in v2 over reconnects too
  kStatements,  // after kStop, v2: ask for every online user's statement and compare
};

}  // namespace hongbao::load
