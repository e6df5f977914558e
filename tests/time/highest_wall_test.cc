#include "libhongbao/time/highest_wall.h"

#include <gtest/gtest.h>

namespace hongbao::time {
namespace {

constexpr int64_t kStartNs = 1'424'183'400 * kNsPerSecond, kHourNs = 3'600 * kNsPerSecond;

Moment At(int64_t monotonic_ns, int64_t wall_ns) { return {.monotonic_ns = monotonic_ns, .wall_ns = wall_ns}; }

TEST(HighestWallTest, GoesOnFromTheHighestThatAnyoneHasSeen) {
  HighestWall wall;
  EXPECT_EQ(wall.Look(At(100, kStartNs)), kStartNs);
  EXPECT_EQ(wall.Look(At(100 + kNsPerSecond, kStartNs + kNsPerSecond)), kStartNs + kNsPerSecond);
  EXPECT_EQ(wall.Look(At(100 + 2 * kNsPerSecond, kStartNs - kHourNs)), kStartNs + 2 * kNsPerSecond) << "the clock was set back";
  EXPECT_EQ(wall.Look(At(100 + 3 * kNsPerSecond, kStartNs + kHourNs)), kStartNs + kHourNs) << "and forward";
  EXPECT_EQ(wall.Look(At(50, kStartNs)), kStartNs + kHourNs - 3 * kNsPerSecond - 50) << "a thread whose turn began before";
}

TEST(HighestWallTest, IsNotBelowWhatAnEarlierLifeHasSeen) {
  HighestWall wall;
  wall.Raise(kStartNs);
  wall.Raise(5);
  EXPECT_EQ(wall.Look(At(7, kStartNs - kHourNs)), kStartNs + 7);
}

// It is nobody's step, and each worker would write in each turn.
TEST(HighestWallTest, FollowsAClockThatIsSlewedInSteps) {
  HighestWall wall;
  wall.Raise(kStartNs);
  EXPECT_EQ(wall.Look(At(7, kStartNs + 7 + kNsPerMs)), kStartNs + 7);
  EXPECT_EQ(wall.Look(At(7, kStartNs + 8 + kNsPerMs)), kStartNs + 8 + kNsPerMs);
}

}  // namespace
}  // namespace hongbao::time
