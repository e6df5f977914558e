#include "client/verdict.h"

#include <string>
#include <vector>

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
  row.sample.cpu_percent = cpu_percent;
  return row;
}

load::ClientCounts Counts(std::initializer_list<std::pair<Counter, uint64_t>> values) {
  load::ClientCounts snapshot;
  snapshot.counters[Counter::kDue] = 10'000;
  for (const auto& [id, value] : values) {
    snapshot.counters[id] = value;
  }
  return snapshot;
}

std::string By(const load::ClientCounts& live, double cpu_percent = 10, const Options& options = {}, const Ending& ending = {}) {
  const nlohmann::json bound = BoundByDocument(options, live, {Row(1, 1'000, cpu_percent)}, ending);
  EXPECT_FALSE(bound["reason"].get<std::string>().empty());
  return bound["by"];
}

TEST(RateHeld, IsOfTheScheduleAlone) {
  const nlohmann::json held = RateHeldDocument({}, {Row(1, 1'000), Row(2, 500), Row(3, 1'000)});
  EXPECT_EQ(held, nlohmann::json({{"seconds", 3}, {"held", 2}, {"share", 0.99}, {"not_held", {2}}}));
  Options max;
  max.load.max_rate = true;
  EXPECT_TRUE(RateHeldDocument(max, {Row(1, 5)}).is_null());
  Options number;
  number.load.requests_max = 5;  // all are sent, late if need be
  EXPECT_TRUE(RateHeldDocument(number, {Row(1, 5)}).is_null());
}

TEST(BoundBy, NothingWhileTheScheduleIsKept) {
  EXPECT_EQ(By(Counts({})), "nothing");
  EXPECT_EQ(By(Counts({{Counter::kLate, 99}, {Counter::kMissedLate, 9}, {Counter::kRefused, 9}}), 99), "nothing");
  EXPECT_EQ(By(Counts({{Counter::kDue, 0}})), "nothing");
}

TEST(BoundBy, TheClientWhenItIsNotInTime) {
  EXPECT_EQ(By(Counts({{Counter::kLate, 100}})), "client");
  EXPECT_EQ(By(Counts({{Counter::kMissedLate, 10}})), "client");
  EXPECT_EQ(By(Counts({{Counter::kMissedOffline, 10}})), "client") << "not connected yet";
  EXPECT_EQ(By(Counts({{Counter::kMissedLate, 100}, {Counter::kRefused, 50}})), "client") << "more than the server";
}

TEST(BoundBy, TheServerWhenItDoesNotServe) {
  for (const Counter id : {Counter::kMissedBacklog, Counter::kRefused, Counter::kLost}) {
    EXPECT_EQ(By(Counts({{id, 10}})), "server");
  }
  EXPECT_EQ(By(Counts({{Counter::kMissedOffline, 10}, {Counter::kClosed, 1}})), "server") << "it has closed connections";
  EXPECT_EQ(By(Counts({{Counter::kOutstanding, 10}})), "server");
  EXPECT_EQ(By(Counts({{Counter::kOpensOutstanding, 10}})), "server");
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
  load::ClientCounts snapshot = Counts({{Counter::kSent, 9'970},
                                        {Counter::kMissedLate, 10},
                                        {Counter::kMissedOffline, 20},
                                        {Counter::kLate, 5},
                                        {Counter::kLost, 3},
                                        {Counter::kConnectsFailed, 2},
                                        {Counter::kMalformed, 1},
                                        {Counter::kSuperseded, 2},
                                        {Counter::kOutstanding, 2},
                                        {Counter::kOpensOutstanding, 1},
                                        {Counter::kWon, 7},
                                        {Counter::kRefused, 4}});
  count::Histogram schedule;
  schedule.Record(1'000'000);
  Ending ending;
  ending.schedule = schedule.Snapshot();
  const nlohmann::json held = RateHeldDocument({}, {Row(1, 1'000), Row(2, 500)});
  const cli::Facts facts = FactsOf({}, snapshot, held, ending);
  const cli::Facts wanted = {{"due", 10'000},   {"sent", 9'970},   {"missed", 30}, {"late", 5},  {"lost", 3},
                             {"errors", 8},     {"superseded", 2}, {"seconds", 2}, {"held", 1},  {"refused", 4},
                             {"unanswered", 6}, {"wins", 7},       {"p50", 1e6},   {"p90", 1e6}, {"p99", 1e6},
                             {"p99.9", 1e6},    {"p99.99", 1e6},   {"max", 1e6}};  // no service, no statements: not measured
  EXPECT_EQ(facts, wanted);
  snapshot.counters[Counter::kStatementsDifferent] = 1;
  snapshot.counters[Counter::kStatementsDifferenceFen] = 55;
  EXPECT_EQ(FactsOf({}, snapshot, held, ending).at("difference"), 55);
  Options max;
  max.load.max_rate = true;
  EXPECT_EQ(FactsOf(max, snapshot, {}, ending).count("due"), 0u);
}

TEST(ExitCode, MoneyWinsOverEverythingElse) {
  const auto code = [](bool identity, const nlohmann::json& reasons) {
    return ExitCodeOf({{"identities", {{"one", true}, {"two", identity}}}, {"reasons", reasons}});
  };
  EXPECT_EQ(code(true, nlohmann::json::array()), 0);
  EXPECT_EQ(code(true, {"missed"}), 3);
  EXPECT_EQ(code(false, {"does not reconcile", "missed"}), 4);
}

// Of a run of 10,000 requests due, all sent, answered with nothing, in seconds that were held; then one thing is changed.
nlohmann::json Judged(std::initializer_list<std::pair<Counter, uint64_t>> values, const std::string& asked = "",
                      uint64_t sent_in_second = 1'000, bool interrupted = false) {
  Options options;
  options.load.users = {0, 9, 10};
  if (!asked.empty()) {
    options.thresholds = cli::ParseThresholds(asked).value();
  }
  load::ClientCounts snapshot =
      Counts({{Counter::kSent, 10'000}, {Counter::kAnswered, 10'000}, {Counter::kNothing, 10'000}, {Counter::kEstablished, 10}});
  snapshot.target = 10;
  for (const auto& [id, value] : values) {
    snapshot.counters[id] = value;
  }
  return ReportJson(options, snapshot, snapshot, {}, {Row(1, 1'000), Row(2, sent_in_second)}, {}, {.interrupted = interrupted});
}

TEST(Verdict, PassesARunThatHeldItsSchedule) {
  EXPECT_EQ(Judged({})["verdict"], "pass");
  EXPECT_EQ(Judged({})["reasons"], nlohmann::json::array());
  EXPECT_EQ(Judged({{Counter::kLate, 9'000}})["verdict"], "pass") << "late is not missed";
}

TEST(Verdict, NamesWhatDidNotHold) {
  const auto reasons = [](const nlohmann::json& report) {
    EXPECT_EQ(report["verdict"], "fail");
    EXPECT_EQ(ExitCodeOf(report), 3);
    return report["reasons"];
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(reasons(Judged({{Counter::kSent, 9'980},
                            {Counter::kAnswered, 9'980},
                            {Counter::kNothing, 9'980},
                            {Counter::kMissedOffline, 15},
                            {Counter::kMissedLate, 5}})),
            List{"requests missed: 20 of 10,000 (0.2 %); missed<=0.1% has to hold; 15 without a session, 5 too late"});
  EXPECT_EQ(reasons(Judged({{Counter::kAnswered, 9'999}, {Counter::kNothing, 9'999}, {Counter::kLost, 1}})),
            List{"requests without an answer: 1; unanswered==0 has to hold"});
  EXPECT_EQ(reasons(Judged({}, "", 800)), List{"seconds with the rate held: 1 of 2 (50.0 %); held>=99% has to hold"});
  EXPECT_EQ(reasons(Judged({{Counter::kSuperseded, 1}})),
            List{"sessions ended because their users logged in elsewhere: 1; superseded==0 has to hold"});
  EXPECT_EQ(reasons(Judged({{Counter::kNothing, 9'899}, {Counter::kRefused, 101}})),
            List{"requests refused as overloaded: 101 of 10,000 (1.0 %); refused<=1% has to hold"});
  EXPECT_EQ(reasons(Judged({}, "late>=1"))[0], "--fail-if late>=1: it was 0");
}

TEST(Verdict, TakesAnotherBoundWhereOneIsGiven) {
  EXPECT_EQ(Judged({{Counter::kSuperseded, 1}}, "superseded<=1")["verdict"], "pass");
  EXPECT_EQ(Judged({}, "held>=50%", 0)["verdict"], "pass");
  EXPECT_EQ(Judged({}, "held>=51%", 0)["reasons"], std::vector<std::string>{"--fail-if held>=51%: it was 50 %"});
}

// Nothing that measured nothing passes, interrupted or not, whatever the reason.
TEST(Verdict, NothingMeasuredIsNoPass) {
  const auto first = [](std::initializer_list<std::pair<Counter, uint64_t>> values, bool interrupted) {
    load::ClientCounts snapshot;
    snapshot.target = 10;
    snapshot.connect_errors = {{"ECONNREFUSED", 7}};
    for (const auto& [id, value] : values) {
      snapshot.counters[id] = value;
    }
    const nlohmann::json report = ReportJson({}, snapshot, snapshot, {}, {}, {}, {.interrupted = interrupted});
    EXPECT_EQ(report["verdict"], "fail");
    return report["reasons"][0].get<std::string>();
  };
  for (const bool interrupted : {false, true}) {
    EXPECT_EQ(first({{Counter::kLoginsRefused, 3}}, interrupted),
              "nothing was measured: none of 10 users logged in (3 logins refused, ECONNREFUSED 7)");
    EXPECT_EQ(first({{Counter::kEstablished, 10}}, interrupted), "nothing was measured: no request was due");
    EXPECT_EQ(first({{Counter::kEstablished, 10}, {Counter::kDue, 5}, {Counter::kMissedOffline, 5}}, interrupted),
              "nothing was measured: none of 5 requests was answered");
  }
}

// What was asked for is not judged of half a run; what every run has to hold is.
TEST(Verdict, AnInterruptedRunPassesForThePartThereWas) {
  EXPECT_EQ(Judged({}, "wins>=1", 1'000, /*interrupted=*/true)["verdict"], "pass");
  EXPECT_EQ(Judged({}, "wins>=1", 500, /*interrupted=*/true)["verdict"], "fail");
}

// A report carries what was asked and what came of it; of an interrupted run, that it was not judged.
TEST(ReportJson, JudgesWhatWasAsked) {
  Options options;
  options.thresholds = cli::ParseThresholds("missed==0,rate>=99%").value();
  const load::ClientCounts snapshot = Counts({{Counter::kSent, 9'990},
                                              {Counter::kMissedLate, 10},
                                              {Counter::kAnswered, 9'990},
                                              {Counter::kNothing, 9'990},
                                              {Counter::kEstablished, 1}});
  const nlohmann::json report = ReportJson(options, snapshot, snapshot, {}, {}, {}, {});
  EXPECT_EQ(report["thresholds"][0]["ok"], false);
  EXPECT_EQ(report["thresholds"][1]["ok"], true);
  EXPECT_EQ(report["verdict"], "fail");
  EXPECT_EQ(ExitCodeOf(report), 3);
  EXPECT_EQ(report["report"], true);
  const nlohmann::json interrupted = ReportJson(options, snapshot, snapshot, {}, {}, {}, {.interrupted = true});
  EXPECT_TRUE(interrupted["thresholds"][0]["ok"].is_null());
  EXPECT_EQ(interrupted["thresholds"][0]["value"], 10);
  EXPECT_EQ(interrupted["verdict"], "pass");
}

}  // namespace
}  // namespace hongbao::client
