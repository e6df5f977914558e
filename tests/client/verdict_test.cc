#include "client/verdict.h"

#include "gtest/gtest.h"

namespace hongbao::client {
namespace {

using load::Counter;

// 1,000 due in each second; `sent` of them sent, at `cpu_percent`.
Second Row(int64_t second, uint64_t sent, double cpu_percent = 10, int64_t span = 1) {
  Second row;
  row.row.unix_second = second;
  row.row.span = span;
  row.row.delta[Counter::kScheduled] = 1'000 * static_cast<uint64_t>(span);
  row.row.delta[Counter::kSent] = sent;
  row.cpu_percent = cpu_percent;
  return row;
}

load::ClientSnapshot Counts(std::initializer_list<std::pair<Counter, uint64_t>> values) {
  load::ClientSnapshot snapshot;
  snapshot.counters[Counter::kDue] = 10'000;
  for (const auto& [id, value] : values) {
    snapshot.counters[id] = value;
  }
  return snapshot;
}

std::string By(const load::ClientSnapshot& live, double cpu_percent = 10, const Options& options = {},
               const Ending& ending = {}) {
  const nlohmann::json bound = BoundByDocument(options, live, {Row(1, 1'000, cpu_percent)}, ending);
  EXPECT_FALSE(bound["reason"].get<std::string>().empty());
  return bound["by"];
}

TEST(RateHeld, CountsTheSecondsWithNearlyAllThatWasDue) {
  Second silent = Row(1, 0);
  silent.row.delta[Counter::kScheduled] = 0;
  const nlohmann::json held =
      RateHeldDocument({}, {silent, Row(2, 1'000), Row(3, 990), Row(4, 989), Row(5, 1'010), Row(8, 3'000, 10, 3)});
  EXPECT_EQ(held["seconds"], 7);
  EXPECT_EQ(held["held"], 3);
  Options max;
  max.load.max_rate = true;
  EXPECT_TRUE(RateHeldDocument(max, {Row(1, 5)}).is_null());
}

TEST(BoundBy, NothingWhileTheScheduleIsKept) {
  EXPECT_EQ(By(Counts({})), "nothing");
  EXPECT_EQ(By(Counts({{Counter::kLate, 99}, {Counter::kMissedLate, 9}, {Counter::kOverload, 9}}), 99), "nothing");
  EXPECT_EQ(By(Counts({{Counter::kDue, 0}})), "nothing");
}

TEST(BoundBy, TheClientWhenItIsNotInTime) {
  EXPECT_EQ(By(Counts({{Counter::kLate, 100}})), "client");
  EXPECT_EQ(By(Counts({{Counter::kMissedLate, 10}})), "client");
  EXPECT_EQ(By(Counts({{Counter::kMissedOffline, 10}})), "client") << "not connected yet";
  EXPECT_EQ(By(Counts({{Counter::kMissedLate, 100}, {Counter::kOverload, 50}})), "client") << "more than the server";
}

TEST(BoundBy, TheServerWhenItDoesNotServe) {
  for (const Counter id : {Counter::kMissedBacklog, Counter::kOverload, Counter::kLost}) {
    EXPECT_EQ(By(Counts({{id, 10}})), "server");
  }
  EXPECT_EQ(By(Counts({{Counter::kMissedOffline, 10}, {Counter::kClosed, 1}})), "server")
      << "it has closed connections";
  EXPECT_EQ(By(Counts({}), 10, {}, {.unanswered = 10}), "server");
}

// What fills a gateway's window is the server's to answer, unless the client has no processor left to send with.
TEST(BoundBy, AGatewaysLateRequestsWaitForTheServer) {
  Options gateways;
  gateways.load.gateways = 2;
  EXPECT_EQ(By(Counts({{Counter::kLate, 5'000}}), 40, gateways), "server");
  EXPECT_EQ(By(Counts({{Counter::kLate, 5'000}}), 99, gateways), "client");
  EXPECT_EQ(By(Counts({{Counter::kLate, 5'000}}), 99, gateways, {.workers = 2}), "server") << "half a core each";
  gateways.load.max_rate = true;
  EXPECT_EQ(By(Counts({}), 99, gateways), "client");
  EXPECT_EQ(By(Counts({}), 50, gateways), "server");
}

TEST(Facts, AreWhatTheReportCounts) {
  load::ClientSnapshot snapshot = Counts({{Counter::kSent, 9'970},
                                          {Counter::kMissedLate, 10},
                                          {Counter::kMissedOffline, 20},
                                          {Counter::kLate, 5},
                                          {Counter::kLost, 3},
                                          {Counter::kConnectsFailed, 2},
                                          {Counter::kMalformed, 1},
                                          {Counter::kWon, 7},
                                          {Counter::kOverload, 4}});
  count::Histogram schedule;
  schedule.Record(1'000'000);
  Ending ending = {.unanswered = 6};
  ending.schedule = schedule.Snapshot();
  const admin::Facts facts = FactsOf({}, snapshot, ending);
  const admin::Facts wanted = {
      {"due", 10'000}, {"sent", 9'970},   {"missed", 30}, {"late", 5},  {"lost", 3},  {"errors", 6},
      {"refused", 4},  {"unanswered", 6}, {"wins", 7},    {"p50", 1e6}, {"p90", 1e6}, {"p99", 1e6},
      {"p99.9", 1e6},  {"p99.99", 1e6},   {"max", 1e6}};  // no service, no statements: not measured
  EXPECT_EQ(facts, wanted);
  snapshot.counters[Counter::kStatementsDifferent] = 1;
  snapshot.counters[Counter::kStatementsDifferenceFen] = 55;
  EXPECT_EQ(FactsOf({}, snapshot, ending).at("difference"), 55);
  Options max;
  max.load.max_rate = true;
  EXPECT_EQ(FactsOf(max, snapshot, ending).count("due"), 0u);
}

TEST(ExitCode, MoneyWinsOverThresholds) {
  const auto code = [](bool identity, const nlohmann::json& ok) {
    return ExitCodeOf({{"identities", {{"one", true}, {"two", identity}}},
                       {"thresholds", nlohmann::json::array({{{"ok", true}}, {{"ok", ok}}})}});
  };
  EXPECT_EQ(code(true, true), 0);
  EXPECT_EQ(code(true, false), 3);
  EXPECT_EQ(code(false, true), 4);
  EXPECT_EQ(code(false, false), 4);
  EXPECT_EQ(code(true, nullptr), 0) << "not judged";
}

// A report carries what was asked and what came of it; of an interrupted run, that it was not judged.
TEST(ReportDocument, JudgesWhatWasAsked) {
  Options options;
  options.thresholds = admin::ParseThresholds("missed==0,rate>=99%").value();
  const load::ClientSnapshot snapshot = Counts(
      {{Counter::kSent, 9'990}, {Counter::kMissedLate, 10}, {Counter::kAnswered, 9'990}, {Counter::kNothing, 9'990}});
  const nlohmann::json report = ReportDocument(options, snapshot, snapshot, {}, {}, {}, {});
  EXPECT_EQ(report["thresholds"][0]["ok"], false);
  EXPECT_EQ(report["thresholds"][1]["ok"], true);
  EXPECT_EQ(report["verdict"], "fail");
  EXPECT_EQ(ExitCodeOf(report), 3);
  EXPECT_EQ(report["report"], true);
  const nlohmann::json interrupted = ReportDocument(options, snapshot, snapshot, {}, {}, {}, {.interrupted = true});
  EXPECT_TRUE(interrupted["thresholds"][0]["ok"].is_null());
  EXPECT_EQ(interrupted["thresholds"][0]["value"], 10);
  EXPECT_EQ(interrupted["verdict"], "pass");
}

}  // namespace
}  // namespace hongbao::client
