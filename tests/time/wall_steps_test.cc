#include "libhongbao/time/wall_steps.h"

#include <gtest/gtest.h>

#include <vector>

namespace hongbao::time {
namespace {

constexpr int64_t kStartS = 1'424'183'400;
constexpr int64_t kHourNs = 3'600 * kNsPerSecond;

class WallStepsTest : public ::testing::Test {
 protected:
  // A turn every 10 ms.
  void Run(int64_t ns) {
    for (int64_t passed = 0; passed < ns; passed += 10 * kNsPerMs) {
      clock.Advance(10 * kNsPerMs);
      now = wall.Look(clock.MonotonicNs());
    }
  }
  void Step(int64_t ns) {
    clock.StepWall(ns);
    now = wall.Look(clock.MonotonicNs());
  }

  FakeClock clock{kStartS * kNsPerSecond, 5 * kNsPerSecond};
  WallSteps steps{clock};
  SteadyWall wall{steps};
  Moment now;
};

TEST_F(WallStepsTest, AClockThatIsLeftAloneIsItself) {
  Run(10 * kNsPerSecond);
  EXPECT_EQ(now.wall_ns, (kStartS + 10) * kNsPerSecond);
  EXPECT_EQ(now.steady_ns, now.wall_ns);
  EXPECT_EQ(now.monotonic_ns, 15 * kNsPerSecond);
  EXPECT_EQ(steps.Count(), StepCount{});
  EXPECT_EQ(steps.LabelOf(kStartS + 3), kStartS + 3);
}

TEST_F(WallStepsTest, AnHourBackLeavesTheSteadyTimeWhereItWas) {
  Run(3 * kNsPerSecond);
  Step(-kHourNs);
  EXPECT_EQ(now.steady_ns, (kStartS + 3) * kNsPerSecond);
  EXPECT_EQ(now.wall_ns, (kStartS + 3) * kNsPerSecond - kHourNs);
  Run(2 * kNsPerSecond);
  EXPECT_EQ(now.steady_ns, (kStartS + 5) * kNsPerSecond);
  EXPECT_EQ(steps.Count(), (StepCount{.count = 1, .last_ns = -kHourNs, .sum_ns = -kHourNs}));
}

TEST_F(WallStepsTest, AnHourAheadAndBackEndsAtNothing) {
  Run(kNsPerSecond);
  Step(kHourNs);
  Run(kNsPerSecond);
  Step(-kHourNs);
  Run(kNsPerSecond);
  EXPECT_EQ(now.steady_ns, now.wall_ns);
  EXPECT_EQ(now.wall_ns, (kStartS + 3) * kNsPerSecond);
  EXPECT_EQ(steps.Count(), (StepCount{.count = 2, .last_ns = -kHourNs, .sum_ns = 0}));
}

TEST_F(WallStepsTest, SecondsOfTheSteadyTimeBeginWithThoseOfTheWall) {
  Run(2 * kNsPerSecond);
  Step(-600 * kNsPerSecond - 370 * kNsPerMs);
  EXPECT_EQ((now.wall_ns - now.steady_ns) % kNsPerSecond, 0);
  EXPECT_EQ(now.steady_ns, (kStartS + 2) * kNsPerSecond - 370 * kNsPerMs);  // half a second at most
}

TEST_F(WallStepsTest, EachSteadySecondHasTheLabelThatTheWallClockShowed) {
  Run(2 * kNsPerSecond + 500 * kNsPerMs);
  Step(-kHourNs);
  Run(kNsPerSecond);
  Step(2 * kHourNs);
  Run(2 * kNsPerSecond);
  EXPECT_EQ(steps.LabelOf(kStartS + 1), kStartS + 1);
  EXPECT_EQ(steps.LabelOf(kStartS + 2), kStartS + 2);  // under way when the clock was set
  EXPECT_EQ(steps.LabelOf(kStartS + 3), kStartS + 3 - 3'600);
  EXPECT_EQ(steps.LabelOf(kStartS + 4), kStartS + 4 + 3'600);
  EXPECT_EQ(steps.LabelOf(kStartS + 5), kStartS + 5 + 3'600);
}

TEST_F(WallStepsTest, SeveralStepsInASecondLeaveTheLabelOfTheLast) {
  Step(kHourNs);
  Step(kHourNs);
  Step(-5 * kHourNs);
  EXPECT_EQ(steps.Count().count, 3U);
  EXPECT_EQ(steps.LabelOf(kStartS), kStartS);
  EXPECT_EQ(steps.LabelOf(kStartS + 1), kStartS + 1 - 3 * 3'600);
}

TEST_F(WallStepsTest, SmallMovesThatAddUpAreSteps) {
  for (int i = 0; i < 10; ++i) {
    Run(kNsPerSecond);
    Step(60 * kNsPerMs);
  }
  EXPECT_GE(steps.Count().count, 4U);
  EXPECT_NEAR(static_cast<double>(steps.Count().sum_ns), 600e6, 110e6);  // all but what may still be slewing
}

TEST_F(WallStepsTest, SlewingIsNoStepHoweverLongItLasts) {
  for (int s = 0; s < 24 * 3'600; ++s) {
    clock.Advance(kNsPerSecond);
    clock.StepWall(s < 12 * 3'600 ? 500 * kNsPerUs : -500 * kNsPerUs);  // 500 ppm, the kernel's most
    now = wall.Look(clock.MonotonicNs());
  }
  EXPECT_EQ(steps.Count(), StepCount{});
  EXPECT_EQ(now.steady_ns, now.wall_ns);
}

TEST_F(WallStepsTest, AThreadThatLooksOnceADayLearnsOfSlewingFromTheOthers) {
  SteadyWall seldom(steps);
  for (int s = 0; s < 24 * 3'600; ++s) {
    clock.Advance(kNsPerSecond);
    clock.StepWall(500 * kNsPerUs);
    now = wall.Look(clock.MonotonicNs());
  }
  seldom.Look(clock.MonotonicNs());
  steps.Now();
  EXPECT_EQ(steps.Count(), StepCount{});
}

TEST_F(WallStepsTest, ASuspendedMachineHasSteppedByItsSleep) {
  Run(kNsPerSecond);
  clock.StepWall(8 * kHourNs);  // the monotonic clock stood still
  now = wall.Look(clock.MonotonicNs());
  EXPECT_EQ(steps.Count().sum_ns, 8 * kHourNs);
  EXPECT_EQ(UnixSecond(now.steady_ns), kStartS + 1);
}

TEST_F(WallStepsTest, AStepToTheYear1970IsAStepLikeAnyOther) {
  clock.SetWall(kNsPerSecond);
  now = wall.Look(clock.MonotonicNs());
  EXPECT_EQ(steps.Count().count, 1U);
  EXPECT_EQ(UnixSecond(now.steady_ns), kStartS);
  EXPECT_EQ(now.wall_ns, kNsPerSecond);
}

TEST_F(WallStepsTest, WhoeverLooksFirstCountsForAll) {
  std::vector<SteadyWall> walls;
  for (int i = 0; i < 4; ++i) {
    walls.emplace_back(steps);
  }
  for (int step = 0; step < 20; ++step) {
    clock.Advance(kNsPerSecond);
    clock.StepWall(step % 2 == 0 ? kHourNs : -kHourNs);
    for (SteadyWall& each : walls) {
      EXPECT_EQ(UnixSecond(each.Look(clock.MonotonicNs()).steady_ns), kStartS + 1 + step);
    }
    EXPECT_EQ(UnixSecond(steps.Now().steady_ns), kStartS + 1 + step);
  }
  EXPECT_EQ(steps.Count().count, 20U);
}

// A reading that lies long after the turn's own look at the monotonic clock is a slow thread, not a step.
TEST_F(WallStepsTest, AThreadThatWasHeldUpBetweenTwoReadingsSawNoStep) {
  const int64_t turn_ns = clock.MonotonicNs();
  clock.Advance(30 * kNsPerSecond);
  now = wall.Look(turn_ns);
  EXPECT_EQ(steps.Count(), StepCount{});
  EXPECT_EQ(UnixSecond(now.steady_ns), kStartS + 30);
  EXPECT_EQ(now.monotonic_ns, clock.MonotonicNs());
}

// Held up while the clocks are compared, too: by up to a second at any of its readings.
TEST(WallStepsHeldUpTest, NoStepIsSeenWhereTimeOnlyPasses) {
  class Slow final : public Clock {
   public:
    int64_t MonotonicNs() const override { return Later(); }
    int64_t WallNs() const override { return kStartS * kNsPerSecond + Later(); }

   private:
    int64_t Later() const {
      random_ = random_ * 6'364'136'223'846'793'005U + 1;
      return now_ns_ += random_ >> 60 == 0 ? kNsPerSecond : 50;
    }
    mutable int64_t now_ns_ = kNsPerSecond;
    mutable uint64_t random_ = 1;
  };
  const Slow clock;
  WallSteps steps(clock);
  SteadyWall wall(steps);
  int64_t before_ns = 0;
  for (int i = 0; i < 100'000; ++i) {
    const int64_t steady_ns = wall.Look().steady_ns;
    ASSERT_GE(steady_ns, before_ns);
    before_ns = steady_ns;
  }
  EXPECT_EQ(steps.Count(), StepCount{});
}

TEST_F(WallStepsTest, ThousandsOfStepsKeepTheirCountAndTheNewestLabels) {
  for (int i = 0; i < 5'000; ++i) {
    clock.Advance(kNsPerSecond);
    clock.StepWall(i % 2 == 0 ? kHourNs : -kHourNs);
    now = wall.Look(clock.MonotonicNs());
  }
  EXPECT_EQ(steps.Count().count, 5'000U);
  EXPECT_EQ(UnixSecond(now.steady_ns), kStartS + 5'000);
  EXPECT_EQ(steps.LabelOf(kStartS + 4'999), kStartS + 4'999);
  EXPECT_EQ(steps.LabelOf(kStartS + 5'000), kStartS + 5'000 + 3'600);
  EXPECT_EQ(steps.LabelOf(kStartS + 5'001), kStartS + 5'001);
}

}  // namespace
}  // namespace hongbao::time
