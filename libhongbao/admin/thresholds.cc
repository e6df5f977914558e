#include "libhongbao/admin/thresholds.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libhongbao/admin/flags.h"
#include "nlohmann/json.hpp"

namespace hongbao::admin {
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
  return key == "rate" ? Kind::kShare : key == "wins" || key == "difference" ? Kind::kCount : Kind::kNone;
}

absl::Status Wrong(absl::string_view part, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", part, "': ", reason, "; it states what has to hold, e.g. 'p99<1ms,missed<0.1%,lost==0'"));
}

// "99.5" as a share: digits and a point, nothing that a number of C could be besides.
bool ParsePercent(absl::string_view text, double* percent) {
  const bool plain = !text.empty() && text.size() <= 18 &&
                     absl::ascii_isdigit(static_cast<unsigned char>(text.front())) &&
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
    threshold.wanted = ns.ok() ? static_cast<double>(*ns) : 0;
    return ns.ok() ? absl::OkStatus() : Wrong(part, "want a duration with its unit, e.g. 1ms");
  }
  if (kind != Kind::kCount && absl::ConsumeSuffix(&share, "%")) {
    threshold.unit = Unit::kPercent;
    return ParsePercent(share, &threshold.wanted) ? absl::OkStatus() : Wrong(part, "want a share, e.g. 99.5%");
  }
  if (kind == Kind::kShare) {
    return Wrong(part, "want a share of the requests due, e.g. 99.5%");
  }
  const absl::StatusOr<int64_t> count = ParseCount(text);
  threshold.unit = Unit::kCount;
  threshold.wanted = count.ok() ? static_cast<double>(*count) : 0;
  return count.ok() ? absl::OkStatus()
         : kind == Kind::kCountOrShare
             ? Wrong(part, "want a count, e.g. 0 or 10k, or a share of the requests due, e.g. 0.1%")
             : Wrong(part, "want a count, e.g. 0 or 10k");
}

absl::StatusOr<Threshold> ParseOne(absl::string_view part) {
  const size_t at = part.find_first_of(kOperatorCharacters);
  if (at == absl::string_view::npos) {
    return Wrong(part, "want KEY OP VALUE with one of < <= > >= ==");
  }
  const size_t end = std::min(part.find_first_not_of(kOperatorCharacters, at), part.size());
  const absl::string_view given = part.substr(at, end - at);
  const auto* const op =
      std::find_if(kOperators.begin(), kOperators.end(), [=](const auto& one) { return one.first == given; });
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
    return Wrong(
        part,
        "unknown key; there are p50 p90 p99 p99.9 p99.99 max, the same with service. before them, missed late lost "
        "errors refused unanswered rate wins difference");
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
  const absl::optional<double> due = look("due");
  return due.value_or(0) > 0 ? absl::optional<double>(100.0 * *value / *due) : absl::nullopt;
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

std::vector<Judged> Judge(const std::vector<Threshold>& thresholds, const Facts& facts) {
  std::vector<Judged> judged;
  for (const Threshold& threshold : thresholds) {
    const absl::optional<double> value = ValueOf(threshold, facts);
    judged.push_back({threshold, value, value.has_value() && Holds(*value, threshold.op, threshold.wanted)});
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
    const bool latency = threshold.unit == Unit::kNs;
    nlohmann::json value;
    if (one.value.has_value() && threshold.unit == Unit::kCount) {
      value = static_cast<int64_t>(*one.value);
    } else if (one.value.has_value()) {
      value = latency ? *one.value / 1'000 : *one.value;
    }
    const char* unit = latency                            ? "us"
                       : threshold.unit == Unit::kPercent ? "%"
                       : threshold.key == "difference"    ? "fen"
                                                          : "";
    document.push_back({{"expr", threshold.expr}, {"value", value}, {"unit", unit}, {"ok", one.ok}});
  }
  return document;
}

}  // namespace hongbao::admin
