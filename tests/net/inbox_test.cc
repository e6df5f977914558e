#include "libhongbao/net/inbox.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace hongbao::net {
namespace {

struct Large {
  uint64_t words[32];
};

TEST(Inbox, KeepsOrderAndRefusesWhenFull) {
  Inbox<int> inbox(4);
  int value = 0;
  EXPECT_TRUE(inbox.Empty());
  EXPECT_FALSE(inbox.Pop(value));
  for (int i = 1; i <= 4; ++i) {
    EXPECT_TRUE(inbox.Push(i));
  }
  EXPECT_FALSE(inbox.Push(5));
  EXPECT_FALSE(inbox.Empty());
  for (int i = 1; i <= 4; ++i) {
    ASSERT_TRUE(inbox.Pop(value));
    EXPECT_EQ(value, i);
  }
  EXPECT_TRUE(inbox.Empty());
  EXPECT_FALSE(inbox.Pop(value));
}

TEST(Inbox, TwoCellsAreEnough) {
  Inbox<int> inbox(2);
  int value = 0;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(inbox.Push(i));
    EXPECT_TRUE(inbox.Push(i + 100));
    EXPECT_FALSE(inbox.Push(99)) << "round " << i;
    ASSERT_TRUE(inbox.Pop(value));
    EXPECT_EQ(value, i);
    ASSERT_TRUE(inbox.Pop(value));
    EXPECT_EQ(value, i + 100);
    EXPECT_FALSE(inbox.Pop(value));
  }
}

TEST(Inbox, AgreesWithAQueueOverManyRounds) {
  Inbox<Large> inbox(64);
  std::deque<uint64_t> model;
  std::mt19937_64 random(3);
  uint64_t next = 0;
  for (int step = 0; step < 200'000; ++step) {
    if (random() % 2 == 0) {
      Large message;
      for (uint64_t& word : message.words) {
        word = next;
      }
      const bool taken = inbox.Push(message);
      ASSERT_EQ(taken, model.size() < 64);
      if (taken) {
        model.push_back(next);
      }
      ++next;
    } else {
      Large message;
      ASSERT_EQ(inbox.Pop(message), !model.empty());
      if (!model.empty()) {
        ASSERT_EQ(message.words[0], model.front());
        ASSERT_EQ(message.words[31], model.front());
        model.pop_front();
      }
    }
    ASSERT_EQ(inbox.Empty(), model.empty());
  }
}

TEST(InboxDeathTest, CapacityIsAPowerOfTwo) {
  EXPECT_DEATH(Inbox<int>(3), "power of two");
  EXPECT_DEATH(Inbox<int>(0), "power of two");
  EXPECT_DEATH(Inbox<int>(1), "at least two") << "a single cell overwrites what it holds";
}

}  // namespace
}  // namespace hongbao::net
