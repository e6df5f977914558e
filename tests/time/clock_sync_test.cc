#include "libhongbao/time/clock_sync.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "libhongbao/time/clock.h"

namespace hongbao::time {
namespace {

constexpr int64_t kNow = 1'800'000'000 * kNsPerSecond;

TEST(SkewEstimatorTest, NothingKnownBeforeTheFirstReply) { EXPECT_EQ(SkewEstimator().Best().samples, 0u); }

TEST(SkewEstimatorTest, KeepsTheSampleWithTheShortestRoundTrip) {
  SkewEstimator estimator;
  // True skew +5 ms; the way back of the first sample was slow.
  estimator.Add(kNow, kNow + 9 * kNsPerMs, kNow + 5 * kNsPerMs + 100 * kNsPerUs);
  estimator.Add(kNow, kNow + 200 * kNsPerUs, kNow + 5 * kNsPerMs + 100 * kNsPerUs);
  estimator.Add(kNow, kNow + 7 * kNsPerMs, kNow);
  const Skew skew = estimator.Best();
  EXPECT_EQ(skew.samples, 3u);
  EXPECT_EQ(skew.skew_ns, 5 * kNsPerMs);
  EXPECT_EQ(skew.round_trip_ns, 200 * kNsPerUs);
}

TEST(SkewEstimatorTest, TellsAClockThatIsBehind) {
  SkewEstimator estimator;
  estimator.Add(kNow, kNow + 2 * kNsPerUs, kNow - 3 * kNsPerSecond);
  EXPECT_EQ(estimator.Best().skew_ns, -3 * kNsPerSecond - 1 * kNsPerUs);
}

TEST(SkewEstimatorTest, LeavesOutWhatCannotBeTrueAndSaturates) {
  SkewEstimator estimator;
  estimator.Add(kNow, kNow - 1, kNow);                  // received before sent: the wall clock was stepped
  estimator.Add(kNow, kNow + 100, 0);                   // v1: no server time
  estimator.Add(kNow, kNow + 20 * kNsPerSecond, kNow);  // too slow to say anything
  EXPECT_EQ(estimator.Best().samples, 0u);
  estimator.Add(kNow, kNow + 100, 1);  // a server that lives in 1970
  EXPECT_LT(estimator.Best().skew_ns, -6 * 86'400 * kNsPerSecond);
  EXPECT_EQ(estimator.Best().samples, 1u);
}

TEST(SkewEstimatorTest, TakesSamplesFromManyThreads) {
  SkewEstimator estimator;
  std::vector<std::thread> threads;
  for (int64_t thread = 1; thread <= 4; ++thread) {
    threads.emplace_back([&estimator, thread] {
      for (int64_t i = 1'000; i >= 1; --i) {
        const int64_t round_trip_ns = (i * 4 + thread) * 2 * kNsPerUs;
        estimator.Add(kNow, kNow + round_trip_ns, kNow + round_trip_ns / 2 + thread * kNsPerMs);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(estimator.Best().samples, 4'000u);
  EXPECT_EQ(estimator.Best().round_trip_ns, 10 * kNsPerUs);
  EXPECT_EQ(estimator.Best().skew_ns, kNsPerMs);
}

TEST(KernelClockTest, ReadsWithoutPrivilege) {
  const KernelClock kernel = ReadKernelClock();
  if (kernel.available) {
    EXPECT_GE(kernel.max_error_ns, 0);
    EXPECT_GE(kernel.estimated_error_ns, 0);
  } else {
    EXPECT_FALSE(kernel.synchronised);
  }
}

TEST(ClockWarningTest, NamesTheWorstTrouble) {
  const KernelClock good{.available = true, .synchronised = true, .max_error_ns = kNsPerMs};
  KernelClock free_running = good;
  free_running.synchronised = false;
  EXPECT_EQ(ClockWarning(good, {}, 10 * kNsPerMs), nullptr);
  EXPECT_NE(ClockWarning(free_running, {}, 10 * kNsPerMs), nullptr);
  EXPECT_NE(ClockWarning({}, {}, 10 * kNsPerMs), nullptr);
  EXPECT_NE(ClockWarning(good, {}, 100 * kNsPerUs), nullptr);
  const Skew off{.samples = 1, .skew_ns = -50 * kNsPerMs, .round_trip_ns = kNsPerMs};
  EXPECT_NE(ClockWarning(good, off, 10 * kNsPerMs), nullptr);
  // 50 ms off as seen over a path of 90 ms: the path explains it.
  const Skew slow_path{.samples = 1, .skew_ns = -50 * kNsPerMs, .round_trip_ns = 90 * kNsPerMs};
  EXPECT_EQ(ClockWarning(good, slow_path, 10 * kNsPerMs), nullptr);
}

}  // namespace
}  // namespace hongbao::time
