#include "libhongbao/cli/thresholds.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libhongbao/cli/flags.h"
#include "libhongbao/cli/numbers.h"
#include "nlohmann/json.hpp"

namespace hongbao::cli {
namespace {

using Operator = Threshold::Operator;
using Unit = Threshold::Unit;

// Longest first: "<" is the beginning of "<=".
constexpr std::array<std::pair<absl::string_view, Operator>, 5> kOperators = {{{"<=", Operator::kAtMost},
                                                                               {">=", Operator::kAtLeast},
                                                                               {"==", Operator::kEqual},
                                                                               {"<", Operator::kLess},
                                                                               {">", Operator::kMore}}};
constexpr absl::string_view kOperatorCharacters = "<>=!";
constexpr absl::string_view kService = "service.";

// What can be asked of a key.
enum class Kind : uint8_t { kNone, kLatency, kCountOrShare, kShare, kCount };

Kind KindOf(absl::string_view key) {
  absl::string_view latency = key;
  absl::ConsumePrefix(&latency, kService);
  if (std::any_of(std::begin(kQuantiles), std::end(kQuantiles), [=](const Quantile& q) { return latency == q.key; })) {
    return Kind::kLatency;
  }
  for (const absl::string_view count : {"missed", "late", "lost", "errors", "refused", "unanswered"}) {
    if (key == count) {
      return Kind::kCountOrShare;
    }
  }
  return key == "rate" || key == "held"                                ? Kind::kShare
         : key == "wins" || key == "difference" || key == "superseded" ? Kind::kCount
                                                                       : Kind::kNone;
}

// Of the units that a duration can be given in.
double NsOf(absl::string_view unit) {
  constexpr std::pair<absl::string_view, double> kUnits[] = {{"ns", 1},  {"us", 1e3}, {"ms", 1e6},
                                                             {"s", 1e9}, {"m", 60e9}, {"h", 3'600e9}};
  for (const auto& [name, ns] : kUnits) {
    if (unit == name) {
      return ns;
    }
  }
  return 1e6;
}

// What a share is of: the key of the fact.
std::string WholeOf(const std::string& key, const Facts& facts) {
  const bool of_the_schedule = key == "missed" || key == "late" || key == "rate";
  return key == "held" ? "seconds" : facts.count("due") > 0 || of_the_schedule ? "due" : "sent";
}

// Four digits at least, and no more of a fraction than that.
std::string NumberText(double value) {
  const double size = std::abs(value);
  if (size == std::floor(size) && size < 1e15) {
    return WithCommas(static_cast<int64_t>(value));
  }
  const int decimals = std::clamp(3 - static_cast<int>(std::floor(std::log10(size))), 0, 9);
  const std::string text = absl::StrFormat("%.*f", decimals, size);
  const size_t point = std::min(text.find('.'), text.size());
  return absl::StrCat(value < 0 ? "-" : "", WithCommas(std::stoll(text.substr(0, point))), text.substr(point));
}

// What the standard conditions count, for people.
std::string CountedBy(absl::string_view key) {
  return key == "superseded"   ? "sessions ended because their users logged in elsewhere"
         : key == "missed"     ? "requests missed"
         : key == "unanswered" ? "requests without an answer"
         : key == "refused"    ? "requests refused as overloaded"
         : key == "held"       ? "seconds with the rate held"
                               : std::string(key);
}

absl::Status Wrong(absl::string_view part, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", part, "': ", reason, "; it states what has to hold, e.g. 'p99<1ms,missed<0.1%,lost==0'"));
}

// "99.5" as a share: digits and a point, nothing that a number of C could be besides.
bool ParsePercent(absl::string_view text, double* percent) {
  const bool plain = !text.empty() && text.size() <= 18 && absl::ascii_isdigit(static_cast<unsigned char>(text.front())) &&
                     absl::ascii_isdigit(static_cast<unsigned char>(text.back())) &&
                     std::all_of(text.begin(), text.end(),
                                 [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '.'; });
  return plain && absl::SimpleAtod(text, percent);
}

absl::Status ParseValue(absl::string_view part, Kind kind, absl::string_view text, Threshold& threshold) {
  absl::string_view share = text;
  if (kind == Kind::kLatency) {
    const absl::StatusOr<int64_t> ns = ParseDurationNs(text);
    threshold.unit = Unit::kNs;
    threshold.asked_in = std::string(text.substr(std::min(text.find_last_of("0123456789") + 1, text.size())));
    threshold.asked_in = threshold.asked_in.empty() ? "ms" : threshold.asked_in;
    threshold.wanted = ns.ok() ? static_cast<double>(*ns) : 0;
    return ns.ok() ? absl::OkStatus() : Wrong(part, "want a duration with its unit, e.g. 1ms");
  }
  if (kind != Kind::kCount && absl::ConsumeSuffix(&share, "%")) {
    threshold.unit = Unit::kPercent;
    threshold.asked_in = "%";
    return ParsePercent(share, &threshold.wanted) ? absl::OkStatus() : Wrong(part, "want a share, e.g. 99.5%");
  }
  if (kind == Kind::kShare) {
    return Wrong(
        part, threshold.key == "held" ? "want a share of the seconds, e.g. 99%" : "want a share of the requests due, e.g. 99.5%");
  }
  const absl::StatusOr<int64_t> count = ParseCount(text);
  threshold.unit = Unit::kCount;
  threshold.asked_in = threshold.key == "difference" ? "fen" : "";
  threshold.wanted = count.ok() ? static_cast<double>(*count) : 0;
  return count.ok()                    ? absl::OkStatus()
         : kind == Kind::kCountOrShare ? Wrong(part, "want a count, e.g. 0 or 10k, or a share of the requests due, e.g. 0.1%")
                                       : Wrong(part, "want a count, e.g. 0 or 10k");
}

absl::StatusOr<Threshold> ParseOne(absl::string_view part) {
  const size_t at = part.find_first_of(kOperatorCharacters);
  if (at == absl::string_view::npos) {
    return Wrong(part, "want KEY OP VALUE with one of < <= > >= ==");
  }
  const size_t end = std::min(part.find_first_not_of(kOperatorCharacters, at), part.size());
  const absl::string_view given = part.substr(at, end - at);
  const auto* const op = std::find_if(kOperators.begin(), kOperators.end(), [=](const auto& one) { return one.first == given; });
  if (op == kOperators.end()) {
    return Wrong(part, "want one of < <= > >= ==");
  }
  const absl::string_view key = absl::StripAsciiWhitespace(part.substr(0, at));
  const absl::string_view value = absl::StripAsciiWhitespace(part.substr(end));
  Threshold threshold;
  threshold.expr = absl::StrCat(key, given, value);
  threshold.key = std::string(key == "error" ? "errors" : key);
  threshold.op = op->second;
  const Kind kind = KindOf(threshold.key);
  if (kind == Kind::kNone) {
    return Wrong(part,
                 "unknown key; there are p50 p90 p99 p99.9 p99.99 max, the same with service. before them, missed late lost "
                 "errors refused unanswered superseded rate held wins difference");
  }
  if (absl::Status status = ParseValue(part, kind, value, threshold); !status.ok()) {
    return status;
  }
  return threshold;
}

absl::optional<double> ValueOf(const Threshold& threshold, const Facts& facts) {
  const auto look = [&facts](const std::string& key) {
    const auto found = facts.find(key);
    return found == facts.end() ? absl::optional<double>() : absl::optional<double>(found->second);
  };
  const absl::optional<double> value = look(threshold.key == "rate" ? "sent" : threshold.key);
  if (threshold.unit != Unit::kPercent || !value.has_value()) {
    return value;
  }
  const absl::optional<double> whole = look(WholeOf(threshold.key, facts));
  return whole.value_or(0) > 0 ? absl::optional<double>(100.0 * *value / *whole) : absl::nullopt;
}

bool Holds(double value, Operator op, double wanted) {
  switch (op) {
    case Operator::kLess:
      return value < wanted;
    case Operator::kAtMost:
      return value <= wanted;
    case Operator::kMore:
      return value > wanted;
    case Operator::kAtLeast:
      return value >= wanted;
    case Operator::kEqual:
      return value == wanted;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::vector<Threshold>> ParseThresholds(absl::string_view text) {
  std::vector<Threshold> thresholds;
  for (const absl::string_view piece : absl::StrSplit(text, ',')) {
    absl::StatusOr<Threshold> threshold = ParseOne(absl::StripAsciiWhitespace(piece));
    if (!threshold.ok()) {
      return threshold.status();
    }
    thresholds.push_back(*std::move(threshold));
  }
  return thresholds;
}

std::vector<Threshold> WithStandard(const std::vector<Threshold>& asked) {
  std::vector<Threshold> all = ParseThresholds(kStandardConditions).value();
  std::erase_if(all, [&asked](const Threshold& standard) {
    return std::any_of(asked.begin(), asked.end(), [&](const Threshold& one) { return one.key == standard.key; });
  });
  for (Threshold& standard : all) {
    standard.standard = true;
  }
  all.insert(all.end(), asked.begin(), asked.end());
  return all;
}

std::vector<Judged> Judge(const std::vector<Threshold>& thresholds, const Facts& facts) {
  std::vector<Judged> judged;
  for (const Threshold& threshold : thresholds) {
    const absl::optional<double> value = ValueOf(threshold, facts);
    if (value.has_value() || !threshold.standard) {
      judged.push_back({threshold, value, value.has_value() && Holds(*value, threshold.op, threshold.wanted)});
    }
  }
  return judged;
}

bool AllOk(const std::vector<Judged>& judged) {
  return std::all_of(judged.begin(), judged.end(), [](const Judged& one) { return one.ok; });
}

nlohmann::json ThresholdsDocument(const std::vector<Judged>& judged) {
  nlohmann::json document = nlohmann::json::array();
  for (const Judged& one : judged) {
    const Threshold& threshold = one.threshold;
    nlohmann::json value;
    if (one.value.has_value() && threshold.unit == Unit::kCount) {
      value = static_cast<int64_t>(*one.value);
    } else if (one.value.has_value()) {
      value = threshold.unit == Unit::kNs ? *one.value / NsOf(threshold.asked_in) : *one.value;
    }
    document.push_back({{"expr", threshold.expr}, {"value", value}, {"unit", threshold.asked_in}, {"ok", one.ok}});
  }
  return document;
}

std::string ThresholdValueText(const nlohmann::json& threshold) {
  if (threshold["value"].is_null()) {
    return "not measured";
  }
  const auto unit = threshold["unit"].get<std::string>();
  return absl::StrCat(NumberText(threshold["value"].get<double>()), unit.empty() ? "" : " ", unit);
}

std::string ReasonOf(const Judged& judged, const Facts& facts) {
  const Threshold& threshold = judged.threshold;
  if (!threshold.standard) {
    return absl::StrCat("--fail-if ", threshold.expr, ": it was ", ThresholdValueText(ThresholdsDocument({judged})[0]));
  }
  std::string text = absl::StrCat(CountedBy(threshold.key), ": ", NumberText(facts.at(threshold.key)));
  if (threshold.unit == Unit::kPercent) {
    absl::StrAppend(&text, " of ", NumberText(facts.at(WholeOf(threshold.key, facts))),
                    absl::StrFormat(" (%.1f %%)", *judged.value));
  }
  return absl::StrCat(text, "; ", threshold.expr, " has to hold");
}

}  // namespace hongbao::cli
