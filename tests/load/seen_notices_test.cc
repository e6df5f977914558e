#include "libhongbao/load/seen_notices.h"

#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

TEST(SeenNotices, ARepeatedNoticeIsKnown) {
  SeenNotices seen(1'000);
  EXPECT_TRUE(seen.Insert(7, 0x8000'0001));
  EXPECT_FALSE(seen.Insert(7, 0x8000'0001));
  EXPECT_TRUE(seen.Insert(8, 0x8000'0001));
  EXPECT_TRUE(seen.Insert(7, 0x8000'0002));
  EXPECT_TRUE(seen.Insert(0, 1));
  EXPECT_FALSE(seen.Insert(0, 1));
}

TEST(SeenNotices, RemembersTheNewestForEverAndStaysSmall) {
  constexpr uint32_t kRemembered = 1'000;
  SeenNotices seen(kRemembered);
  for (uint32_t envelope = 1; envelope <= 50'000; ++envelope) {
    EXPECT_TRUE(seen.Insert(envelope % 97, envelope));
    if (envelope > kRemembered) {
      const uint32_t old = envelope - kRemembered + 1;
      EXPECT_FALSE(seen.Insert(old % 97, old)) << old;
    }
  }
}

}  // namespace
}  // namespace hongbao::load
