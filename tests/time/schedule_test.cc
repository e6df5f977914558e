#include "libhongbao/time/schedule.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace hongbao::time {
namespace {

// The definition itself, in integers wide enough to need no thought.
__extension__ typedef unsigned __int128 Wide;
int64_t DueByDefinition(uint64_t number, uint32_t qps) {
  return static_cast<int64_t>((Wide{number} * 1'000'000'000 + qps - 1) / qps);
}

constexpr int64_t kGala = 1'424'183'400;  // 2015-02-18
constexpr int64_t kYear2100 = 4'102'444'800;

TEST(DueNsTest, IsTheCeilingOfTheExactTime) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200'000; ++round) {
    const auto qps = static_cast<uint32_t>(1 + random() % (round % 2 == 0 ? kQpsMax : 100'000));
    const uint64_t second = random() % static_cast<uint64_t>(kSecondMax);
    const uint64_t number = second * qps + random() % qps;
    ASSERT_EQ(DueNs(number, qps), DueByDefinition(number, qps)) << number << " at " << qps;
    ASSERT_EQ(DueNs(number, qps, true), static_cast<int64_t>(second) * kNsPerSecond);
  }
}

TEST(DueNsTest, EverySecondBeginsWithItsOwnFirstRequest) {
  for (const uint32_t qps : {1u, 3u, 7u, 30'000u, 60'000u, 999'999'937u, kQpsMax}) {
    for (const int64_t second : {int64_t{0}, int64_t{1}, kGala, kYear2100, kSecondMax}) {
      const uint64_t first = static_cast<uint64_t>(second) * qps;
      EXPECT_EQ(DueNs(first, qps), second * kNsPerSecond);
      if (first > 0) {
        EXPECT_LT(DueNs(first - 1, qps), second * kNsPerSecond);
      }
    }
  }
}

TEST(DueNsTest, SpacesEvenlyAndNeverDrifts) {
  for (const uint32_t qps : {7u, 60'000u, 14'000'000u, 333'333'333u}) {
    const uint64_t first = static_cast<uint64_t>(kYear2100) * qps;
    const int64_t gap = kNsPerSecond / qps;
    for (uint64_t i = 0; i < 100'000; ++i) {
      const int64_t step = DueNs(first + i + 1, qps) - DueNs(first + i, qps);
      ASSERT_GE(step, gap);
      ASSERT_LE(step, gap + 1);
    }
  }
}

TEST(FirstNumberTest, IsTheInverseOfDueNs) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 200'000; ++round) {
    const auto qps = static_cast<uint32_t>(1 + random() % (round % 2 == 0 ? kQpsMax : 100'000));
    const bool burst = round % 3 == 0;
    const auto wall_ns = static_cast<int64_t>(random() % (static_cast<uint64_t>(kYear2100) * 1'000'000'000));
    const uint64_t number = FirstNumberAtOrAfter(wall_ns, qps, burst);
    ASSERT_GE(DueNs(number, qps, burst), wall_ns);
    if (number > 0) {
      ASSERT_LT(DueNs(number - 1, qps, burst), wall_ns);
    }
  }
  EXPECT_EQ(FirstNumberAtOrAfter(0, 60'000), 0u);
  EXPECT_EQ(FirstNumberAtOrAfter(-5, 60'000), 0u);
  EXPECT_EQ(FirstNumberAtOrAfter(1, 60'000), 1u);
}

// Each whole second holds exactly qps due times, dividing 1e9 or not.
TEST(FirstNumberTest, EachSecondHoldsExactlyItsRate) {
  for (const uint32_t qps : {1u, 7u, 60'000u, 59'999u, 14'000'000u, 999'999'937u}) {
    for (const bool burst : {false, true}) {
      for (int64_t second = kGala; second < kGala + 100; ++second) {
        ASSERT_EQ(FirstNumberAtOrAfter((second + 1) * kNsPerSecond, qps, burst) -
                      FirstNumberAtOrAfter(second * kNsPerSecond, qps, burst),
                  qps);
      }
    }
  }
}

// The prototype multiplied second * qps in 32 bits.
TEST(ScheduleTest, Defect24_SecondTimesQpsIsWide) {
  const uint32_t qps = 60'000;
  const uint64_t number = FirstNumberAtOrAfter(kGala * kNsPerSecond, qps);
  EXPECT_EQ(number, 85'451'004'000'000u);
  EXPECT_EQ(DueNs(FirstNumberAtOrAfter(kSecondMax * kNsPerSecond, kQpsMax), kQpsMax), kSecondMax * kNsPerSecond);
}

TEST(ScheduleTest, SilentBeforeTheFirstSegment) {
  const Schedule schedule;
  EXPECT_EQ(schedule.size(), 0u);
  EXPECT_EQ(schedule.IndexAt(kGala * kNsPerSecond), Schedule::kNone);
  EXPECT_EQ(schedule.QpsAt(kGala), 0u);
}

TEST(ScheduleTest, TheOrderInWhichChangesArriveDoesNotMatter) {
  Schedule one, two;
  ASSERT_EQ(one.Add({.at_second = 100, .qps = 30}).value(), 0u);
  ASSERT_EQ(one.Add({.at_second = 200, .qps = 60}).value(), 1u);
  ASSERT_TRUE(two.Add({.at_second = 200, .qps = 60}).ok());
  ASSERT_TRUE(two.Add({.at_second = 100, .qps = 30}).ok());
  for (int64_t second = 90; second < 210; ++second) {
    EXPECT_EQ(one.QpsAt(second), two.QpsAt(second)) << second;
  }
  EXPECT_EQ(one.QpsAt(99), 0u);
  EXPECT_EQ(one.QpsAt(100), 30u);
  EXPECT_EQ(one.QpsAt(199), 30u);
  EXPECT_EQ(one.QpsAt(200), 60u);
  EXPECT_EQ(one.IndexAt(200 * kNsPerSecond), 1u);
  EXPECT_EQ(one.IndexAt(200 * kNsPerSecond - 1), 0u);
}

TEST(ScheduleTest, AChangeForTheSameSecondReplaces) {
  Schedule schedule;
  ASSERT_TRUE(schedule.Add({.at_second = 100, .qps = 30}).ok());
  ASSERT_TRUE(schedule.Add({.at_second = 100, .qps = 40}).ok());
  EXPECT_EQ(schedule.QpsAt(150), 40u);
}

TEST(ScheduleTest, RefusesWhatItCannotHold) {
  Schedule schedule;
  EXPECT_EQ(schedule.Add({.at_second = 1, .qps = kQpsMax + 1}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(schedule.Add({.at_second = -1, .qps = 1}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(schedule.Add({.at_second = kSecondMax + 1, .qps = 1}).status().code(), absl::StatusCode::kInvalidArgument);
  for (uint32_t i = 0; i < Schedule::kPhasesMax; ++i) {
    ASSERT_TRUE(schedule.Add({.at_second = i, .qps = 1}).ok());
  }
  EXPECT_EQ(schedule.Add({.at_second = 1, .qps = 1}).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(ScheduleTest, ReadersSeeWholeSegmentsWhileTheyAreAdded) {
  Schedule schedule;
  std::atomic<bool> torn{false};
  std::thread reader([&] {
    for (uint32_t seen = 0; seen < Schedule::kPhasesMax;) {
      seen = schedule.size();
      if (seen > 0 && schedule.segment(seen - 1) != Segment{.at_second = seen - 1, .qps = seen * 3}) {
        torn = true;
      }
    }
  });
  for (uint32_t i = 0; i < Schedule::kPhasesMax; ++i) {
    ASSERT_TRUE(schedule.Add({.at_second = i, .qps = (i + 1) * 3}).ok());
  }
  reader.join();
  EXPECT_FALSE(torn);
}

std::vector<Segment> Ramp(int64_t at_second, size_t seconds) {
  std::vector<Segment> ramp;
  for (size_t i = 0; i < seconds; ++i) {
    ramp.push_back({.at_second = at_second + static_cast<int64_t>(i), .qps = static_cast<uint32_t>(i + 1)});
  }
  return ramp;
}

TEST(ScheduleTest, AProfileIsOnePhaseOfManySegments) {
  Schedule schedule;
  ASSERT_EQ(schedule.Add({.at_second = 50, .qps = 7}).value(), 0u);
  ASSERT_EQ(schedule.AddPhase(Ramp(100, 14'400)).value(), 1u);
  ASSERT_EQ(schedule.Add({.at_second = 14'500, .qps = 0}).value(), 14'401u);
  EXPECT_EQ(schedule.size(), 14'402u);
  EXPECT_EQ(schedule.phase(0), 0u);
  EXPECT_EQ(schedule.phase(1), 1u);
  EXPECT_EQ(schedule.phase(14'400), 1u);
  EXPECT_EQ(schedule.phase(14'401), 2u);
  EXPECT_EQ(schedule.QpsAt(99), 7u);
  for (int64_t second = 100; second < 14'500; ++second) {
    ASSERT_EQ(schedule.QpsAt(second), second - 99);
    ASSERT_EQ(schedule.IndexAt(second * kNsPerSecond + 1), second - 99);
  }
  EXPECT_EQ(schedule.QpsAt(14'500), 0u);
  // A change in the middle of it stands until the profile's next segment.
  ASSERT_TRUE(schedule.Add({.at_second = 200, .qps = 9}).ok());
  EXPECT_EQ(schedule.QpsAt(200), 9u);
  EXPECT_EQ(schedule.QpsAt(201), 102u);
}

TEST(ScheduleTest, AProfileIsTakenWholeOrNotAtAll) {
  Schedule schedule;
  std::vector<Segment> twice = Ramp(100, 3);
  twice[2].at_second = 101;
  EXPECT_EQ(schedule.AddPhase(twice).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(schedule.AddPhase({}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(schedule.AddPhase(Ramp(0, Schedule::kSegmentsMax + 1)).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(schedule.size(), 0u);
  ASSERT_TRUE(schedule.AddPhase(Ramp(0, Schedule::kSegmentsMax)).ok());
  EXPECT_EQ(schedule.Add({.at_second = 1, .qps = 1}).status().code(), absl::StatusCode::kResourceExhausted);
}

// By definition: of all that has begun the one for the latest second, of the same second the one that came last.
TEST(ScheduleTest, RandomPlansAreInForceByDefinition) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    Schedule schedule;
    std::vector<Segment> all;
    for (int phase = 0; phase < 6; ++phase) {
      const std::vector<Segment> added = Ramp(static_cast<int64_t>(random() % 50), 1 + random() % 2 * (random() % 20));
      ASSERT_TRUE(schedule.AddPhase(added).ok());
      all.insert(all.end(), added.begin(), added.end());
    }
    for (int64_t second = 0; second < 80; ++second) {
      uint32_t wanted = Schedule::kNone;
      for (uint32_t i = 0; i < all.size(); ++i) {
        if (all[i].at_second <= second && (wanted == Schedule::kNone || all[i].at_second >= all[wanted].at_second)) {
          wanted = i;
        }
      }
      ASSERT_EQ(schedule.IndexAt(second * kNsPerSecond + 999'999'999), wanted);
    }
  }
}

// ---- the wall clock is set ----

constexpr int64_t kS = 1'424'183'400;

TEST(ScheduleClockTest, WhatHasBegunGoesOnAndWhatHasNotWaitsForTheAgreedTime) {
  Schedule schedule;
  ASSERT_TRUE(schedule.Add({.at_second = kS, .qps = 10}).ok());
  ASSERT_TRUE(schedule.Add({.at_second = kS + 100, .qps = 20}).ok());
  schedule.FollowWall(1, -3'600, kS + 50);
  EXPECT_EQ(schedule.QpsAt(kS + 50), 10U);
  EXPECT_EQ(schedule.QpsAt(kS + 100), 10U);
  EXPECT_EQ(schedule.QpsAt(kS + 100 + 3'600), 20U);  // its second of the agreed time
  schedule.FollowWall(1, -3'600, kS + 50);           // from another worker
  EXPECT_EQ(schedule.segment(1).at_second, kS + 100 + 3'600);
  schedule.FollowWall(2, 0, kS + 60);  // taken back
  EXPECT_EQ(schedule.segment(1).at_second, kS + 100);
  schedule.FollowWall(1, -3'600, kS + 61);  // late word of the first
  EXPECT_EQ(schedule.segment(1).at_second, kS + 100);
}

TEST(ScheduleClockTest, AnEndGoesWithItsBeginning) {
  Schedule schedule;
  ASSERT_TRUE(schedule.Add({.at_second = kS, .qps = 10}).ok());
  const Segment end{.at_second = kS + 6};
  ASSERT_TRUE(schedule.AddPhase({&end, 1}, 0).ok());
  schedule.FollowWall(1, -600, kS - 5);  // neither has begun
  EXPECT_EQ(schedule.segment(0).at_second, kS + 600);
  EXPECT_EQ(schedule.segment(1).at_second, kS + 606);
  schedule.FollowWall(2, 0, kS + 602);  // both have
  EXPECT_EQ(schedule.segment(1).at_second, kS + 606);
}

TEST(ScheduleClockTest, ABeginningThatTheStepJumpedOverIsNowAndAProfileIsJoined) {
  Schedule schedule;
  ASSERT_TRUE(schedule.Add({.at_second = kS, .qps = 10}).ok());
  const Segment profile[] = {
      {.at_second = kS + 10, .qps = 1}, {.at_second = kS + 20, .qps = 2}, {.at_second = kS + 30, .qps = 3}};
  Schedule other;
  ASSERT_TRUE(other.AddPhase(profile).ok());
  schedule.FollowWall(1, 3'600, kS - 100);
  EXPECT_EQ(schedule.segment(0).at_second, kS - 99);
  other.FollowWall(1, 125, kS - 100);  // it is 25 s after kS by the agreed time
  EXPECT_EQ(other.QpsAt(kS - 100), 2U);
  EXPECT_EQ(other.QpsAt(kS - 95), 3U);
}

TEST(ScheduleClockTest, AFixedPhaseNeverMoves) {
  Schedule schedule;
  const Segment segment{.at_second = kS, .qps = 10};
  ASSERT_TRUE(schedule.AddPhase({&segment, 1}, Schedule::kFixed).ok());
  schedule.FollowWall(1, -600, kS - 5);
  EXPECT_EQ(schedule.segment(0).at_second, kS);
}

}  // namespace
}  // namespace hongbao::time
