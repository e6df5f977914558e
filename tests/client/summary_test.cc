#include "client/summary.h"

#include "client/status.h"
#include "gtest/gtest.h"

namespace hongbao::client {
namespace {

nlohmann::json Report(const Options& options, const Ending& ending = {}, uint64_t answered = 1'234) {
  load::ClientCounts snapshot;
  snapshot.counters[load::Counter::kDue] = 1'234;
  snapshot.counters[load::Counter::kSent] = 1'234;
  snapshot.counters[load::Counter::kAnswered] = answered;
  snapshot.counters[load::Counter::kNothing] = answered;
  snapshot.counters[load::Counter::kEstablished] = 1;
  load::PhaseReport phase;
  phase.name = "load";
  phase.target_qps = 60'000;
  return ReportJson(options, snapshot, snapshot, {phase}, {}, watch::ProcessStats{}, ending);
}

bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Summary, SaysTheVerdictAndTheFiguresOfTheReport) {
  const std::string text = SummaryOf({}, Report({}));
  EXPECT_EQ(text.rfind("result     PASS\n", 0), 0u) << text;
  EXPECT_TRUE(Has(text, "  requests   1,234 sent, 1,234 answered (0 refused)")) << text;
  EXPECT_TRUE(Has(text, "of 60,000/s")) << text;
  EXPECT_FALSE(Has(text, "BROKEN")) << text;
}

TEST(Summary, NamesWhatIsBrokenAndThatItWasInterrupted) {
  const std::string text = SummaryOf({}, Report({}, {.interrupted = true}, 1'000));
  EXPECT_EQ(text.rfind("result     FAIL (interrupted)\n", 0), 0u) << text;
  EXPECT_TRUE(Has(text, "           does not reconcile: sent = answered + lost + outstanding\n")) << text;
  EXPECT_TRUE(Has(text, "  BROKEN     sent = answered + lost + outstanding\n")) << text;
}

TEST(Summary, SaysWhatEachThresholdCameTo) {
  Options options;
  options.thresholds = cli::ParseThresholds("missed==0,refused<1%,p99<1ms,lost==7").value();
  const std::string text = SummaryOf(options, Report(options));
  EXPECT_EQ(text.rfind("result     FAIL\n", 0), 0u) << text;
  EXPECT_TRUE(Has(text, "  threshold  ok      missed==0: 0\n")) << text;
  EXPECT_TRUE(Has(text, "  threshold  ok      refused<1%: 0 %\n")) << text;
  EXPECT_TRUE(Has(text, "  threshold  FAILED  p99<1ms: not measured\n")) << text;
  EXPECT_TRUE(Has(text, "  threshold  FAILED  lost==7: 0\n")) << text;
  EXPECT_TRUE(Has(text, "           --fail-if p99<1ms: it was not measured\n")) << text;
  const std::string interrupted = SummaryOf(options, Report(options, {.interrupted = true}));
  EXPECT_TRUE(Has(interrupted, "  threshold  not judged  missed==0: 0\n")) << interrupted;
  EXPECT_FALSE(Has(interrupted, "FAILED")) << interrupted;
}

TEST(Summary, SaysWhatTheRunWasBoundBy) {
  const std::string text = SummaryOf({}, Report({}));
  EXPECT_TRUE(Has(text, "  bound by   nothing (missed 0.0 % of its schedule, late 0.0 %")) << text;
}

}  // namespace
}  // namespace hongbao::client
