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
#include "client/second.h"
#include "libhongbao/count/histogram.h"
#include "libhongbao/load/client.h"
#include "libhongbao/watch/process_stats.h"
#include "nlohmann/json.hpp"

namespace hongbao::client {

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
  uint32_t workers = 1;                            // threads that sent
};

// GET /v1/status.
nlohmann::json StatusJson(const Options& options, const load::ClientCounts& snapshot, const watch::ProcessStats& process);

// The promises between the counters, by name; all true in a run without a defect.
nlohmann::json Identities(const load::ClientCounts& snapshot, const absl::optional<MoneyLogEnd>& money_log = {});
bool AllHold(const nlohmann::json& identities);

// --report: `live` as it stood before the connections were closed, `final` after it.
nlohmann::json ReportJson(const Options& options, const load::ClientCounts& live, const load::ClientCounts& final,
                          const std::vector<load::PhaseReport>& phases, const std::vector<Second>& seconds,
                          const watch::ProcessStats& process, const Ending& ending);

}  // namespace hongbao::client
