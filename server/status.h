// Status: what the server has counted, as JSON: the status page and the body of the report.
//
// Owns the names of the fields (others script against them). Never changes anything.
// Thread tag: thread-safe (reads thread-safe counters).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libhongbao/serve/server.h"
#include "nlohmann/json.hpp"
#include "server/second.h"

namespace hongbao::server {

// What the process knows about itself beside the counters.
struct ProcessFacts {
  std::string listen;           // HOST:PORT
  std::string ledger = "none";  // as --ledger has it
  int64_t started_ns = 0;       // monotonic
};

nlohmann::json StatusJson(const serve::Server& server, const serve::ServerCounts& counts, const ProcessFacts& facts,
                          const time::Clock& clock);

// Adds series, identities and verdict.
void AddReport(nlohmann::json& document, const std::vector<Second>& seconds, const std::vector<serve::Identity>& identities);

}  // namespace hongbao::server
