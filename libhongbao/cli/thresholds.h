// Thresholds: what --fail-if asks of a run, and whether the run gave it.
//
// An expression states what has to hold: 'p99<1ms,missed==0' passes a run whose p99 is below 1 ms and that missed
// nothing; any other run fails. Owns the grammar (tests/cli/thresholds_cases.json is its table, which tools/simulate
// reads too), what is asked of every run (kStandardConditions) and the judgement. Never measures: the facts are told.
// What was not measured does not hold; what is asked of every run is asked only where it was measured.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libhongbao/cpp20.h"
#include "nlohmann/json_fwd.hpp"

namespace hongbao::cli {

struct Threshold {
  enum class Operator : uint8_t { kLess, kAtMost, kMore, kAtLeast, kEqual };
  enum class Unit : uint8_t { kNs, kCount, kPercent };

  std::string expr{};  // as it was given, without blanks
  std::string key{};   // "p99", "service.max", "missed"
  Operator op = Operator::kLess;
  Unit unit = Unit::kCount;
  double wanted = 0;       // ns, a count, or percent
  std::string asked_in{};  // the unit it was given in, which the answer has too: "ms", "%", "fen"; empty: a count
  bool standard = false;   // one of kStandardConditions: nobody has asked for it
};

// What every run has to hold to pass, the gravest first. Whoever asks for something else of one of these keys gets that
// in its place.
inline constexpr char kStandardConditions[] = "superseded==0,missed<=0.1%,unanswered==0,refused<=1%,held>=99%";

// A comma-separated list, not empty. InvalidArgument says what is wrong with which part, and shows a right one.
absl::StatusOr<std::vector<Threshold>> ParseThresholds(absl::string_view text);

// The standard conditions whose keys are not among those `asked`, then those.
std::vector<Threshold> WithStandard(const std::vector<Threshold>& asked);

// What was measured, by key: latencies in ns, counts, and what shares are of: "seconds" of "held", "due" of all others, or
// "sent" where nothing is due. A key that is not there was not measured.
using Facts = std::map<std::string, double>;

struct Judged {
  Threshold threshold{};
  absl::optional<double> value{};  // in the threshold's unit
  bool ok = false;
};

// Standard conditions that were not measured are left out.
std::vector<Judged> Judge(const std::vector<Threshold>& thresholds, const Facts& facts);
bool AllOk(const std::vector<Judged>& judged);

// [{"expr": "p99<1ms", "value": 0.4127, "unit": "ms", "ok": true}, ...]: in the unit that was asked in; a value that was
// not measured is null.
nlohmann::json ThresholdsDocument(const std::vector<Judged>& judged);
// Such a value for people: "0.4127 ms", "1,960", "not measured".
std::string ThresholdValueText(const nlohmann::json& threshold);
// What did not hold, in words: of a standard condition "requests missed: 1,960 of 2,400 (81.7 %); missed<=0.1% has to
// hold", of one that was asked for "--fail-if p99<1ms: it was 5.833 ms".
std::string ReasonOf(const Judged& judged, const Facts& facts);

// The latencies that conditions can name, and their quantiles (0..1).
struct Quantile {
  const char* key;
  double quantile;
};
inline constexpr Quantile kQuantiles[] = {{"p50", 0.5},     {"p90", 0.9},       {"p99", 0.99},
                                          {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1.0}};

}  // namespace hongbao::cli
