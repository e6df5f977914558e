// Record: what the server tells a monitor of one second (docs/PROTOCOL.md, "Counter record").
//
// A pure function from a row of the series, and what was sampled beside it, to the record. Owns nothing.
// Thread tag: thread-safe.
#pragma once

#include <cstdint>

#include "libhongbao/serve/server.h"
#include "libhongbao/wire/counter_record.h"
#include "server/status.h"

namespace hongbao::server {

// `counts`: as they stand now, for what the series does not have; `before`: as they stood at the record before.
wire::CounterRecord RecordOf(const Second& second, const serve::ServerCounts& before, const serve::ServerCounts& counts,
                             uint32_t users_max);

}  // namespace hongbao::server
