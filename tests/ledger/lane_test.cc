#include "libhongbao/ledger/lane.h"

#include <gtest/gtest.h>

namespace hongbao::ledger {
namespace {

Record Numbered(uint64_t number) { return {.user = static_cast<uint32_t>(number), .reply_to = number}; }

TEST(Lane, FirstInFirstOutManyTimesAround) {
  Lane lane(8);
  uint64_t in = 0, out = 0;
  Record record;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 1 + round % 8; ++i) {
      lane.Push(Numbered(in++));
    }
    EXPECT_FALSE(lane.Empty());
    while (lane.Pop(record)) {
      EXPECT_EQ(record.reply_to, out++);
    }
    EXPECT_TRUE(lane.Empty());
  }
  EXPECT_EQ(in, out);
}

TEST(Lane, HoldsThePromisedNumber) {
  Lane lane(5);
  for (uint64_t i = 0; i < 5; ++i) {
    lane.Push(Numbered(i));
  }
  Record record;
  EXPECT_TRUE(lane.Pop(record));
}

TEST(LaneDeathTest, ABrokenPromiseAborts) {
  Lane lane(4);
  for (uint64_t i = 0; i < 4; ++i) {
    lane.Push(Numbered(i));
  }
  EXPECT_DEATH(lane.Push(Numbered(4)), "no more records than it has credits");
}

}  // namespace
}  // namespace hongbao::ledger
