#include "libhongbao/handover.h"

#include <cstdint>
#include <thread>

#include "gtest/gtest.h"

namespace hongbao {
namespace {

struct Pair {
  uint64_t a = 0;
  uint64_t b = 0;
};

TEST(Handover, KeepsTheOrderAndRefusesWhenFull) {
  Handover<Pair> ring(4);
  Pair got;
  EXPECT_FALSE(ring.Pop(got));
  for (uint64_t round = 0; round < 5; ++round) {
    for (uint64_t i = 0; i < 4; ++i) EXPECT_TRUE(ring.Push({round, i}));
    EXPECT_FALSE(ring.Push({99, 99}));
    for (uint64_t i = 0; i < 4; ++i) {
      ASSERT_TRUE(ring.Pop(got));
      EXPECT_EQ(got.a, round);
      EXPECT_EQ(got.b, i);
    }
    EXPECT_FALSE(ring.Pop(got));
  }
}

TEST(Handover, APlaceTakenOutServesAgain) {
  Handover<Pair> ring(2);
  EXPECT_TRUE(ring.Push({1, 0}));
  EXPECT_TRUE(ring.Push({2, 0}));
  EXPECT_FALSE(ring.Push({3, 0}));
  Pair got;
  ASSERT_TRUE(ring.Pop(got));
  EXPECT_TRUE(ring.Push({3, 0}));
  EXPECT_FALSE(ring.Push({4, 0}));
  ASSERT_TRUE(ring.Pop(got));
  EXPECT_EQ(got.a, 2u);
}

TEST(Handover, WithoutRoomItRefusesEverything) {
  Handover<Pair> ring(0);
  Pair got;
  EXPECT_FALSE(ring.Push({1, 1}));
  EXPECT_FALSE(ring.Pop(got));
}

// For ThreadSanitizer, and for the halves of a record: nothing is torn, lost or doubled between two threads.
TEST(Handover, TwoThreadsLoseNothing) {
  constexpr uint64_t kRecords = 100'000;
  Handover<Pair> ring(64);
  std::thread writer([&ring] {
    for (uint64_t i = 0; i < kRecords;) {
      if (ring.Push({i, ~i})) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  Pair got;
  for (uint64_t want = 0; want < kRecords;) {
    if (!ring.Pop(got)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(got.a, want);
    ASSERT_EQ(got.b, ~want);
    ++want;
  }
  writer.join();
  EXPECT_FALSE(ring.Pop(got));
}

}  // namespace
}  // namespace hongbao
