// Summary: the final block for people, made from the report alone, so that it never says anything else.
//
// Owns the wording and the places of the figures. Never counts, never judges: the report has.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <string>

#include "client/options.h"
#include "nlohmann/json.hpp"

namespace hongbao::client {

// Lines, each with its end.
std::string SummaryOf(const Options& options, const nlohmann::json& report);

}  // namespace hongbao::client
