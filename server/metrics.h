// Metrics: what the server has counted, as families for GET /metrics.
//
// Owns the names (docs/METRICS.md lists them; dashboards are built on them). Never counts anything itself.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <cstdint>

#include "libhongbao/serve/server.h"
#include "libhongbao/watch/metrics.h"

namespace hongbao::server {

// What is told of beside the counters.
struct Moment {
  bool draining = false;
  int64_t last_unix_s = 0;  // the last second that all workers have closed the book of; 0: none yet
};

watch::Families ServerFamilies(const serve::ServerCounts& counts, const Moment& moment);

}  // namespace hongbao::server
