#include "libhongbao/serve/overload.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace hongbao::serve {
namespace {

constexpr int64_t kMs = time::kNsPerMs;
constexpr int64_t kSecond = time::kNsPerSecond;

// Offers `offered` requests evenly over every second of `seconds`; returns how many were admitted at each millisecond.
std::vector<int64_t> Offer(RateLimit& limit, int workers, int64_t offered_per_ms, int64_t from_ms, int64_t for_ms) {
  std::vector<RateLease> leases(static_cast<size_t>(workers), RateLease(&limit));
  std::vector<int64_t> admitted;
  for (int64_t ms = from_ms; ms < from_ms + for_ms; ++ms) {
    int64_t sum = 0;
    for (int64_t i = 0; i < offered_per_ms; ++i) {
      sum += leases[static_cast<size_t>(i % workers)].TryAcquire(ms * kMs) ? 1 : 0;
    }
    admitted.push_back(sum);
  }
  return admitted;
}

int64_t Sum(const std::vector<int64_t>& values, size_t from, size_t count) {
  int64_t sum = 0;
  for (size_t i = from; i < from + count; ++i) {
    sum += values[i];
  }
  return sum;
}

TEST(RateLimitTest, LetsAllThroughBelowTheRate) {
  RateLimit limit(60'000);
  const std::vector<int64_t> admitted = Offer(limit, 2, 50, 1'000'000, 3'000);
  EXPECT_EQ(Sum(admitted, 0, admitted.size()), 50 * 3'000);
}

TEST(RateLimitTest, HoldsTheRateAtTenTimesTheLoad) {
  RateLimit limit(60'000);
  const std::vector<int64_t> admitted = Offer(limit, 4, 600, 1'000'000, 5'000);
  const int64_t total = Sum(admitted, 0, admitted.size());
  EXPECT_GE(total, 60'000 * 5 - 4 * limit.chunk());
  EXPECT_LE(total, 60'000 * 5 + 6'000 + 4 * limit.chunk());
}

TEST(RateLimitTest, Defect21_NoDoubleBurstAtTheEdgeOfASecond) {
  RateLimit limit(1'000);
  // Silence, then everything at the end of one second and at the start of the next: two fixed windows would admit
  // 2,000.
  const std::vector<int64_t> admitted = Offer(limit, 1, 1'000, 5'990, 20);
  EXPECT_LE(Sum(admitted, 0, admitted.size()), 100 + 20 + limit.chunk()) << "100 ms of burst and 20 ms of rate";
  // And in no 1,000 ms of a long overload more than the rate and the burst.
  RateLimit other(1'000);
  const std::vector<int64_t> longer = Offer(other, 1, 50, 5'500, 4'000);
  for (size_t from = 0; from + 1'000 <= longer.size(); ++from) {
    ASSERT_LE(Sum(longer, from, 1'000), 1'000 + 100 + limit.chunk());
  }
}

TEST(RateLimitTest, Defect21_ARefusalDoesNotTouchTheSharedState) {
  RateLimit limit(1'000);
  RateLease lease(&limit);
  int64_t now = kSecond;
  while (lease.TryAcquire(now)) {
  }
  int64_t retry_ns = 0;
  EXPECT_FALSE(limit.TryAcquire(1, now, &retry_ns));
  EXPECT_GT(retry_ns, now);
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_FALSE(lease.TryAcquire(retry_ns - 1));
  }
  EXPECT_TRUE(lease.TryAcquire(retry_ns)) << "a thousand refusals have used nothing up";
}

TEST(RateLimitTest, RateBelowOnePerMillisecondWorks) {
  RateLimit limit(10);
  const std::vector<int64_t> admitted = Offer(limit, 2, 2, 1'000'000, 10'000);
  const int64_t total = Sum(admitted, 0, admitted.size());
  EXPECT_GE(total, 99);
  EXPECT_LE(total, 103);
}

TEST(RateLimitTest, ZeroIsNoLimit) {
  RateLimit limit(0);
  Overload overload(&limit, {.wait_max_us = 0});
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(overload.Admit(7));
  }
}

// Runs windows in which `requests` users 0.. each ask once after waiting `wait_ms`; returns the share admitted in the
// last.
double RunWindows(DelayControl& control, int windows, uint32_t requests, int64_t wait_ms, int64_t* now_ns, int64_t hour = 1) {
  uint32_t admitted = 0;
  for (int window = 0; window < windows; ++window) {
    *now_ns += kSecond;
    control.BeginTurn(*now_ns, wait_ms * kMs, hour);
    admitted = 0;
    for (uint32_t user = 0; user < requests; ++user) {
      admitted += control.Admit(user) ? 1U : 0U;
    }
  }
  return double{1.0} * admitted / requests;
}

TEST(DelayControlTest, AdmitsAllWhileWaitsAreShort) {
  DelayControl control({});
  int64_t now = kSecond;
  EXPECT_EQ(RunWindows(control, 100, 1'000, 19, &now), 1.0);
}

TEST(DelayControlTest, StepsDownFivePercentAWindowAndUpOnePercent) {
  DelayControl control({});
  int64_t now = kSecond;
  RunWindows(control, 2, 1'000, 50, &now);  // the second window's start closes the first
  EXPECT_EQ(control.admitted(), DelayControl::kAll - DelayControl::kAll / 20);
  RunWindows(control, 3, 1'000, 50, &now);
  EXPECT_NEAR(control.admitted() * 1.0 / DelayControl::kAll, 0.8145, 0.001);  // 0.95^4
  RunWindows(control, 1, 1'000, 0, &now);
  const uint32_t low = control.admitted();
  RunWindows(control, 1, 1'000, 0, &now);
  EXPECT_EQ(control.admitted(), low + DelayControl::kAll / 100);
  EXPECT_EQ(RunWindows(control, 60, 1'000, 0, &now), 1.0) << "recovers";
}

TEST(DelayControlTest, ServesFourFifthsOfThoseWhoDoNotBackOff) {
  DelayControl control({});
  int64_t now = kSecond;
  const double share = RunWindows(control, 500, 10'000, 500, &now);
  EXPECT_NEAR(share, 0.8, 0.01);
}

TEST(DelayControlTest, AWindowAlsoEndsAfterItsRequests) {
  DelayControl control({.window_ms = 1'000'000, .window_requests = 100});
  int64_t now = kSecond;
  control.BeginTurn(now, 50 * kMs, 1);
  for (uint32_t i = 0; i < 100; ++i) {
    control.Admit(i);
  }
  control.BeginTurn(now + 1, 50 * kMs, 1);
  EXPECT_LT(control.admitted(), DelayControl::kAll);
}

TEST(DelayControlTest, AHandfulOfRequestsAfterAStallIsNoOverload) {
  DelayControl control({});
  int64_t now = kSecond;
  EXPECT_EQ(RunWindows(control, 50, 99, 500, &now), 1.0);
  RunWindows(control, 2, 100, 500, &now);
  EXPECT_LT(control.admitted(), DelayControl::kAll);
}

TEST(DelayControlTest, TheUsersOutsideChangeWithTheHour) {
  DelayControl control({});
  int64_t now = kSecond;
  RunWindows(control, 20, 1'000, 50, &now);
  std::set<uint32_t> outside[2];
  for (int hour = 0; hour < 2; ++hour) {
    control.BeginTurn(now, 0, 100 + hour);
    for (uint32_t user = 0; user < 1'000; ++user) {
      if (!control.Admit(user)) {
        outside[hour].insert(user);
      }
    }
  }
  EXPECT_GT(outside[0].size(), 150U);
  size_t both = 0;
  for (const uint32_t user : outside[0]) {
    both += outside[1].count(user);
  }
  EXPECT_LT(both, outside[0].size() * 4 / 5) << "most must not lose twice in a row";
}

TEST(OverloadTest, WhoIsOutsideByDelayUsesNoToken) {
  RateLimit limit(1'000);
  Overload overload(&limit, {.wait_max_us = 20'000});
  int64_t now = 10 * kSecond;
  for (int i = 0; i < 40'000; ++i) {  // waits so long that as many as ever are turned away
    now += i % 100 == 0 ? kSecond : 0;
    overload.BeginTurn(now, 100 * kMs, 1);
    overload.Admit(static_cast<uint32_t>(i));
  }
  EXPECT_EQ(overload.delay().admitted(), DelayControl::kLeast);
  now += kSecond;
  overload.BeginTurn(now, 100 * kMs, 1);
  int64_t admitted = 0;
  for (uint32_t user = 0; user < 100; ++user) {
    admitted += overload.Admit(user) ? 1 : 0;
  }
  EXPECT_LT(admitted, 95);
  for (uint32_t user = 100; user < 1'000; ++user) {
    admitted += overload.Admit(user) ? 1 : 0;
  }
  EXPECT_EQ(admitted, 100) << "the bucket of 100 was drained by those who were let in alone";
}

}  // namespace
}  // namespace hongbao::serve
