// Second: one finished second of the server: its row, its JSON, and what a monitor is told of it.
//
// Which counter fills which figure is said once, in the list at the head of second.cc. Owns nothing.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <cstdint>

#include "libhongbao/count/series.h"
#include "libhongbao/serve/server.h"
#include "libhongbao/watch/sampler.h"
#include "libhongbao/watch/second_row.h"
#include "libhongbao/wire/counter_record.h"
#include "nlohmann/json.hpp"

namespace hongbao::server {

// The counters' row, and what was sampled when it was collected.
struct Second {
  count::Series<serve::Counter>::Row row{};
  uint64_t issued = 0;        // shake envelopes published since the row before
  uint64_t issued_total = 0;  // since the start
  watch::Sample sample{};     // of the process and this machine, in the second
};

// `into` becomes the row of both; `next` is the later one.
void MergeSeconds(Second& into, const Second& next);

watch::SecondRow RowOf(const Second& second);
// The row by name but for the machine's network, and what it has no column for: GET /v1/series and the report.
nlohmann::json SecondJson(const Second& second);
// docs/PROTOCOL.md, "Counter record". `counts`: as they stand now, for what the series does not have; `before`: as they stood
// at the record before.
wire::CounterRecord RecordOf(const Second& second, const serve::ServerCounts& before, const serve::ServerCounts& counts,
                             uint32_t users_max);

}  // namespace hongbao::server
