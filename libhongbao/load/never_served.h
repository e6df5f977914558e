// NeverServed: how late requests are at the end of a run that were not sent, or whose connection has taken them along.
//
// Who answers no latency has none, and percentiles without the worst requests are no percentiles: each of these counts as late
// as it is at the end, as in HdrHistogram's and wrk2's corrections of coordinated omission. What had no answer when the
// workers ended they have recorded themselves; of the others only the second is known in which they were given up, and they
// are spread over it. Never knows workers. Thread tag: thread-safe (a pure function).
#pragma once

#include <cstdint>
#include <vector>

#include "libhongbao/count/histogram.h"
#include "libhongbao/count/series.h"
#include "libhongbao/load/counters.h"
#include "libhongbao/time/schedule.h"

namespace hongbao::load {

struct NeverServed {
  count::HistogramSnapshot missed{}, lost{};
};

struct NeverServedOf {
  uint64_t missed = 0, lost = 0;  // so many of the rows', the first ones: the last ones are in the histograms
  uint64_t outstanding = 0;       // when the client left without waiting: taken for the last ones that were sent
  uint64_t sample_every = 1;      // the histograms have one of so many requests
  int64_t end_ns = 0;             // steady time
};

// By the schedule's phase, `phases` of them.
std::vector<NeverServed> NeverServedByPhase(const std::vector<count::Series<Counter>::Row>& rows, const time::Schedule& schedule,
                                            size_t phases, NeverServedOf of);

}  // namespace hongbao::load
