#include "libhongbao/time/clock.h"

#include <gtest/gtest.h>

namespace hongbao::time {
namespace {

TEST(FakeClockTest, StandsStillUntilMoved) {
  FakeClock clock(1'000, 50);
  EXPECT_EQ(clock.WallNs(), 1'000);
  EXPECT_EQ(clock.MonotonicNs(), 50);
  clock.Advance(7);
  EXPECT_EQ(clock.WallNs(), 1'007);
  EXPECT_EQ(clock.MonotonicNs(), 57);
}

TEST(FakeClockTest, StepsOfTheWallLeaveElapsedTimeAlone) {
  FakeClock clock(10 * kNsPerSecond, 50);
  clock.StepWall(-3 * kNsPerSecond);
  EXPECT_EQ(UnixSecond(clock.WallNs()), 7);
  EXPECT_EQ(clock.MonotonicNs(), 50);
  clock.SetWall(99);
  EXPECT_EQ(clock.WallNs(), 99);
}

TEST(RealClockTest, ElapsedTimeNeverGoesBackAndTheWallIsInThisCentury) {
  const RealClock clock;
  const int64_t before = clock.MonotonicNs();
  EXPECT_GE(clock.MonotonicNs(), before);
  EXPECT_GT(UnixSecond(clock.WallNs()), 1'400'000'000);
  EXPECT_LT(UnixSecond(clock.WallNs()), 4'102'444'800);
}

}  // namespace
}  // namespace hongbao::time
