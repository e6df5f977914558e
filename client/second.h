// Second: one finished second of the client: its row, its JSON, and what a monitor is told of it.
//
// Which counter fills which figure is said once, in the list at the head of second.cc. Owns nothing.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <cstdint>

#include "libhongbao/count/histogram.h"
#include "libhongbao/load/addresses.h"
#include "libhongbao/load/client.h"
#include "libhongbao/time/clock_sync.h"
#include "libhongbao/time/wall_steps.h"
#include "libhongbao/watch/sampler.h"
#include "libhongbao/watch/second_row.h"
#include "libhongbao/wire/counter_record.h"
#include "nlohmann/json.hpp"

namespace hongbao::client {

// The counters' row, and what was measured beside it.
struct Second {
  load::Client::Series::Row row{};
  count::LatencyUs latency{};  // from the intended time: of the answers of about that second, and of who still waited at its end
  count::LatencyUs lag{};      // of the requests sent in about that second: how late they left
  uint32_t target_qps = 0;     // of the whole fleet
  watch::Sample sample{};      // of the process and this machine, in the second
};

// `into` becomes the row of both; `next` is the later one. Of latencies the larger stays: percentiles do not add up.
void MergeSeconds(Second& into, const Second& next);

watch::SecondRow RowOf(const Second& second);
// The row by name but for the machine's network, and every counter by its own: GET /v1/series and the report.
nlohmann::json SecondJson(const Second& second);
// docs/PROTOCOL.md, "Counter record".
wire::CounterRecord RecordOf(const Second& second, const load::UserRange& users, const time::Skew& skew,
                             const time::StepCount& steps = {});

}  // namespace hongbao::client
