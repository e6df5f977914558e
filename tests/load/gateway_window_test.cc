#include "libhongbao/load/gateway_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace hongbao::load {
namespace {

using Stamps = std::vector<uint64_t>;

// Requests of users 100, 101.. with stamps first, first + step..
void Send(GatewayWindow& window, size_t n, uint64_t first, uint64_t step = 1, int64_t sent_ns = 7) {
  window.Append(n, sent_ns, [&](size_t i) {
    const uint64_t stamp = first + i * step;
    return GatewayRequest::Of(stamp, static_cast<int64_t>(stamp), 100 + static_cast<uint32_t>(i));
  });
}
// How many of `stamps` are answered in one run.
size_t TakeRun(GatewayWindow& window, const Stamps& stamps) {
  return window.TakeInOrder(
      stamps.size(), [&](size_t i, const GatewayRequest& request) { return request.stamp == stamps[i]; },
      [](const GatewayAnswered&) {});
}
bool Take(GatewayWindow& window, uint64_t stamp, uint32_t user) {
  GatewayAnswered answered;
  const bool taken = window.Take(stamp, user, answered);
  EXPECT_TRUE(!taken || (answered.request.stamp == stamp && answered.request.user == user));
  return taken;
}
Stamps Repeated(GatewayWindow& window, size_t limit = 1'000'000) {
  Stamps stamps;
  window.Repeat(limit, [&](const GatewayRequest& request) { stamps.push_back(request.stamp); });
  return stamps;
}

TEST(GatewayRequest, KnowsItsDueTimeFromItsStamp) {
  constexpr int64_t kDue = 1'800'000'000'123'456'789;
  EXPECT_EQ(GatewayRequest::Of(kDue, kDue, 1).due_ns(), kDue);
  const GatewayRequest late = GatewayRequest::Of(kDue + 5'000'000, kDue, 1);
  EXPECT_LE(late.due_ns() - kDue, 1'024);
  EXPECT_GE(late.due_ns(), kDue);
  EXPECT_FALSE(late.sample());
  // A clock set back by two hours: stamps stay above it meanwhile.
  const GatewayRequest behind = GatewayRequest::Of(kDue + 7'200'000'000'000, kDue, 1);
  EXPECT_LE(behind.due_ns() - kDue, 1 << 20);
  EXPECT_GE(behind.due_ns(), kDue);
  EXPECT_FALSE(behind.sample());
  const GatewayRequest hours = GatewayRequest::Of(kDue + 7'200'000'000'000'000, kDue, 1);  // saturates, and stays no sample
  EXPECT_FALSE(hours.sample());
  EXPECT_GT(hours.due_ns(), kDue);
}

// Whoever measures something else of the samples has to know which they are.
TEST(GatewayWindow, SaysWhereTheNextSampleIs) {
  GatewayWindow window(1'024);
  size_t samples = 0;
  for (uint64_t n = 1, stamp = 1; n < 200; n += 13, stamp += 1'000) {
    std::set<uint64_t> expected;
    for (uint64_t i = window.before_next_sample(); i < n; i += GatewayWindow::kSampleEvery) expected.insert(stamp + i);
    Send(window, n, stamp);
    std::set<uint64_t> found;
    window.TakeInOrder(
        n, [](size_t, const GatewayRequest&) { return true; },
        [&found](const GatewayAnswered& answered) { found.insert(answered.request.stamp); });
    EXPECT_EQ(found, expected) << n;
    samples += found.size();
  }
  EXPECT_GT(samples, 10u);
}

TEST(GatewayWindow, AnswersInOrderAreTakenInOneRun) {
  GatewayWindow window(8);
  EXPECT_EQ(window.oldest(), nullptr);
  Send(window, 8, 10);
  EXPECT_EQ(window.room(), 0u);
  EXPECT_EQ(window.oldest()->stamp, 10u);
  EXPECT_EQ(TakeRun(window, {10, 11, 12, 99, 14}), 3u);
  EXPECT_EQ(window.room(), 3u);
  EXPECT_EQ(window.oldest()->stamp, 13u);
  EXPECT_EQ(TakeRun(window, {13, 14, 15, 16, 17, 18, 19}), 5u);
  EXPECT_EQ(window.in_flight(), 0u);
  EXPECT_EQ(TakeRun(window, {10}), 0u);
}

TEST(GatewayWindow, AnAnswerCountsOnceAndOnlyForItsUser) {
  GatewayWindow window(8);
  Send(window, 4, 10);
  EXPECT_FALSE(Take(window, 10, 101));
  EXPECT_FALSE(Take(window, 9, 100));
  EXPECT_FALSE(Take(window, 14, 104));
  EXPECT_TRUE(Take(window, 10, 100));
  EXPECT_FALSE(Take(window, 10, 100));
  EXPECT_TRUE(Take(window, 12, 102));  // 11 is overtaken
  EXPECT_EQ(window.overtaken(), 1u);
  EXPECT_EQ(window.in_flight(), 2u);
  EXPECT_FALSE(Take(window, 12, 102));
  EXPECT_FALSE(Take(window, 11, 100));
  EXPECT_TRUE(Take(window, 11, 101));
  EXPECT_FALSE(Take(window, 11, 101));
  EXPECT_TRUE(Take(window, 13, 103));
  EXPECT_EQ(window.in_flight(), 0u);
  EXPECT_FALSE(Take(window, 0, 100));
}

TEST(GatewayWindow, ItIsFullWhenSoManyAreUnansweredWhereverTheyAre) {
  GatewayWindow window(4);
  Send(window, 4, 10);
  EXPECT_TRUE(Take(window, 13, 103));
  EXPECT_EQ(window.overtaken(), 3u);
  EXPECT_EQ(window.room(), 1u);
  Send(window, 1, 20);
  EXPECT_EQ(window.room(), 0u);
  EXPECT_TRUE(Take(window, 20, 100));
  EXPECT_TRUE(Take(window, 11, 101));
  EXPECT_EQ(window.room(), 2u);
}

TEST(GatewayWindow, AfterAReconnectTheUnansweredAreRepeatedInTheirOrder) {
  GatewayWindow window(16);
  Send(window, 10, 10);
  for (const uint64_t stamp : {15u, 11u, 17u}) EXPECT_TRUE(Take(window, stamp, static_cast<uint32_t>(stamp) + 90));
  window.Rewind();
  EXPECT_EQ(window.overtaken(), 0u);
  EXPECT_EQ(window.to_repeat(), 7u);
  EXPECT_EQ(Repeated(window, 3), (Stamps{10, 12, 13}));
  EXPECT_EQ(window.to_repeat(), 4u);
  EXPECT_EQ(TakeRun(window, {10, 12, 13, 14}), 3u);  // 14 has not been sent again
  EXPECT_TRUE(Take(window, 16, 106));                // the outcome of its first try: it is not sent again
  EXPECT_EQ(Repeated(window), (Stamps{14, 18, 19}));
  EXPECT_EQ(window.in_flight(), 3u);
  EXPECT_TRUE(Take(window, 19, 109));
  Send(window, 2, 30);
  window.Rewind();
  EXPECT_EQ(Repeated(window), (Stamps{14, 18, 30, 31}));
}

TEST(GatewayWindow, WhatIsGivenUpIsToldOnce) {
  GatewayWindow window(8);
  Send(window, 5, 10);
  EXPECT_TRUE(Take(window, 12, 102));
  window.Rewind();
  Stamps lost;
  GatewayRequest request;
  while (window.GiveUpOldest(request)) lost.push_back(request.stamp);
  EXPECT_EQ(lost, (Stamps{10, 11, 13, 14}));
  EXPECT_EQ(window.in_flight(), 0u);
  Send(window, 8, 50);
  EXPECT_EQ(window.room(), 0u);
}

TEST(GatewayWindow, OneRequestInSixtyFourIsASampleHoweverItIsAnswered) {
  GatewayWindow window(1'024);
  size_t samples = 0;
  std::mt19937_64 random(3);
  uint64_t stamp = 1;
  for (int round = 0; round < 640; ++round) {
    Stamps sent;
    for (uint64_t i = 0; i < 100; ++i) sent.push_back(stamp + i);
    window.Append(100, round, [&](size_t i) { return GatewayRequest::Of(sent[i], 1, 5); });
    stamp += 100;
    std::shuffle(sent.begin(), sent.begin() + (round % 2 == 0 ? 0 : 100), random);
    if (round % 2 == 0) {
      EXPECT_EQ(window.TakeInOrder(
                    100, [&](size_t i, const GatewayRequest& request) { return request.stamp == sent[i]; },
                    [&](const GatewayAnswered& one) {
                      EXPECT_EQ(one.sent_ns, round);
                      ++samples;
                    }),
                100u);
      continue;
    }
    for (const uint64_t one : sent) {
      GatewayAnswered answered;
      ASSERT_TRUE(window.Take(one, 5, answered));
      samples += answered.request.sample() ? 1u : 0u;
      EXPECT_EQ(answered.sent_ns, answered.request.sample() ? round : 0);
    }
  }
  EXPECT_EQ(samples, 64'000u / 64);
}

TEST(GatewayWindowDeathTest, MoreThanThereIsRoomForIsADefect) {
  GatewayWindow window(4);
  Send(window, 4, 10);
  EXPECT_DEATH(Send(window, 1, 20), "room in the window");
  window.Rewind();
  GatewayAnswered answered;
  ASSERT_TRUE(window.Take(10, 100, answered));
  EXPECT_DEATH(Send(window, 1, 20), "before those to be repeated");
  EXPECT_DEATH(GatewayWindow(0), "1 to 2");
}

// Against a map: any order of answers, wrong and double ones, connections that end at any moment.
class Oracle {
 public:
  Oracle(uint32_t capacity, uint64_t seed) : window_(capacity), random_(seed) {}

  void Step() {
    const uint64_t what = random_() % 100;
    if (what < 40 && window_.to_repeat() == 0) {
      SendSome();
    } else if (what < 75) {
      AnswerInOrder();
    } else if (what < 95) {
      AnswerAny();
    } else if (what < 97) {
      window_.Rewind();
      sent_.clear();
    } else {
      ASSERT_EQ(window_.to_repeat(), in_flight_.size() - sent_.size());
      RepeatSome();
    }
    ASSERT_EQ(window_.in_flight(), in_flight_.size());
    ASSERT_EQ(window_.room(), window_.capacity() - in_flight_.size());
  }
  size_t answered() const { return answered_; }

 private:
  void SendSome() {
    const size_t n = std::min<size_t>(random_() % 50, window_.room());
    window_.Append(n, 1, [this](size_t) {
      stamp_ += 1 + random_() % 3;
      const auto user = static_cast<uint32_t>(random_() % 5);
      in_flight_[stamp_] = user;
      sent_[stamp_] = user;
      return GatewayRequest::Of(stamp_, static_cast<int64_t>(stamp_), user);
    });
  }
  void AnswerInOrder() {
    std::vector<std::pair<uint64_t, uint32_t>> answers(sent_.begin(), sent_.end());
    answers.resize(std::min<size_t>(answers.size(), random_() % 40));
    // Those that have been overtaken are older, and not taken in order.
    size_t skipped = 0;
    while (skipped < answers.size() && window_.oldest() != nullptr && answers[skipped].first < window_.oldest()->stamp) ++skipped;
    answers.erase(answers.begin(), answers.begin() + static_cast<std::ptrdiff_t>(skipped));
    const size_t taken = window_.TakeInOrder(
        answers.size(),
        [&](size_t i, const GatewayRequest& request) {
          return request.stamp == answers[i].first && request.user == answers[i].second;
        },
        [](const GatewayAnswered&) {});
    ASSERT_EQ(taken, window_.oldest() == nullptr && taken == 0 ? 0 : answers.size());
    for (size_t i = 0; i < taken; ++i) Forget(answers[i].first);
  }
  void AnswerAny() {
    if (in_flight_.empty()) return;
    auto one = in_flight_.lower_bound(random_() % (stamp_ + 2));
    const uint64_t stamp = one == in_flight_.end() ? random_() % (stamp_ + 2) : one->first;
    const uint32_t user = static_cast<uint32_t>(random_() % 5);
    const auto found = in_flight_.find(stamp);
    const bool known = found != in_flight_.end() && found->second == user;
    ASSERT_EQ(Take(window_, stamp, user), known);
    if (known) Forget(stamp);
    ASSERT_FALSE(Take(window_, stamp, user));  // never twice
  }
  void RepeatSome() {
    auto next = sent_.empty() ? in_flight_.begin() : in_flight_.upper_bound(sent_.rbegin()->first);
    for (const uint64_t stamp : Repeated(window_, random_() % 60)) {
      while (next != in_flight_.end() && sent_.count(next->first) > 0) ++next;
      ASSERT_TRUE(next != in_flight_.end());
      ASSERT_EQ(stamp, next->first);
      sent_[stamp] = next->second;
    }
  }
  void Forget(uint64_t stamp) {
    in_flight_.erase(stamp);
    sent_.erase(stamp);
    ++answered_;
  }

  GatewayWindow window_;
  std::mt19937_64 random_;
  uint64_t stamp_ = 0;
  std::map<uint64_t, uint32_t> in_flight_;
  std::map<uint64_t, uint32_t> sent_;  // of these: on this connection
  size_t answered_ = 0;
};

TEST(GatewayWindow, AgreesWithAMapWhateverComes) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Oracle oracle(static_cast<uint32_t>(1 + seed * 7 % 300), seed);
    for (int step = 0; step < 4'000; ++step) {
      oracle.Step();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed << " step " << step;
    }
    EXPECT_GT(oracle.answered(), 500u);
  }
}

}  // namespace
}  // namespace hongbao::load
