#include "tools/monitor/status.h"

#include <utility>

#include "libhongbao/cli/options.h"

namespace hongbao::monitor {

using nlohmann::json;

json SourceJson(const Source& source) {
  return {{"role", RoleName(source.role)},
          {"host", source.peer.HostToString()},
          {"pid", source.process_id},
          {"began_unix_ns", source.began_unix_ns},
          {"users", {{"first", source.first_user}, {"count", source.users}}},
          {"condition", ConditionName(source.condition)},
          {"connected", source.connection != 0},
          {"first_s", source.first_s},
          {"last_s", source.last_s},
          {"records", source.records},
          {"late", source.late},
          {"repeated", source.repeated},
          {"clock_off", source.clock_off},
          {"clock_off_s", source.off_s},
          {"clock_steps", source.newest.Total(wire::Slot::kClockSteps)},
          {"exit_code", source.condition == Condition::kEnded ? json(source.exit_code) : json()},
          {"takes_place_of", source.before == 0 ? json() : json(source.before)},
          {"id", source.id}};
}

json SumsJson(const Sums& sums) {
  return {{"given", sums.given_fen}, {"got", sums.got_fen}, {"left", sums.left_fen}, {"difference", sums.difference_fen()}};
}

json StatusJson(const MonitorCounts& counts) {
  json sources = json::array();
  for (const Source& source : counts.sources) {
    sources.push_back(SourceJson(source));
  }
  return {{"role", "monitor"},
          {"version", cli::Version()},
          {"newest_s", counts.newest_s},
          {"sources", std::move(sources)},
          {"sources_forgotten", counts.forgotten.lives},
          {"records",
           {{"taken", counts.records},
            {"late", counts.late},
            {"repeated", counts.repeated},
            {"clock_off", counts.clock_off},
            {"too_many_sources", counts.sources_refused}}},
          {"money_fen", SumsJson(counts.sums)}};
}

}  // namespace hongbao::monitor
