#include "client/rate_held.h"

#include "gtest/gtest.h"

namespace hongbao::client {
namespace {

int64_t HeldOf(const std::vector<ScheduledSecond>& seconds) { return RateHeldIn(seconds).held; }

TEST(RateHeld, CountsTheSecondsWithNearlyAllThatWasDue) {
  const RateHeld found =
      RateHeldIn({{1, 1, 0, 0}, {2, 1, 1'000, 1'000}, {3, 1, 1'000, 990}, {4, 1, 1'000, 989}, {6, 1, 1'000, 1'010}});
  EXPECT_EQ(found.seconds, 4);
  EXPECT_EQ(found.held, 3);
  EXPECT_EQ(found.not_held, std::vector<int64_t>{4});
}

TEST(RateHeld, OneRequestIsNoChangeOfALowRate) {
  EXPECT_EQ(HeldOf({{1, 1, 7, 6}, {2, 1, 7, 8}}), 2);
  EXPECT_EQ(HeldOf({{1, 1, 7, 5}, {2, 1, 7, 7}}), 1);
}

// A stall of milliseconds over the end of a second moves requests into the next; a stall of half a second is a hole.
TEST(RateHeld, WhatLeavesALittleLateIsInTime) {
  EXPECT_EQ(HeldOf({{1, 1, 1'000, 900}, {2, 1, 1'000, 1'100}}), 2);
  EXPECT_EQ(HeldOf({{1, 1, 1'000, 900}, {2, 1, 0, 100}}), 1) << "the last second";
  EXPECT_EQ(HeldOf({{1, 1, 1'000, 500}, {2, 1, 1'000, 1'500}}), 1);
  EXPECT_EQ(HeldOf({{1, 1, 1'000, 900}, {2, 1, 1'000, 1'000}}), 1) << "never sent";
  EXPECT_EQ(HeldOf({{1, 1, 1'000, 900}, {3, 1, 1'000, 1'100}}), 1) << "not the next second";
}

TEST(RateHeld, OfSeveralSecondsInARowTheSumsAreCompared) {
  const RateHeld found = RateHeldIn({{60, 60, 60'000, 59'900}, {120, 60, 60'000, 30'000}});
  EXPECT_EQ(found.seconds, 120);
  EXPECT_EQ(found.held, 60);
}

}  // namespace
}  // namespace hongbao::client
