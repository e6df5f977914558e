// RateHeld: in how many seconds of a run as much was sent as the schedule wanted.
//
// Owns the rule: a second is held when at least 99 % of what was due in it was sent in it, or all but one request. What a
// stall over the end of the second has moved into the next one counts as sent in time up to a tenth of the second's
// requests: a tenth of a second late is late, and no change of the rate. Of a row of several seconds the sums are compared.
// Thread tag: thread-safe (a pure function).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "libhongbao/cpp20.h"

namespace hongbao::client {

struct ScheduledSecond {
  int64_t unix_s = 0;  // the last one, if there are several
  int64_t span = 1;    // how many
  uint64_t due = 0, sent = 0;
};

struct RateHeld {
  static constexpr double kShare = 0.99;
  int64_t seconds = 0;  // in which something was due
  int64_t held = 0;
  std::vector<int64_t> not_held{};  // unix seconds, the first kNamedMax
  static constexpr size_t kNamedMax = 3'600;
};

// `seconds`: in order.
RateHeld RateHeldIn(const std::vector<ScheduledSecond>& seconds);

}  // namespace hongbao::client
