#include "libhongbao/serve/mint_schedule.h"

#include <gtest/gtest.h>

namespace hongbao::serve {
namespace {

constexpr int64_t kSecond = time::kNsPerSecond;
constexpr int64_t kStart = 1'424'183'400 * kSecond;

int64_t IssueAll(MintSchedule& schedule, int64_t wall_ns) {
  const int64_t due = schedule.Due(wall_ns);
  schedule.CountIssued(due);
  return due;
}

TEST(MintScheduleTest, EachSecondHoldsExactlyTheRate) {
  MintSchedule schedule(kStart, 200, 1'000);
  EXPECT_EQ(IssueAll(schedule, kStart - kSecond), 0);
  EXPECT_EQ(IssueAll(schedule, kStart), 0);
  for (int second = 1; second <= 5; ++second) {
    EXPECT_EQ(IssueAll(schedule, kStart + second * kSecond), 200) << second;
  }
  EXPECT_TRUE(schedule.done());
  EXPECT_EQ(IssueAll(schedule, kStart + 6 * kSecond), 0);
}

TEST(MintScheduleTest, TheFirstIsDueHalfAStepAfterTheStart) {
  MintSchedule schedule(kStart, 200, 2);
  EXPECT_EQ(schedule.NextNs(), kStart + 2'500'000);
  EXPECT_EQ(schedule.Due(kStart + 2'499'999), 0);
  EXPECT_EQ(schedule.Due(kStart + 2'500'000), 1);
}

TEST(MintScheduleTest, NextIsExactlyWhenOneMoreIsDueAtAnyRate) {
  for (const int64_t rate : {1, 3, 7, 199, 60'000, 999'983}) {
    MintSchedule schedule(kStart, rate, 1'000);
    for (int i = 0; i < 1'000; ++i) {
      const int64_t next = schedule.NextNs();
      ASSERT_EQ(schedule.Due(next - 1), 0) << rate << " " << i;
      ASSERT_EQ(schedule.Due(next), 1) << rate << " " << i;
      schedule.CountIssued(1);
    }
    EXPECT_TRUE(schedule.done());
  }
}

TEST(MintScheduleTest, AfterAStallAtMostTwoSecondsWorthAtOnceAndTheRestAtTheRate) {
  MintSchedule schedule(kStart, 200, 4'000);
  const int64_t late = kStart + 10 * kSecond;  // 2,000 behind
  EXPECT_EQ(IssueAll(schedule, late), 400);
  EXPECT_EQ(IssueAll(schedule, late), 0);
  EXPECT_EQ(IssueAll(schedule, late + kSecond), 200);
  int64_t total = 600;
  for (int second = 2; second < 30; ++second) {
    const int64_t due = IssueAll(schedule, late + second * kSecond);
    EXPECT_LE(due, 200);
    total += due;
  }
  EXPECT_EQ(total, 4'000) << "nothing is left out";
}

TEST(MintScheduleTest, WhatCouldNotBeTakenIsDueAgain) {
  MintSchedule schedule(kStart, 100, 100);
  EXPECT_EQ(schedule.Due(kStart + kSecond), 100);
  schedule.CountIssued(30);
  EXPECT_EQ(schedule.Due(kStart + kSecond), 70);
  EXPECT_EQ(schedule.left(), 70);
}

TEST(MintScheduleTest, AClockThatGoesBackIssuesNothingTwice) {
  MintSchedule schedule(kStart, 100, 1'000);
  EXPECT_EQ(IssueAll(schedule, kStart + 2 * kSecond), 200);
  EXPECT_EQ(IssueAll(schedule, kStart + kSecond), 0);
  EXPECT_EQ(IssueAll(schedule, kStart + 3 * kSecond), 100);
}

}  // namespace
}  // namespace hongbao::serve
