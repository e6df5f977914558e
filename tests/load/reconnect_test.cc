#include "libhongbao/load/reconnect.h"

#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSecond = 1'000 * kMs;

TEST(MemberQueue, FirstInFirstOut) {
  std::vector<Member> users(4);
  MemberQueue queue;
  for (uint32_t user : {2u, 0u, 3u}) queue.Push(users.data(), user);
  EXPECT_EQ(queue.Pop(users.data()), 2u);
  EXPECT_EQ(queue.Pop(users.data()), 0u);
  queue.Push(users.data(), 1);
  EXPECT_EQ(queue.Pop(users.data()), 3u);
  EXPECT_EQ(queue.Pop(users.data()), 1u);
  EXPECT_TRUE(queue.empty());
  queue.Push(users.data(), 0);  // once empty it starts anew
  EXPECT_EQ(queue.Pop(users.data()), 0u);
  EXPECT_TRUE(queue.empty());
}

TEST(RateLimit, NeverAboveTheRateAndNeverFarBelowIt) {
  RateLimit limit(5'000);
  int64_t now = 100 * kSecond;
  int taken = 0;
  for (int ms = 0; ms < 1'000; ++ms, now += kMs) {
    while (limit.TryTake(now)) ++taken;
  }
  EXPECT_GE(taken, 5'000);
  EXPECT_LE(taken, 5'000 + 51);  // the burst of the first moment: 10 ms' worth
}

TEST(RateLimit, APauseIsNotSavedUp) {
  RateLimit limit(1'000);
  while (limit.TryTake(kSecond)) {
  }
  int taken = 0;
  while (limit.TryTake(3'600 * kSecond)) ++taken;
  EXPECT_LE(taken, 11);
}

TEST(RateLimit, SlowRatesSaySensiblyWhenTheNextMayGo) {
  RateLimit limit(2);
  int64_t now = 10 * kSecond;
  while (limit.TryTake(now)) {
  }
  const int64_t next = limit.next_ns();
  EXPECT_GT(next, now);
  EXPECT_LE(next, now + kSecond / 2);
  EXPECT_TRUE(limit.TryTake(next));
  EXPECT_FALSE(limit.TryTake(next));
}

TEST(BackOff, DoublesWithEachFailureUpToTheMost) {
  for (uint64_t random : {uint64_t{0}, uint64_t{12'345'678'901'234}, ~uint64_t{0}}) {
    int64_t bound = kBackOffFirstNs;
    for (uint32_t failures = 1; failures < 40; ++failures) {
      const int64_t wait = BackOffNs(failures, random);
      EXPECT_GE(wait, bound / 2);
      EXPECT_LT(wait, bound);
      bound = std::min(2 * bound, kBackOffMaxNs);
    }
  }
}

TEST(ReconnectWheel, NobodyComesBackEarlyAndEverybodyComesBack) {
  constexpr uint32_t kUsers = 5'000;
  std::vector<Member> users(kUsers);
  std::vector<int64_t> ready_at(kUsers);
  const int64_t start = 77 * kSecond + 123'456;
  ReconnectWheel wheel(start);
  uint64_t random = 7;
  for (uint32_t user = 0; user < kUsers; ++user) {
    random = random * 6'364'136'223'846'793'005 + 1;
    ready_at[user] = start + BackOffNs(user % 12 + 1, random >> 8);
    wheel.Add(users.data(), user, ready_at[user]);
  }
  MemberQueue ready;
  std::set<uint32_t> back;
  for (int64_t now = start; now <= start + kBackOffMaxNs + kSecond; now += 5 * kMs) {
    wheel.Advance(users.data(), now, ready, [&](uint32_t user) {
      EXPECT_GE(now, ready_at[user]);
      EXPECT_LE(now, ready_at[user] + 2 * ReconnectWheel::kTickNs + 5 * kMs);
      EXPECT_TRUE(back.insert(user).second);
    });
  }
  EXPECT_EQ(back.size(), kUsers);
  EXPECT_EQ(wheel.waiting(), 0u);
}

TEST(ReconnectWheel, ALongSleepLosesNobody) {
  std::vector<Member> users(2);
  ReconnectWheel wheel(0);
  MemberQueue ready;
  wheel.Add(users.data(), 0, 20 * kMs);
  wheel.Add(users.data(), 1, 5 * kSecond);
  int count = 0;
  wheel.Advance(users.data(), 1'000 * kSecond, ready, [&](uint32_t) { ++count; });
  EXPECT_EQ(count, 2);
  wheel.Add(users.data(), 0, 3 * kSecond);  // in the past: next tick
  wheel.Advance(users.data(), 1'001 * kSecond, ready, [&](uint32_t) { ++count; });
  EXPECT_EQ(count, 3);
}

}  // namespace
}  // namespace hongbao::load
