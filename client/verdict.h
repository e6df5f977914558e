// Verdict: what a run came to: what it measured for --fail-if, whether it held its rate, what it was bound by, the exit
// code.
//
// Owns the shares from which on a run counts as bound by one side. Never measures: it reads counters and rows.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <vector>

#include "client/document.h"
#include "client/options.h"
#include "libhongbao/admin/thresholds.h"
#include "libhongbao/load/client.h"
#include "nlohmann/json.hpp"

namespace hongbao::client {

// By the keys of --fail-if.
admin::Facts FactsOf(const Options& options, const load::ClientSnapshot& snapshot, const Ending& ending);

// {"seconds": 300, "held": 298, "share": 0.99}: in how many of the seconds in which something was due at least that
// share was sent. Null without a schedule (--qps max).
nlohmann::json RateHeldDocument(const Options& options, const std::vector<Second>& seconds);

// {"by": "client|server|nothing", "reason": "..."}. The client when it was not in time for its own schedule with a
// processor that was busy or with nobody to wait for; the server when it refused, lost, or did not answer in time for
// the next request. `live`: before the connections were closed.
nlohmann::json BoundByDocument(const Options& options, const load::ClientSnapshot& live,
                               const std::vector<Second>& seconds, const Ending& ending);

// Of a run that was not interrupted: 4 when an identity is broken, else 3 when a threshold does not hold, else 0.
int ExitCodeOf(const nlohmann::json& report);

}  // namespace hongbao::client
