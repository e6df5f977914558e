#include "client/rate_held.h"

#include <algorithm>

namespace hongbao::client {
namespace {

uint64_t Excess(const ScheduledSecond& second) { return second.sent > second.due ? second.sent - second.due : 0; }

}  // namespace

RateHeld RateHeldIn(const std::vector<ScheduledSecond>& seconds) {
  RateHeld found;
  for (size_t i = 0; i < seconds.size(); ++i) {
    const ScheduledSecond& second = seconds[i];
    if (second.due == 0) {
      continue;
    }
    const bool next = i + 1 < seconds.size() && seconds[i + 1].unix_s - seconds[i + 1].span == second.unix_s;
    const uint64_t moved = next ? std::min(Excess(seconds[i + 1]), second.due / 10) : 0;
    const auto may_be_short = static_cast<uint64_t>((1 - RateHeld::kShare) * static_cast<double>(second.due) + 1e-9);
    found.seconds += second.span;
    if (second.sent + moved + std::max<uint64_t>(may_be_short, 1) >= second.due) {
      found.held += second.span;
    } else if (found.not_held.size() < RateHeld::kNamedMax) {
      found.not_held.push_back(second.unix_s);
    }
  }
  return found;
}

}  // namespace hongbao::client
