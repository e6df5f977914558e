#include "libhongbao/load/user.h"

#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

TEST(NextStamp, IsTheTimeWhenTimeMovesOn) {
  User user;
  EXPECT_EQ(NextStamp(user, 1'000), 1'000u);
  EXPECT_EQ(NextStamp(user, 2'000), 2'000u);
}

TEST(NextStamp, GrowsEvenWhenTheClockStandsOrGoesBack) {
  User user;
  EXPECT_EQ(NextStamp(user, 1'000), 1'000u);
  EXPECT_EQ(NextStamp(user, 1'000), 1'001u);
  EXPECT_EQ(NextStamp(user, 10), 1'002u);
  EXPECT_EQ(NextStamp(user, -5), 1'003u);
  EXPECT_EQ(NextStamp(user, 1'003), 1'004u);
  EXPECT_EQ(NextStamp(user, 5'000), 5'000u);
}

TEST(NextStamp, SurvivesAReconnect) {
  User user;
  NextStamp(user, 9'000);
  user.state = MemberState::kBackOff;  // what a lost connection leaves
  user.state = MemberState::kOnline;
  EXPECT_EQ(NextStamp(user, 8'000), 9'001u);
}

TEST(User, FreshMemoryIsAUserWhoHasNotBegun) {
  const User user;
  EXPECT_EQ(user.statement, StatementState::kNone);
  EXPECT_FALSE(user.seen_online);
  EXPECT_EQ(user.grants, 0u);
}

}  // namespace
}  // namespace hongbao::load
