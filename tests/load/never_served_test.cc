#include "libhongbao/load/never_served.h"

#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

using Row = count::Series<Counter>::Row;

constexpr int64_t kSecond = time::kNsPerSecond;

Row Of(int64_t second, uint64_t missed, uint64_t lost = 0, int64_t span = 1) {
  Row row;
  row.unix_second = row.second = second;
  row.span = span;
  row.delta[Counter::kMissedOffline] = missed;
  row.delta[Counter::kLost] = lost;
  return row;
}

class NeverServedTest : public ::testing::Test {
 protected:
  // Phase 0 from second 10, phase 1 from 20 on.
  void SetUp() override {
    ASSERT_TRUE(schedule_.AddPhase({time::Segment{.at_second = 10, .qps = 100}}).ok());
    ASSERT_TRUE(schedule_.AddPhase({time::Segment{.at_second = 20, .qps = 200}}).ok());
  }
  time::Schedule schedule_;
};

TEST_F(NeverServedTest, EachIsAsLateAsItIsAtTheEnd) {
  const auto found =
      NeverServedByPhase({Of(10, 0), Of(12, 100), Of(21, 10)}, schedule_, 2, {.missed = 110, .lost = 0, .end_ns = 30 * kSecond});
  EXPECT_EQ(found[0].missed.count(), 100u);
  EXPECT_EQ(found[1].missed.count(), 10u);
  EXPECT_EQ(found[0].lost.count() + found[1].lost.count(), 0u);
  // Due in second 12, at the end 17 to 18 s late, evenly.
  EXPECT_NEAR(static_cast<double>(found[0].missed.ValueAtNs(0.5)), 17.5e9, 0.3e9);
  EXPECT_GE(found[0].missed.ValueAtNs(0), uint64_t{17'000'000'000});
  EXPECT_LE(found[0].missed.max_ns(), uint64_t{18'000'000'000});
  EXPECT_GE(found[1].missed.ValueAtNs(0), uint64_t{8'000'000'000});
}

// The workers have recorded the last ones themselves, to the nanosecond.
TEST_F(NeverServedTest, TheLastOnesAreNotCountedTwice) {
  const auto found =
      NeverServedByPhase({Of(12, 60, 5), Of(13, 60, 5)}, schedule_, 2, {.missed = 70, .lost = 5, .end_ns = 30 * kSecond});
  EXPECT_EQ(found[0].missed.count(), 70u);
  EXPECT_EQ(found[0].lost.count(), 5u);
  EXPECT_GE(found[0].lost.ValueAtNs(0), uint64_t{17'000'000'000}) << "those of second 12";
}

TEST_F(NeverServedTest, OfASampleOneInSoManyIsCounted) {
  const auto found =
      NeverServedByPhase({Of(12, 6'400)}, schedule_, 2, {.missed = 6'400, .sample_every = 64, .end_ns = 30 * kSecond});
  EXPECT_EQ(found[0].missed.count(), 100u);
}

TEST_F(NeverServedTest, ARowOfSeveralSecondsIsSpreadOverThem) {
  const auto found = NeverServedByPhase({Of(19, 640, 0, 10)}, schedule_, 2, {.missed = 640, .end_ns = 20 * kSecond});
  EXPECT_EQ(found[0].missed.count(), 640u);
  EXPECT_NEAR(static_cast<double>(found[0].missed.ValueAtNs(0.5)), 5e9, 0.3e9);
}

// Whoever leaves without waiting does not know which requests have no answer: the last ones are the least late.
TEST_F(NeverServedTest, WhatIsStillOutstandingIsTakenForTheLastThatWereSent) {
  std::vector<Row> rows = {Of(12, 0), Of(13, 0), Of(14, 0)};
  rows[0].delta[Counter::kSent] = rows[1].delta[Counter::kSent] = 100;
  const auto found = NeverServedByPhase(rows, schedule_, 2, {.outstanding = 150, .end_ns = 20 * kSecond});
  EXPECT_EQ(found[0].lost.count(), 150u);
  EXPECT_NEAR(static_cast<double>(found[0].lost.ValueAtNs(0.66)), 7e9, 0.1e9) << "100 of second 13";
  EXPECT_GT(found[0].lost.ValueAtNs(0.7), uint64_t{7'000'000'000}) << "and 50 of the one before";
}

}  // namespace
}  // namespace hongbao::load
