// Status: what the client has counted, as JSON: the status page and the report.
//
// Owns the names of the keys (the contract with tools/simulate and whoever reads a report). Never counts anything itself.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "client/options.h"
#include "libhongbao/watch/network_stats.h"
#include "libhongbao/watch/process_stats.h"
#include "libhongbao/watch/second_row.h"
#include "libhongbao/count/histogram.h"
#include "libhongbao/load/client.h"
#include "nlohmann/json.hpp"

namespace hongbao::client {

// A finished second and what was measured beside it.
struct Second {
  load::Client::Series::Row row{};
  count::LatencyUs latency{};  // from the intended time: of the answers of about that second, and of who still waited at its end
  count::LatencyUs lag{};      // of the requests sent in about that second: how late they left
  uint32_t target_qps = 0;   // of the whole fleet
  double cpu_percent = 0;
  int64_t rss_bytes = 0;
  watch::NetworkStats network{};  // of this machine, in the second
};

// What became of --money-log.
struct MoneyLogEnd {
  std::string path;
  uint64_t written = 0;  // lines, without the header
  bool failed = false;   // a write was refused
};

// How the run ended.
struct Ending {
  bool interrupted = false;
  absl::optional<MoneyLogEnd> money_log{};
  count::HistogramSnapshot schedule{}, service{};  // latencies of the whole run
  uint32_t workers = 1;     // threads that sent
};

// `into` becomes the row of both; `next` is the later one. Of latencies the larger stays: percentiles do not add up.
void MergeSeconds(Second& into, const Second& next);

// One row of the series, for the report and for GET /v1/series.
nlohmann::json SecondJson(const Second& second);
// The same in the words all programs share.
watch::SecondRow RowOf(const Second& second);

// GET /v1/status.
nlohmann::json StatusJson(const Options& options, const load::ClientSnapshot& snapshot, const watch::ProcessStats& process);

// The promises between the counters, by name; all true in a run without a defect.
nlohmann::json Identities(const load::ClientSnapshot& snapshot, const absl::optional<MoneyLogEnd>& money_log = {});
bool AllHold(const nlohmann::json& identities);

// --report: `live` as it stood before the connections were closed, `final` after it.
nlohmann::json ReportJson(const Options& options, const load::ClientSnapshot& live, const load::ClientSnapshot& final,
                              const std::vector<load::PhaseReport>& phases, const std::vector<Second>& seconds,
                              const watch::ProcessStats& process, const Ending& ending);

}  // namespace hongbao::client
