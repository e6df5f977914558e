// Status: what the monitor knows, as JSON: the status page, and parts of the report.
//
// Owns the names of the fields (others script against them). Thread tag: thread-safe (pure functions).
#pragma once

#include "nlohmann/json.hpp"
#include "tools/monitor/monitor.h"

namespace hongbao::monitor {

nlohmann::json StatusJson(const MonitorCounts& counts);
nlohmann::json SourceJson(const Source& source);
nlohmann::json SumsJson(const Sums& sums);

}  // namespace hongbao::monitor
