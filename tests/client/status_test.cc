#include "client/status.h"

#include "gtest/gtest.h"

namespace hongbao::client {
namespace {

using load::Counter;

load::ClientCounts Sound() {
  load::ClientCounts snapshot;
  auto& n = snapshot.counters;
  n[Counter::kDue] = 110;
  n[Counter::kMissedLate] = 1;
  n[Counter::kMissedOffline] = 2;
  n[Counter::kMissedBacklog] = 7;
  n[Counter::kSent] = 100;
  n[Counter::kAnswered] = 95;
  n[Counter::kLost] = 3;
  n[Counter::kOutstanding] = 2;
  n[Counter::kWon] = 5;
  n[Counter::kNothing] = 80;
  n[Counter::kCap] = 4;
  n[Counter::kRefused] = 6;
  n[Counter::kNotices] = 12;
  n[Counter::kNoticesRepeated] = 2;
  n[Counter::kOpensSent] = 10;
  n[Counter::kOpened] = 8;
  n[Counter::kOpenedEmpty] = 1;
  n[Counter::kOpensOutstanding] = 1;
  n[Counter::kStatementsAsked] = 8;
  n[Counter::kStatementsEqual] = 7;
  n[Counter::kStatementsSkipped] = 3;
  snapshot.target = 10;
  return snapshot;
}

TEST(Identities, HoldForASoundRun) {
  const nlohmann::json identities = Identities(Sound());
  EXPECT_GE(identities.size(), 6u);
  EXPECT_TRUE(AllHold(identities)) << identities.dump(2);
}

TEST(RowOf, SaysWhatASecondCounted) {
  using watch::Column;
  Second second{.latency = {.count = 9, .p50 = 90.6, .p90 = 200, .p99 = 400, .p999 = 900, .max = 1'300.2},
                .sample = {.cpu_percent = 49.6, .rss_bytes = 1'000'000, .network = {.rx_packets = 7}}};
  second.row.unix_second = 1'486'824'165;
  auto& delta = second.row.delta;
  delta[Counter::kScheduled] = 3'000;
  delta[Counter::kSent] = 2'990;
  delta[Counter::kAnswered] = 2'980;
  delta[Counter::kMissedOffline] = 10;
  delta[Counter::kWonFen] = 100;
  delta[Counter::kOpenedFen] = 23;
  second.row.total[Counter::kOnline] = 20'000;
  second.row.total[Counter::kWonFen] = 1'000;
  second.row.total[Counter::kOpenedFen] = 230;
  const watch::SecondRow row = RowOf(second);
  const std::pair<Column, int64_t> expected[] = {{Column::kUnixS, 1'486'824'165},
                                                 {Column::kUsers, 20'000},
                                                 {Column::kTarget, 3'000},
                                                 {Column::kSent, 2'990},
                                                 {Column::kAnswered, 2'980},
                                                 {Column::kMissed, 10},
                                                 {Column::kP50Us, 91},
                                                 {Column::kMaxUs, 1'300},
                                                 {Column::kGotFen, 123},
                                                 {Column::kGotTotalFen, 1'230},
                                                 {Column::kClientCpuPct, 50},
                                                 {Column::kClientRssBytes, 1'000'000},
                                                 {Column::kRxPackets, 7}};
  for (const auto& [column, value] : expected) {
    EXPECT_EQ(row[column], value) << static_cast<int>(column);
  }
  for (const Column unknown : {Column::kReceived, Column::kGivenFen, Column::kDifferenceFen, Column::kServerCpuPct,
                               Column::kTxPackets, Column::kIssued, Column::kConnections}) {
    EXPECT_FALSE(row.Knows(unknown)) << static_cast<int>(unknown);
  }
  second.latency.count = 0;  // nothing answered: no latency, rather than one of 0
  EXPECT_FALSE(RowOf(second).Knows(Column::kP50Us));
}

// A checker that never failed proves nothing: every counter an identity speaks of breaks one when it is off by one.
TEST(Identities, BreakWhenAnyCounterIsOffByOne) {
  for (const Counter id : {Counter::kDue,
                           Counter::kMissedLate,
                           Counter::kMissedOffline,
                           Counter::kMissedBacklog,
                           Counter::kSent,
                           Counter::kAnswered,
                           Counter::kLost,
                           Counter::kOutstanding,
                           Counter::kWon,
                           Counter::kNothing,
                           Counter::kCap,
                           Counter::kRefused,
                           Counter::kNotices,
                           Counter::kNoticesRepeated,
                           Counter::kNoticesMisdelivered,
                           Counter::kNoticesNotOpened,
                           Counter::kOpensSent,
                           Counter::kOpened,
                           Counter::kOpenedEmpty,
                           Counter::kOpensOutstanding,
                           Counter::kMalformed,
                           Counter::kUnexpected,
                           Counter::kStampMismatch,
                           Counter::kStatementsEqual,
                           Counter::kStatementsDifferent,
                           Counter::kStatementsSkipped,
                           Counter::kMoneyLogFull}) {
    load::ClientCounts snapshot = Sound();
    ++snapshot.counters[id];
    EXPECT_FALSE(AllHold(Identities(snapshot))) << static_cast<int>(id);
  }
}

// Without statements (v1, --no-statements) there is nothing to compare, and nothing that is missing.
TEST(Identities, HoldWithoutStatements) {
  load::ClientCounts snapshot = Sound();
  for (const Counter id : {Counter::kStatementsAsked, Counter::kStatementsEqual, Counter::kStatementsSkipped}) {
    snapshot.counters[id] = 0;
  }
  EXPECT_TRUE(AllHold(Identities(snapshot)));
}

TEST(Identities, AMoneyLogIsCompleteOrTheRunFails) {
  const MoneyLogEnd sound = {.path = "m.csv", .written = 13};  // 5 won + 8 opened
  EXPECT_TRUE(AllHold(Identities(Sound(), sound)));
  for (const MoneyLogEnd& wrong :
       {MoneyLogEnd{"m.csv", 12}, MoneyLogEnd{"m.csv", 14}, MoneyLogEnd{"m.csv", 13, /*failed=*/true}}) {
    const nlohmann::json identities = Identities(Sound(), wrong);
    EXPECT_FALSE(identities["money log: complete"].get<bool>());
    EXPECT_FALSE(AllHold(identities));
  }
}

// --requests is a promise; a run that was cut short, or has a part of the users of a schedule, has made none.
TEST(ReportJson, SaysWhetherAsManyRequestsWereSentAsWereAskedFor) {
  constexpr char kName[] = "requests: sent as many as were asked for";
  const auto report = [](const Options& options, bool interrupted) {
    return ReportJson(options, Sound(), Sound(), {}, {}, watch::ProcessStats{}, {.interrupted = interrupted});
  };
  Options options;
  options.load.users = {0, 9, 10};
  options.thresholds = cli::ParseThresholds("missed<=100,unanswered<=100,refused<=100").value();
  EXPECT_FALSE(report(options, false)["identities"].contains(kName));
  EXPECT_EQ(report(options, false)["latency_sample_every"], 1);
  options.load.gateways = 2;
  options.load.requests_max = 100;  // as many as Sound() has sent
  EXPECT_EQ(report(options, false)["identities"][kName], true);
  EXPECT_EQ(report(options, false)["verdict"], "pass");
  EXPECT_EQ(report(options, false)["gateways"], 2);
  EXPECT_EQ(report(options, false)["latency_sample_every"], 64);
  EXPECT_EQ(report(options, false)["config"]["requests"], 100);
  options.load.requests_max = 101;
  EXPECT_EQ(report(options, false)["identities"][kName], false);
  EXPECT_EQ(report(options, false)["verdict"], "fail");
  EXPECT_FALSE(report(options, true)["identities"].contains(kName));
  options.load.users = {0, 4, 10};
  EXPECT_FALSE(report(options, false)["identities"].contains(kName));
  options.load.max_rate = true;
  EXPECT_EQ(report(options, false)["identities"][kName], false);
  EXPECT_EQ(report(options, false)["config"]["qps"], "max");
}

TEST(ReportJson, HasWhatTheReadersOfReportsLookFor) {
  Options options;
  options.load.users = {0, 9, 10};
  options.thresholds = cli::ParseThresholds("missed<=100,unanswered<=100,refused<=100").value();
  load::ClientCounts snapshot = Sound();
  snapshot.connect_errors = {{"ECONNREFUSED", 4}};
  snapshot.target = 10;
  Second second;
  second.row.unix_second = 1'486'824'165;
  second.row.delta[Counter::kSent] = 7;
  second.row.delta[Counter::kOnline] = 99;  // a gauge: its delta means nothing
  second.row.total[Counter::kOnline] = 10;
  second.latency.count = 1;
  second.latency.p99 = 400;
  second.lag.count = 1;
  second.lag.p99 = 123.5;
  load::PhaseReport phase;
  phase.name = "load";
  phase.target_qps = 60'000;
  const Ending ending = {.interrupted = true, .money_log = MoneyLogEnd{"m.csv", 13}};
  const nlohmann::json report = ReportJson(options, snapshot, snapshot, {phase}, {second}, watch::ProcessStats{}, ending);
  EXPECT_EQ(report["money_log"]["file"], "m.csv");
  EXPECT_EQ(report["money_log"]["written"], 13);
  EXPECT_EQ(report["statements"]["equal"], 7);
  EXPECT_TRUE(report["requests"].contains("repeated"));
  EXPECT_TRUE(report["replies"].contains("repeated"));
  EXPECT_EQ(report["verdict"], "pass");
  EXPECT_EQ(report["interrupted"], true);
  EXPECT_EQ(report["connections"]["target"], 10);
  EXPECT_EQ(report["connections"]["failed"]["ECONNREFUSED"], 4);
  EXPECT_EQ(report["series"][0]["p99_us"], 400);
  EXPECT_EQ(report["series"][0]["lag_us"], 124);
  EXPECT_EQ(report["series"][0]["sent"], 7);
  EXPECT_EQ(report["series"][0]["users"], 10);
  EXPECT_EQ(report["series"][0]["online"], 10);
  for (const char* key : {"name", "target_qps", "duration_s", "sent", "answered", "missed", "late", "mean_qps",
                          "worst_second_qps", "best_second_qps", "latency_us", "wins_per_second"}) {
    EXPECT_TRUE(report["phases"][0].contains(key)) << key;
  }
  for (const char* key : {"p50", "p90", "p99", "p999", "max"}) {
    EXPECT_TRUE(report["phases"][0]["latency_us"]["schedule"].contains(key)) << key;
    EXPECT_TRUE(report["phases"][0]["latency_us"]["service"].contains(key)) << key;
  }
}

// Several clients' reports are added up bucket by bucket, so nothing may be lost on the way through JSON.
TEST(ReportJson, CarriesTheHistogramsOfTheWholeRun) {
  count::Histogram schedule, service;
  for (const int64_t ns : {0, 200, 200, 1'000'000, 1'000'001, 30'000'000}) {
    schedule.Record(ns);
  }
  service.Record(150'000);
  Ending ending;
  ending.schedule = schedule.Snapshot();
  ending.service = service.Snapshot();
  const nlohmann::json report = ReportJson({}, Sound(), Sound(), {}, {}, watch::ProcessStats{}, ending);
  const nlohmann::json& buckets = report["histogram_ns"]["schedule"];
  uint64_t count = 0;
  for (const nlohmann::json& bucket : buckets) {
    const auto high_ns = bucket[0].get<uint64_t>();
    EXPECT_EQ(count::BucketHighNs(count::BucketOf(high_ns)), high_ns);
    EXPECT_EQ(bucket[1].get<uint64_t>(), ending.schedule.CountAt(count::BucketOf(high_ns)));
    count += bucket[1].get<uint64_t>();
  }
  EXPECT_EQ(count, 6u);
  EXPECT_EQ(buckets.size(), 4u);  // 1,000,000 and 1,000,001 ns share one
  EXPECT_EQ(buckets[1], nlohmann::json({200, 2}));
  EXPECT_EQ(report["histogram_ns"]["service"].size(), 1u);
  EXPECT_EQ(report["latency_us"]["schedule"]["max"], 30'000.0);
  EXPECT_EQ(report["latency_us"]["service"]["count"], 1);
}

}  // namespace
}  // namespace hongbao::client
