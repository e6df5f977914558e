#include "libhongbao/time/clock_trust.h"

#include <gtest/gtest.h>

namespace hongbao::time {
namespace {

constexpr int64_t kSeenMs = 1'800'000'000'000;
constexpr int64_t kSettleNs = 300 * kNsPerSecond;
constexpr int64_t kDayNs = 86'400 * kNsPerSecond;

bool kernel_keeps_it = false;
bool Kept() { return kernel_keeps_it; }

class ClockTrustTest : public ::testing::Test {
 protected:
  void SetUp() override { kernel_keeps_it = false; }
  ClockTrust Start(int64_t off_ns, int64_t seen_ms = kSeenMs, int64_t settle_ns = kSettleNs) {
    clock.SetWall(kSeenMs * kNsPerMs + off_ns);
    return {settle_ns, seen_ms, steps.Now(), Kept};
  }
  FakeClock clock{kSeenMs * kNsPerMs, 77 * kNsPerSecond};
  WallSteps steps{clock};
};

TEST_F(ClockTrustTest, AStartThatGoesOnFromWhatWasSeenIsGood) {
  EXPECT_TRUE(Start(0).confirmed());
  EXPECT_TRUE(Start(kSettleNs).confirmed());
  EXPECT_TRUE(Start(-kSettleNs).confirmed());
}

TEST_F(ClockTrustTest, AStartFarAheadOrBehindIsNotUntilItHasStoodForAWhile) {
  for (const int64_t off_ns : {25 * 3'600 * kNsPerSecond, -25 * 3'600 * kNsPerSecond, 400 * kDayNs}) {
    ClockTrust trust = Start(off_ns);
    EXPECT_FALSE(trust.confirmed());
    EXPECT_EQ(trust.started_off_ns(), off_ns);
    clock.Advance(kSettleNs - kNsPerSecond);
    EXPECT_FALSE(trust.Look(steps.Now()));
    clock.Advance(kNsPerSecond);
    EXPECT_TRUE(trust.Look(steps.Now()));
    EXPECT_TRUE(trust.confirmed());
    EXPECT_FALSE(trust.Look(steps.Now())) << "said once";
  }
}

TEST_F(ClockTrustTest, TheKernelsWordIsEnough) {
  ClockTrust trust = Start(kDayNs);
  kernel_keeps_it = true;
  EXPECT_TRUE(trust.Look(steps.Now()));
  EXPECT_TRUE(trust.confirmed());
}

TEST_F(ClockTrustTest, SetRightItIsGoodAtOnce) {
  ClockTrust trust = Start(kDayNs);
  clock.Advance(10 * kNsPerSecond);
  clock.StepWall(-kDayNs);
  EXPECT_TRUE(trust.Look(steps.Now()));
  EXPECT_TRUE(trust.confirmed());
}

TEST_F(ClockTrustTest, ABigStepWhileRunningHasToStandForAWhile) {
  ClockTrust trust = Start(0);
  clock.StepWall(kDayNs);
  EXPECT_TRUE(trust.Look(steps.Now()));
  EXPECT_FALSE(trust.confirmed());
  clock.Advance(kSettleNs / 2);
  clock.StepWall(kNsPerSecond);  // set again: the wait begins anew
  trust.Look(steps.Now());
  clock.Advance(kSettleNs - kNsPerSecond);
  EXPECT_FALSE(trust.Look(steps.Now()));
  clock.Advance(kNsPerSecond);
  EXPECT_TRUE(trust.Look(steps.Now()));
}

TEST_F(ClockTrustTest, SmallStepsThatAddUpDoNotWalkAway) {
  ClockTrust trust = Start(0);
  clock.StepWall(kSettleNs);
  trust.Look(steps.Now());
  EXPECT_TRUE(trust.confirmed());
  clock.Advance(kNsPerSecond);
  clock.StepWall(2 * kSettleNs);
  trust.Look(steps.Now());
  EXPECT_FALSE(trust.confirmed());
}

TEST_F(ClockTrustTest, ADeadClockIsNeverGoodByStandingStill) {
  ClockTrust trust = Start(-kSeenMs * kNsPerMs);  // 1970
  clock.Advance(kDayNs);
  EXPECT_FALSE(trust.Look(steps.Now()));
  EXPECT_FALSE(trust.confirmed());
  EXPECT_FALSE(Start(-kSeenMs * kNsPerMs + kNsPerSecond, /*seen_ms=*/0).confirmed()) << "nor in a new file";
}

TEST_F(ClockTrustTest, WithoutAWaitAnyClockIsGood) { EXPECT_TRUE(Start(kDayNs, kSeenMs, 0).confirmed()); }

}  // namespace
}  // namespace hongbao::time
