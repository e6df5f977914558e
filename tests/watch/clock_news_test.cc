#include "libhongbao/watch/clock_news.h"

#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace hongbao::watch {
namespace {

constexpr int64_t kHourNs = 3'600 * time::kNsPerSecond;

TEST(ClockNewsTest, SaysEachStepOnce) {
  ClockNews news;
  EXPECT_EQ(news.News({}), absl::nullopt);
  EXPECT_EQ(news.News({.count = 1, .last_ns = -kHourNs, .sum_ns = -kHourNs}).value(),
            "the wall clock was set back by 3600.000 s; what has begun goes on (1 step so far)");
  EXPECT_EQ(news.News({.count = 1, .last_ns = -kHourNs, .sum_ns = -kHourNs}), absl::nullopt);
  EXPECT_EQ(news.News({.count = 2, .last_ns = 600'250'000'000, .sum_ns = -kHourNs + 600'250'000'000}).value(),
            "the wall clock was set ahead by 600.250 s; what has begun goes on (2 steps so far)");
}

TEST(ClockNewsTest, SeveralStepsBetweenTwoLooksAreSaidTogether) {
  ClockNews news;
  EXPECT_EQ(news.News({.count = 3, .last_ns = kHourNs, .sum_ns = -kHourNs}).value(),
            "the wall clock was set 3 times, in all back by 3600.000 s; what has begun goes on (3 steps so far)");
}

TEST(ClockNewsTest, AMonitorIsToldHowOftenAndHowFarInAll) {
  wire::CounterRecord record;
  SetClockSteps(record, {.count = 2, .last_ns = kHourNs, .sum_ns = -1'500'000'000});
  EXPECT_EQ(record.Total(wire::Slot::kClockSteps), 2u);
  EXPECT_EQ(static_cast<int64_t>(record.Count(wire::Slot::kClockSteps)), -1'500);
  EXPECT_EQ(ClockStepsJson({.count = 2, .last_ns = kHourNs, .sum_ns = -1'500'000'000}),
            nlohmann::json({{"steps", 2}, {"last_step_s", 3600.0}, {"step_sum_s", -1.5}}));
}

}  // namespace
}  // namespace hongbao::watch
