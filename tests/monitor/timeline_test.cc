#include "tools/monitor/timeline.h"

#include <gtest/gtest.h>

namespace hongbao::monitor {
namespace {

using Added = Timeline::Added;

constexpr int64_t kSecond = 1'000'000'000;

wire::CounterRecord Of(int64_t unix_s) { return {.unix_s = unix_s}; }

std::vector<int64_t> Seconds(const std::vector<Timeline::Second>& seconds) {
  std::vector<int64_t> result;
  for (const Timeline::Second& second : seconds) {
    result.push_back(second.unix_s);
  }
  return result;
}

TEST(Timeline, GivesASecondOutOnceItsDelayHasPassed) {
  Timeline timeline(3 * kSecond);
  EXPECT_EQ(timeline.Add(1, Of(100), 10 * kSecond), Added::kTaken);
  EXPECT_EQ(timeline.Add(2, Of(100), 12 * kSecond), Added::kTaken);
  EXPECT_TRUE(timeline.Take(13 * kSecond - 1).empty());
  const auto due = timeline.Take(13 * kSecond);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].unix_s, 100);
  ASSERT_EQ(due[0].records.size(), 2u);
  EXPECT_EQ(due[0].records[0].first, 1u);
  EXPECT_EQ(due[0].records[1].first, 2u);
  EXPECT_TRUE(timeline.Take(100 * kSecond).empty());
}

TEST(Timeline, NeverGoesBack) {
  Timeline timeline(3 * kSecond);
  timeline.Add(1, Of(102), 10 * kSecond);
  timeline.Add(2, Of(101), 12 * kSecond);  // younger, and of an older second: it goes with the other
  timeline.Add(2, Of(103), 12 * kSecond);
  EXPECT_EQ(Seconds(timeline.Take(13 * kSecond)), (std::vector<int64_t>{101, 102}));
  EXPECT_EQ(timeline.Add(3, Of(102), 13 * kSecond), Added::kLate);
  EXPECT_EQ(timeline.Add(3, Of(50), 13 * kSecond), Added::kLate);
  EXPECT_EQ(timeline.Add(3, Of(103), 13 * kSecond), Added::kTaken);
  EXPECT_EQ(Seconds(timeline.Take(15 * kSecond)), (std::vector<int64_t>{103}));
  EXPECT_EQ(timeline.given_out_s(), 103);
}

TEST(Timeline, ASecondToldTwiceCountsOnceAndItsTotalsAreTheNewerOnes) {
  Timeline timeline(0);
  wire::CounterRecord first = Of(100);
  first.Set(wire::Slot::kRequests, 5, 5);
  timeline.Add(1, first, 0);
  wire::CounterRecord again = Of(100);
  again.Set(wire::Slot::kRequests, 5, 7);
  EXPECT_EQ(timeline.Add(1, again, 0), Added::kRepeated);
  const auto due = timeline.Take(0);
  ASSERT_EQ(due.size(), 1u);
  ASSERT_EQ(due[0].records.size(), 1u);
  EXPECT_EQ(due[0].records[0].second.Count(wire::Slot::kRequests), 5u);
  EXPECT_EQ(due[0].records[0].second.Total(wire::Slot::kRequests), 7u);
}

TEST(Timeline, AfterARestartEverybodysWaitingSecondsAreTakenTogether) {
  Timeline timeline(3 * kSecond);
  for (uint32_t source = 1; source <= 3; ++source) {  // each within a second of the others, two minutes at once
    for (int64_t unix_s = 1; unix_s <= 120; ++unix_s) {
      EXPECT_EQ(timeline.Add(source, Of(unix_s), source * kSecond / 3), Added::kTaken);
    }
  }
  const auto due = timeline.Take(4 * kSecond);
  ASSERT_EQ(due.size(), 120u);
  for (const Timeline::Second& second : due) {
    EXPECT_EQ(second.records.size(), 3u);
  }
}

TEST(Timeline, TheEndWaitsForNobody) {
  Timeline timeline(3 * kSecond);
  timeline.Add(1, Of(7), 0);
  timeline.Add(1, Of(9), 0);
  EXPECT_EQ(Seconds(timeline.TakeAll()), (std::vector<int64_t>{7, 9}));
}

TEST(Timeline, AfterAStepOfThisMachinesClockSecondsMayComeAgain) {
  Timeline timeline(3 * kSecond);
  timeline.Add(1, Of(3'700), 0);
  ASSERT_EQ(timeline.Take(3 * kSecond).size(), 1u);
  timeline.Add(1, Of(3'701), 3 * kSecond);
  timeline.Restart();  // an hour back
  EXPECT_EQ(timeline.Add(1, Of(101), 3 * kSecond + 1), Timeline::Added::kTaken);
  const auto first = timeline.Take(3 * kSecond + 2);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].unix_s, 3'701) << "what had waited is not lost";
  const auto second = timeline.Take(6 * kSecond + 1);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].unix_s, 101);
}

}  // namespace
}  // namespace hongbao::monitor
