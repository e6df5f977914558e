// Metrics: what the monitor knows, as families for GET /metrics: the sums of all sources, who is there and who is silent, the
// account, and the records that were not taken.
//
// Owns the names (docs/METRICS.md lists them). They begin with hongbao_monitor_: a sum over all programs must not count a
// request twice. Never a label per source: there may be thousands. Thread tag: thread-safe (pure functions).
#pragma once

#include <array>
#include <cstdint>

#include "libhongbao/watch/metrics.h"
#include "tools/monitor/inlet.h"
#include "tools/monitor/monitor.h"

namespace hongbao::monitor {

using Refused = std::array<uint64_t, static_cast<size_t>(Refusal::kCount)>;
Refused RefusedBy(const Inlet& inlet);

watch::Families MonitorFamilies(const MonitorCounts& snapshot, const Refused& refused, uint64_t clock_steps);

}  // namespace hongbao::monitor
