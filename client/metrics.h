// Metrics: what the client has counted, as families for GET /metrics.
//
// Owns the names (docs/METRICS.md lists them; dashboards are built on them). Never counts anything itself.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <cstdint>

#include "libhongbao/count/histogram.h"
#include "libhongbao/load/client.h"
#include "libhongbao/watch/metrics.h"

namespace hongbao::client {

// What is told of beside the counters.
struct Moment {
  count::HistogramSnapshot request;  // from the intended time to the answer
  count::HistogramSnapshot service;  // from the send to the answer
  count::HistogramSnapshot lag;      // from the intended time to the send
  int64_t last_unix_s = 0;           // the last second that all workers have closed the book of; 0: none yet
};
Moment MomentOf(const load::Client& client, int64_t last_unix_s);

watch::Families ClientFamilies(const load::ClientOptions& options, const load::ClientCounts& snapshot, const Moment& moment);

}  // namespace hongbao::client
