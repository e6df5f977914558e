// Record: what the client tells a monitor of one second (docs/PROTOCOL.md, "Counter record").
//
// A pure function from a row of the series, and what was sampled beside it, to the record. Owns nothing.
// Thread tag: thread-safe.
#pragma once

#include "client/status.h"
#include "libhongbao/load/addresses.h"
#include "libhongbao/time/clock_sync.h"
#include "libhongbao/time/wall_steps.h"
#include "libhongbao/wire/counter_record.h"

namespace hongbao::client {

wire::CounterRecord RecordOf(const Second& second, const load::UserRange& users, const time::Skew& skew,
                             const time::StepCount& steps = {});

}  // namespace hongbao::client
