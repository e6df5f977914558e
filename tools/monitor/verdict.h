// Verdict: whether the run of all clients that ended here passes, by the rules of every program (cli/thresholds.h).
//
// A client that ended by itself has judged itself, and its exit code says so. Beyond that the counts of all that ended are
// judged together. Owns nothing. Never judges a client that has not ended: what has no answer yet may still get one.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <string>
#include <vector>

#include "libhongbao/cli/thresholds.h"
#include "tools/monitor/sources.h"

namespace hongbao::monitor {

// By the keys of --fail-if, as far as records tell; empty when no client has ended.
cli::Facts FactsOf(const Sources& sources);

// Why one client did not pass, as its exit code says; empty when it passed or was interrupted.
std::string OwnVerdictOf(const Source& source);

}  // namespace hongbao::monitor
