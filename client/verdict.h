// Verdict: what a run came to: what it measured, whether it passes and if not why, what it was bound by, the exit code.
//
// A run passes when it measured something, held its schedule, had its answers, lost no user to somebody else (the standard
// conditions of cli/thresholds.h and those of --fail-if) and reconciles. tools/simulate reads what is judged here.
// Owns the shares from which on a run counts as bound by one side. Never measures: it reads counters and rows.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <string>
#include <vector>

#include "client/options.h"
#include "client/status.h"
#include "libhongbao/cli/thresholds.h"
#include "libhongbao/load/client.h"
#include "nlohmann/json.hpp"

namespace hongbao::client {

// By the keys of --fail-if. `rate_held`: as below.
cli::Facts FactsOf(const Options& options, const load::ClientCounts& snapshot, const nlohmann::json& rate_held,
                   const Ending& ending);

// {"seconds": 300, "held": 298, "share": 0.99, "not_held": [1486824165, ..]}: in how many of the seconds in which something
// was due that share was sent (rate_held.h). Null without a schedule: --qps max, and --requests, which are all sent,
// late if need be.
nlohmann::json RateHeldDocument(const Options& options, const std::vector<Second>& seconds);

// Why a run is no pass, for people, the gravest reason first; empty: it is one. `thresholds`: what was judged. Of an
// interrupted run what was asked for is not judged, the standard conditions are: of the part that there was.
std::vector<std::string> ReasonsOf(const load::ClientCounts& snapshot, const nlohmann::json& identities,
                                   const std::vector<cli::Judged>& judged, const cli::Facts& facts, bool interrupted);

// {"by": "client|server|nothing", "reason": "..."}. The client when it was not in time for its own schedule with a
// processor that was busy or with nobody to wait for; the server when it refused, lost, or did not answer in time for
// the next request. `live`: before the connections were closed.
nlohmann::json BoundByDocument(const Options& options, const load::ClientCounts& live, const std::vector<Second>& seconds,
                               const Ending& ending);

// Of a run that was not interrupted: 4 when an identity is broken, else 3 when there is another reason, else 0.
int ExitCodeOf(const nlohmann::json& report);

}  // namespace hongbao::client
