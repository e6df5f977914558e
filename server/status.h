// Status: what the server has counted, as JSON: the status page and the body of the report.
//
// Owns the names of the fields (others script against them). Never changes anything.
// Thread tag: thread-safe (reads thread-safe counters).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libhongbao/watch/network_stats.h"
#include "libhongbao/watch/process_stats.h"
#include "libhongbao/watch/second_row.h"
#include "libhongbao/count/series.h"
#include "libhongbao/serve/server.h"
#include "nlohmann/json.hpp"

namespace hongbao::server {

// What the process knows about itself beside the counters.
struct ProcessFacts {
  std::string listen;  // HOST:PORT
  std::string ledger = "none";  // as --ledger has it
  int64_t started_ns = 0;  // monotonic
};

// One row of the series: the counters' row, and what was sampled when it was collected.
struct Second {
  count::Series<serve::Counter>::Row row{};
  uint64_t issued = 0;        // shake envelopes published since the row before
  uint64_t issued_total = 0;  // since the start
  uint32_t connections = 0;
  int64_t rss_bytes = 0;
  double cpu_percent = 0;  // 100 = one core
  watch::NetworkStats network{};  // of this machine, in the second
};

nlohmann::json StatusJson(const serve::Server& server, const serve::ServerCounts& counts, const ProcessFacts& facts,
                          const time::Clock& clock);

// `into` becomes the row of both; `next` is the later one.
void MergeSeconds(Second& into, const Second& next);

// One row of the series, for the report and for GET /v1/series.
nlohmann::json SecondJson(const Second& second);
// The same in the words all programs share.
watch::SecondRow RowOf(const Second& second);

// Adds series, identities and verdict.
void AddReport(nlohmann::json& document, const std::vector<Second>& seconds,
               const std::vector<serve::Identity>& identities);

}  // namespace hongbao::server
