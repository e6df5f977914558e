#include "libhongbao/load/silence_watch.h"

#include <gtest/gtest.h>

namespace hongbao::load {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kTimeout = 10 * kSecond;
constexpr int64_t kNow = 1'000 * kSecond;

TEST(SilenceWatch, LeavesConnectionsThatHaveNotWaitedLongEnough) {
  SilenceWatch watch(kTimeout);
  watch.Heard(kNow - 20 * kSecond);
  EXPECT_FALSE(watch.MayEnd(kTimeout - 1, kNow));
  EXPECT_TRUE(watch.MayEnd(kTimeout, kNow));
}

TEST(SilenceWatch, WhileTheServerSpeaksToOthersASilentConnectionIsDead) {
  SilenceWatch watch(kTimeout);
  for (int64_t at = kNow - 30 * kSecond; at < kNow; at += kSecond) {
    watch.Heard(at);
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(watch.MayEnd(kTimeout, kNow));
  }
}

TEST(SilenceWatch, AServerThatIsSilentToAllIsAskedByOne) {
  SilenceWatch watch(kTimeout);
  watch.Heard(kNow);
  EXPECT_TRUE(watch.MayEnd(kTimeout, kNow + kTimeout));
  for (int second = 0; second < 600; ++second) {
    EXPECT_FALSE(watch.MayEnd(kTimeout, kNow + kTimeout + second * kSecond)) << "it is stopped: its answers may still come";
  }
}

TEST(SilenceWatch, OnceThatOneIsAnsweredTheOthersFollowAfterAMoment) {
  SilenceWatch watch(kTimeout);
  watch.Heard(kNow);
  ASSERT_TRUE(watch.MayEnd(kTimeout, kNow + kTimeout));
  const int64_t answered = kNow + kTimeout + kSecond;
  watch.Heard(answered);
  EXPECT_FALSE(watch.MayEnd(kTimeout, answered)) << "a server that goes on answers the others in the same moment";
  EXPECT_TRUE(watch.MayEnd(kTimeout, answered + kSecond));
  EXPECT_TRUE(watch.MayEnd(kTimeout, answered + kSecond));
}

TEST(SilenceWatch, OffEndsNothing) {
  SilenceWatch watch(0);
  watch.Heard(kNow);
  EXPECT_FALSE(watch.MayEnd(3'600 * kSecond, kNow + 3'600 * kSecond));
}

}  // namespace
}  // namespace hongbao::load
