// Answers: every answer and loss is counted once, in the phase that it was due in.
#include "libhongbao/load/answers.h"

#include <gtest/gtest.h>

namespace hongbao::load {
namespace {

constexpr int64_t kStart = 1'424'183'400;
constexpr int64_t kSecond = time::kNsPerSecond;

class AnswersTest : public testing::Test {
 protected:
  AnswersTest() {
    Plan(100, kStart);
    Plan(200, kStart + 10);
    tally.cells.Add(Counter::kOutstanding, 10);
  }
  void Plan(uint32_t qps, int64_t at_second) {
    tally.phases[schedule.size()] = std::make_unique<PhaseTally>();
    EXPECT_TRUE(schedule.Add({.at_second = at_second, .qps = qps}).ok());
  }
  uint64_t Count(Counter id) const { return tally.cells.Get(id); }

  time::Schedule schedule;
  WorkerTally tally{/*money_records=*/2};
  Answers answers{schedule, tally, /*log_money=*/true};
};

TEST_F(AnswersTest, ARequestBelongsToThePhaseItWasDueIn) {
  PhaseTally& first = answers.PhaseOfSegment(0);
  EXPECT_EQ(&first, tally.phases[0].get());
  EXPECT_EQ(&answers.PhaseDueAt(kStart * kSecond), &first);
  PhaseTally& second = answers.PhaseOfSegment(1);
  EXPECT_EQ(&second, tally.phases[1].get());
  EXPECT_EQ(&answers.PhaseOfSegment(0), &first) << "a gateway that is behind";
  EXPECT_EQ(&answers.newest_phase(), &second) << "and does not turn the clock back for the others";
  EXPECT_FALSE(answers.DueInNewest((kStart + 10) * kSecond - 1));
  EXPECT_TRUE(answers.DueInNewest((kStart + 10) * kSecond));
  EXPECT_EQ(&answers.PhaseDueAt((kStart + 10) * kSecond - 1), &first);
  EXPECT_EQ(&answers.PhaseDueAt((kStart + 10) * kSecond), &second);
  EXPECT_EQ(&answers.PhaseDueAt((kStart - 10) * kSecond), &second) << "of no phase at all: it is not lost";
}

TEST_F(AnswersTest, AnswersAreCountedByWhatTheySay) {
  PhaseTally& phase = answers.PhaseOfSegment(0);
  answers.CountAnswer(phase, {.result = wire::ShakeResult::kWon, .envelope_id = 5, .amount_fen = 257});
  answers.CountAnswer(phase, {.result = wire::ShakeResult::kNothing});
  answers.CountAnswer(phase, {.result = wire::ShakeResult::kCap});
  answers.CountAnswer(phase, {.result = wire::ShakeResult::kOverload});
  answers.CountLost({.due_ns = kStart * kSecond}, /*at_end=*/false, 0);
  EXPECT_EQ(Count(Counter::kOutstanding), 5U);
  EXPECT_EQ(Count(Counter::kAnswered), 4U);
  EXPECT_EQ(Count(Counter::kLost), 1U);
  for (const Counter id : {Counter::kWon, Counter::kNothing, Counter::kCap, Counter::kRefused}) {
    EXPECT_EQ(Count(id), 1U);
  }
  EXPECT_EQ(Count(Counter::kWonFen), 257U);
  EXPECT_EQ(phase.cells.Get(PhaseCounter::kAnswered), 4U);
  EXPECT_EQ(phase.cells.Get(PhaseCounter::kWonFen), 257U);
  EXPECT_EQ(phase.cells.Get(PhaseCounter::kRefused), 1U);
  EXPECT_EQ(phase.cells.Get(PhaseCounter::kLost), 1U);
}

TEST_F(AnswersTest, ALatencyCountsFromTheIntendedTime) {
  PhaseTally& phase = answers.PhaseOfSegment(0);
  const FinishedRequest request = {.due_ns = kStart * kSecond, .due_monotonic_ns = 1'000, .sent_ns = 1'400};
  answers.RecordLatency(phase, request, /*won=*/false, 1'650);
  answers.RecordLatency(phase, request, /*won=*/true, 1'750);
  answers.RecordLatency(phase, {.timed = false}, /*won=*/false, 1'650);
  EXPECT_EQ(tally.latency.Snapshot().count(), 2U);
  EXPECT_EQ(phase.others.Snapshot().max_ns(), 650U);
  EXPECT_EQ(phase.winners.Snapshot().max_ns(), 750U);
  EXPECT_EQ(phase.service.Snapshot().max_ns(), 350U);
  answers.CountLost(request, /*at_end=*/true, 3'000);
  EXPECT_EQ(tally.lost_timed.load(), 1U);
  EXPECT_EQ(phase.others.Snapshot().max_ns(), 2'000U);
}

TEST_F(AnswersTest, OpensAndMoney) {
  tally.cells.Add(Counter::kOpensOutstanding, 2);
  answers.CountOpened(100);
  answers.CountOpened(0);
  EXPECT_EQ(Count(Counter::kOpensOutstanding), 0U);
  EXPECT_EQ(Count(Counter::kOpened), 1U);
  EXPECT_EQ(Count(Counter::kOpenedEmpty), 1U);
  EXPECT_EQ(Count(Counter::kOpenedFen), 100U);

  const MoneyRecord money{1, 2, 3, 100, MoneyKind::kOpen};
  uint64_t kept = 0;
  for (int i = 0; i < 20; ++i) answers.LogMoney(money);
  for (MoneyRecord record; tally.money.Pop(record);) ++kept;
  EXPECT_GE(kept, 2U);
  EXPECT_EQ(kept + Count(Counter::kMoneyLogFull), 20U) << "what found no room is told";
  Answers silent(schedule, tally, /*log_money=*/false);
  silent.LogMoney(money);
  MoneyRecord none;
  EXPECT_FALSE(tally.money.Pop(none));
}

TEST_F(AnswersTest, AStatementThatDiffersIsCountedWithItsDifference) {
  answers.CompareStatement({.user_id = 1, .grants = 2, .total_fen = 300}, 2, 300);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 1U);
  answers.CompareStatement({.user_id = 2, .grants = 2, .total_fen = 300}, 1, 100);
  answers.CompareStatement({.user_id = 3, .grants = 1, .total_fen = 7}, 1, 10);
  answers.CompareStatement({.user_id = 4, .grants = 1, .total_fen = 10}, 2, 10);
  EXPECT_EQ(Count(Counter::kStatementsDifferent), 3U);
  EXPECT_EQ(Count(Counter::kStatementsDifferenceFen), 203U);
  StatementDifference first;
  ASSERT_TRUE(tally.differences.Pop(first));
  EXPECT_EQ(first.user, 2U);
  EXPECT_EQ(first.own_grants, 1U);
  EXPECT_EQ(first.own_fen, 100U);
  EXPECT_EQ(first.server_grants, 2U);
  EXPECT_EQ(first.server_fen, 300U);
}

// A rate for each second, one phase: an answer is found its phase without a look at the schedule.
TEST_F(AnswersTest, AProfilesSegmentsAreOnePhase) {
  tally.phases[2] = std::make_unique<PhaseTally>();
  std::vector<time::Segment> profile;
  for (uint32_t i = 0; i < 20; ++i) {
    profile.push_back({.at_second = kStart + 20 + i, .qps = i});
  }
  ASSERT_EQ(schedule.AddPhase(profile).value(), 2u);
  PhaseTally& before = answers.PhaseOfSegment(1);
  PhaseTally& phase = answers.PhaseOfSegment(2);
  EXPECT_EQ(&phase, tally.phases[2].get());
  for (uint32_t segment = 2; segment < 22; ++segment) {
    EXPECT_EQ(&answers.PhaseOfSegment(segment), &phase);
    EXPECT_TRUE(answers.DueInNewest((kStart + 20) * kSecond));
  }
  EXPECT_EQ(&answers.PhaseDueAt((kStart + 20) * kSecond - 1), &before);
  // A change in the middle, and the profile again behind it.
  tally.phases[3] = std::make_unique<PhaseTally>();
  ASSERT_EQ(schedule.Add({.at_second = kStart + 30, .qps = 5}).value(), 22u);
  PhaseTally& change = answers.PhaseOfSegment(22);
  EXPECT_NE(&change, &phase);
  EXPECT_EQ(&answers.PhaseOfSegment(13), &phase);  // of second 31
  EXPECT_EQ(&answers.PhaseDueAt((kStart + 31) * kSecond), &phase);
  EXPECT_EQ(&answers.PhaseDueAt((kStart + 31) * kSecond - 1), &change);
  EXPECT_EQ(&answers.PhaseDueAt((kStart + 30) * kSecond - 1), &phase);
}

}  // namespace
}  // namespace hongbao::load
