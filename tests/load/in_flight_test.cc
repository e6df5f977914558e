#include "libhongbao/load/in_flight.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

InFlightRequest Shake(uint64_t stamp) { return {.due_ns = static_cast<int64_t>(stamp), .stamp = stamp}; }
InFlightRequest Open(uint32_t envelope_id) { return {.envelope_id = envelope_id}; }

TEST(InFlight, ShakesComeBackInTheOrderTheyWereSent) {
  InFlight pool(8);
  RequestList list;
  for (uint64_t stamp = 1; stamp <= 5; ++stamp) pool.Append(list, Shake(stamp));
  EXPECT_EQ(pool.used(), 5u);
  InFlightRequest found;
  for (uint64_t stamp = 1; stamp <= 5; ++stamp) {
    ASSERT_TRUE(pool.TakeFirstShake(list, found));
    EXPECT_EQ(found.stamp, stamp);
  }
  EXPECT_FALSE(pool.TakeFirstShake(list, found));
  EXPECT_EQ(list.first, kNoRequest);
  EXPECT_EQ(list.last, kNoRequest);
  EXPECT_EQ(pool.used(), 0u);
}

TEST(InFlight, OpensAreFoundByTheirEnvelopeWhateverTheOrder) {
  InFlight pool(8);
  RequestList list;
  pool.Append(list, Open(70));
  pool.Append(list, Shake(1));
  pool.Append(list, Open(71));
  InFlightRequest found;
  EXPECT_TRUE(pool.HoldsOpen(list, 71));
  ASSERT_TRUE(pool.TakeOpen(list, 71, found));  // the last: the list's end must follow
  EXPECT_FALSE(pool.HoldsOpen(list, 71));
  EXPECT_FALSE(pool.TakeOpen(list, 71, found));
  pool.Append(list, Shake(2));
  ASSERT_TRUE(pool.TakeFirstShake(list, found));
  EXPECT_EQ(found.stamp, 1u);
  ASSERT_TRUE(pool.TakeOpen(list, 70, found));
  ASSERT_TRUE(pool.TakeFirstShake(list, found));
  EXPECT_EQ(found.stamp, 2u);
  EXPECT_EQ(list.last, kNoRequest);
}

TEST(InFlight, AStampFindsItsRequestWhateverTheOrder) {
  InFlight pool(8);
  RequestList list;
  for (uint64_t stamp = 1; stamp <= 5; ++stamp) pool.Append(list, Shake(10 * stamp));
  InFlightRequest found;
  for (const uint64_t stamp : {50u, 10u, 30u}) {
    EXPECT_TRUE(pool.HoldsStamp(list, stamp));
    EXPECT_FALSE(pool.TakeStamp(list, stamp, 70, found)) << "it asked for something else";
    ASSERT_TRUE(pool.TakeStamp(list, stamp, 0, found));
    EXPECT_EQ(found.stamp, stamp);
    EXPECT_FALSE(pool.HoldsStamp(list, stamp));
    EXPECT_FALSE(pool.TakeStamp(list, stamp, 0, found));
  }
  EXPECT_EQ(pool[list.first].stamp, 20u);  // the oldest stays first
  EXPECT_EQ(pool[list.last].stamp, 40u);
  pool.Append(list, Shake(60));
  EXPECT_EQ(pool[list.last].stamp, 60u);
}

TEST(InFlight, TheWarmestRecordIsUsedNext) {
  InFlight pool(1'000);
  RequestList list;
  InFlightRequest found;
  pool.Append(list, Shake(1));
  const uint32_t warm = list.first;
  for (uint64_t stamp = 2; stamp < 100; ++stamp) {
    ASSERT_TRUE(pool.TakeFirstShake(list, found));
    pool.Append(list, Shake(stamp));
    EXPECT_EQ(list.first, warm);
  }
}

TEST(InFlight, AFullPoolSaysSoAndServesAgainAfterwards) {
  InFlight pool(2);
  RequestList a, b;
  pool.Append(a, Shake(1));
  EXPECT_FALSE(pool.full());
  pool.Append(b, Shake(2));
  EXPECT_TRUE(pool.full());
  EXPECT_DEATH(pool.Append(a, Shake(3)), "full pool");
  InFlightRequest found;
  ASSERT_TRUE(pool.TakeFirstShake(a, found));
  EXPECT_FALSE(pool.full());
  pool.Append(b, Shake(3));
  EXPECT_TRUE(pool.full());
}

// The prototype leaked 2 of 3,513 pooled messages per reconnect and one per gift: in the end nothing moved any more.
// Here whatever goes out comes back, through any order of sends, answers and losses.
TEST(InFlight, Defect16And17_RecordsAllComeBack) {
  constexpr uint32_t kCapacity = 64;
  InFlight pool(kCapacity);
  std::vector<RequestList> lists(8);
  uint64_t random = 1;
  InFlightRequest found;
  uint64_t appended = 0, taken = 0;
  for (int step = 0; step < 100'000; ++step) {
    random = random * 6'364'136'223'846'793'005 + 1;
    RequestList& list = lists[random >> 60 & 7];
    switch (random >> 33 & 3) {
      case 0:
      case 1:
        if (!pool.full()) {
          pool.Append(list, (random >> 40 & 1) != 0 ? Shake(random) : Open(static_cast<uint32_t>(random >> 41 & 3) + 1));
          ++appended;
        }
        break;
      case 2:
        taken += pool.TakeFirstShake(list, found);
        break;
      default:
        taken += pool.TakeOpen(list, static_cast<uint32_t>(random >> 41 & 3) + 1, found);
    }
    ASSERT_EQ(pool.used(), appended - taken);
  }
  for (RequestList& list : lists) {
    while (pool.TakeFirst(
        list, [](const InFlightRequest&) { return true; }, found))
      ++taken;
    EXPECT_EQ(list.last, kNoRequest);
  }
  EXPECT_EQ(appended, taken);
  EXPECT_EQ(pool.used(), 0u);
  RequestList all;
  for (uint32_t i = 0; i < kCapacity; ++i) pool.Append(all, Shake(i));
  EXPECT_TRUE(pool.full());
}

}  // namespace
}  // namespace hongbao::load
