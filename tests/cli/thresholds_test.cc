#include "libhongbao/cli/thresholds.h"

#include <fstream>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace hongbao::cli {
namespace {

using nlohmann::json;
using Unit = Threshold::Unit;
using Operator = Threshold::Operator;

// The table that tools/simulate's tests read too.
json Cases() {
  std::ifstream file(HONGBAO_THRESHOLDS_CASES);
  return json::parse(file);
}

const char* NameOf(Unit unit) { return unit == Unit::kNs ? "ns" : unit == Unit::kCount ? "count" : "percent"; }

const char* NameOf(Operator op) {
  constexpr const char* kNames[] = {"<", "<=", ">", ">=", "=="};
  return kNames[static_cast<size_t>(op)];
}

Facts FactsOf(const json& document) {
  Facts facts;
  for (const auto& [key, value] : document.items()) {
    facts[key] = value.get<double>();
  }
  return facts;
}

TEST(Thresholds, MeanWhatTheTableSays) {
  const json cases = Cases()["accepted"];
  ASSERT_GE(cases.size(), 16u);
  for (const json& one : cases) {
    const auto thresholds = ParseThresholds(one["text"].get<std::string>());
    ASSERT_TRUE(thresholds.ok()) << one << thresholds.status();
    json conditions = json::array();
    for (const Threshold& threshold : *thresholds) {
      conditions.push_back({{"expr", threshold.expr},
                            {"key", threshold.key},
                            {"op", NameOf(threshold.op)},
                            {"value", threshold.wanted},
                            {"unit", NameOf(threshold.unit)}});
    }
    EXPECT_EQ(conditions, one["conditions"]);
  }
}

TEST(Thresholds, RefuseWithTheReasonAndAnExample) {
  const json cases = Cases()["refused"];
  ASSERT_GE(cases.size(), 50u);
  for (const json& text : cases) {
    const auto thresholds = ParseThresholds(text.get<std::string>());
    ASSERT_FALSE(thresholds.ok()) << text;
    EXPECT_EQ(thresholds.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(thresholds.status().message()).find("e.g. 'p99<1ms,missed<0.1%,lost==0'"), std::string::npos)
        << thresholds.status();
  }
  EXPECT_NE(std::string(ParseThresholds("p98<1ms").status().message()).find("there are p50 p90"), std::string::npos);
  EXPECT_NE(std::string(ParseThresholds("p99<1").status().message()).find("duration"), std::string::npos);
}

TEST(Thresholds, AreJudgedAsTheTableSays) {
  const json cases = Cases();
  const Facts facts = FactsOf(cases["facts"]);
  ASSERT_GE(cases["judged"].size(), 25u);
  for (const json& one : cases["judged"]) {
    const std::vector<Judged> judged = Judge(ParseThresholds(one["text"].get<std::string>()).value(), facts);
    ASSERT_EQ(judged.size(), 1u);
    const json document = ThresholdsDocument(judged);
    if (one["value"].is_number_float()) {
      EXPECT_DOUBLE_EQ(document[0]["value"].get<double>(), one["value"].get<double>()) << one;
    } else {
      EXPECT_EQ(document[0]["value"], one["value"]) << one;
    }
    EXPECT_EQ(document[0]["ok"], one["ok"]) << one;
    EXPECT_EQ(AllOk(judged), one["ok"].get<bool>()) << one;
  }
}

TEST(Thresholds, AreAskedOfEveryRunUnlessAnotherTakesTheirPlace) {
  const json cases = Cases();
  EXPECT_EQ(cases["standard"], kStandardConditions);
  ASSERT_GE(cases["reasons"].size(), 4u);
  for (const json& one : cases["reasons"]) {
    const Facts facts = FactsOf(one["facts"]);
    json says = json::array();
    for (const Judged& judged : Judge(WithStandard(ParseThresholds(one["asked"].get<std::string>()).value()), facts)) {
      if (!judged.ok) {
        says.push_back(ReasonOf(judged, facts));
      }
    }
    EXPECT_EQ(says, one["says"]);
  }
}

// Neither of the two has been shown, whichever way one asks.
TEST(Thresholds, WhatWasNotMeasuredDoesNotHold) {
  for (const char* text : {"p99<1h", "p99>0", "missed==0", "missed<100%", "rate>=0%", "difference==0"}) {
    const std::vector<Judged> judged = Judge(ParseThresholds(text).value(), {});
    EXPECT_FALSE(AllOk(judged)) << text;
    EXPECT_TRUE(ThresholdsDocument(judged)[0]["value"].is_null()) << text;
  }
  EXPECT_FALSE(AllOk(Judge(ParseThresholds("missed<100%").value(), {{"missed", 0}, {"due", 0}})));
  EXPECT_TRUE(AllOk(Judge(ParseThresholds("missed==0").value(), {{"missed", 0}, {"due", 0}})));
}

TEST(Thresholds, OneThatFailsIsEnough) {
  const std::vector<Judged> judged =
      Judge(ParseThresholds("missed==0,lost==0,late==0").value(), {{"missed", 0}, {"lost", 1}, {"late", 0}});
  EXPECT_TRUE(judged[0].ok && !judged[1].ok && judged[2].ok);
  EXPECT_FALSE(AllOk(judged));
  const json document = ThresholdsDocument(judged);
  EXPECT_EQ(document[1], json({{"expr", "lost==0"}, {"value", 1}, {"unit", ""}, {"ok", false}}));
}

}  // namespace
}  // namespace hongbao::cli
