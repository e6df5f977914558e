#include "tools/monitor/verdict.h"

#include "absl/strings/str_cat.h"

namespace hongbao::monitor {
namespace {

using wire::Slot;

void Add(cli::Facts& facts, const wire::CounterRecord& record) {
  const auto total = [&record](Slot slot) { return static_cast<double>(record.Total(slot)); };
  facts["sent"] += total(Slot::kRequests);
  facts["due"] += total(Slot::kRequests) + total(Slot::kMissed);
  facts["missed"] += total(Slot::kMissed);
  facts["late"] += total(Slot::kLate);
  facts["lost"] += total(Slot::kLost);
  facts["refused"] += total(Slot::kOverload);
  facts["wins"] += total(Slot::kWon);
  facts["superseded"] += total(Slot::kSuperseded);
  // Of the last second: by then of the whole life.
  facts["unanswered"] += total(Slot::kLost) + static_cast<double>(record.Count(Slot::kOutstanding)) + total(Slot::kOutstanding);
}

}  // namespace

cli::Facts FactsOf(const Sources& sources) {
  cli::Facts facts;
  for (const Source& source : sources.all()) {
    if (source.role == wire::Role::kClient && source.condition == Condition::kEnded) {
      Add(facts, source.newest);
    }
  }
  if (sources.forgotten().lives > 0) {
    wire::CounterRecord forgotten;
    forgotten.total = sources.forgotten().total[static_cast<size_t>(wire::Role::kClient)];
    forgotten.total[static_cast<size_t>(Slot::kOutstanding)] = 0;  // a gauge: no sum over lives
    Add(facts, forgotten);
  }
  return facts;
}

std::string OwnVerdictOf(const Source& source) {
  if (source.role != wire::Role::kClient || source.condition != Condition::kEnded) {
    return "";
  }
  switch (source.exit_code) {
    case 1:
      return absl::StrCat(source.Name(), " could not run (exit code 1)");
    case 3:
      return absl::StrCat(source.Name(), " did not hold what it had to (exit code 3)");
    case 4:
      return absl::StrCat(source.Name(), " does not reconcile (exit code 4)");
    default:
      return "";
  }
}

}  // namespace hongbao::monitor
