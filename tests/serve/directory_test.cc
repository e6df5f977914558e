#include "libhongbao/serve/directory.h"

#include <gtest/gtest.h>

namespace hongbao::serve {
namespace {

Directory Make(uint32_t users_max) { return *Directory::Create(users_max); }

constexpr uint64_t At(uint8_t worker, uint32_t generation, uint32_t slot) {
  return Pack({.worker = worker, .port = 3, .generation = generation, .slot = slot});
}

TEST(AddressTest, PacksEveryFieldWithoutLoss) {
  for (const Address address : {Address{0, 0, 1, 0}, Address{255, 255, Address::kGenerationMax, Address::kSlotMax},
                                Address{1, 2, 3, 4}, Address{7, 0, 0x123456, 0x2bcdef}, Address{1, 2, 3, 4, /*gateway=*/true}}) {
    EXPECT_EQ(Unpack(Pack(address)), address);
    EXPECT_NE(Pack(address), kOffline);
    EXPECT_EQ(IsGateway(Pack(address)), address.gateway);
  }
}

TEST(DirectoryTest, NobodyIsOnlineAtFirst) {
  Directory directory = Make(10);
  EXPECT_EQ(directory.Find(0), kOffline);
  EXPECT_EQ(directory.Find(9), kOffline);
}

TEST(DirectoryTest, NoUsersIsAnError) { EXPECT_FALSE(Directory::Create(0).ok()); }

TEST(DirectoryTest, TheNewestLoginOwnsTheUserAndNamesTheOneItReplaced) {
  Directory directory = Make(10);
  EXPECT_EQ(directory.Login(7, At(0, 1, 5)).replaced, kOffline);
  EXPECT_EQ(directory.Login(7, At(1, 1, 6)).replaced, At(0, 1, 5));
  EXPECT_EQ(directory.Find(7), At(1, 1, 6));
  EXPECT_EQ(directory.Find(6), kOffline);
}

TEST(DirectoryTest, AGatewaysUserStaysTheGatewaysUnlessTheLoginHasProvedItself) {
  Directory directory = Make(10);
  const uint64_t gateway = At(0, 1, 5) | kGatewayBit;
  const auto no_gateway = [](uint64_t holder) { return !IsGateway(holder); };
  EXPECT_EQ(directory.LoginIf(7, At(1, 1, 6), no_gateway)->replaced, kOffline);
  EXPECT_EQ(directory.LoginIf(7, At(1, 1, 8), no_gateway)->replaced, At(1, 1, 6)) << "a direct session's is anybody's";
  EXPECT_EQ(directory.Login(7, gateway).replaced, At(1, 1, 8));
  EXPECT_FALSE(directory.LoginIf(7, At(1, 1, 6), no_gateway).has_value());
  EXPECT_EQ(directory.Find(7), gateway);
  EXPECT_EQ(directory.Login(7, At(1, 1, 6)).replaced, gateway);
  directory.Login(7, gateway);
  EXPECT_TRUE(directory.Logout(7, gateway));
  EXPECT_TRUE(directory.LoginIf(7, At(1, 1, 6), no_gateway).has_value()) << "it has gone";
}

TEST(DirectoryTest, Defect18_LateCloseOfTheOldConnectionLeavesTheNewOneAlone) {
  Directory directory = Make(10);
  directory.Login(7, At(0, 1, 5));
  directory.Login(7, At(1, 1, 6));
  EXPECT_FALSE(directory.Logout(7, At(0, 1, 5)));
  EXPECT_EQ(directory.Find(7), At(1, 1, 6));
  EXPECT_TRUE(directory.Logout(7, At(1, 1, 6)));
  EXPECT_EQ(directory.Find(7), kOffline);
}

TEST(DirectoryTest, Defect18_TheSameSlotInANewGenerationIsAnotherConnection) {
  Directory directory = Make(10);
  directory.Login(7, At(0, 1, 5));
  directory.Login(7, At(0, 2, 5));
  EXPECT_FALSE(directory.Logout(7, At(0, 1, 5)));
  EXPECT_EQ(directory.Find(7), At(0, 2, 5));
}

TEST(DirectoryTest, ShakeWinsStopAtTheCap) {
  Directory directory = Make(2);
  EXPECT_TRUE(directory.ReserveShakeWin(1, 2));
  EXPECT_TRUE(directory.ReserveShakeWin(1, 2));
  EXPECT_FALSE(directory.ReserveShakeWin(1, 2));
  EXPECT_TRUE(directory.ReserveShakeWin(0, 2)) << "the neighbour has a count of its own";
  directory.ReleaseShakeWin(1);
  EXPECT_TRUE(directory.ReserveShakeWin(1, 2));
  EXPECT_EQ(directory.shake_wins(1), 2U);
}

TEST(DirectoryTest, UnopenedGiftsStopAtTheMostAndNeverWrap) {
  Directory directory = Make(1);
  for (uint32_t i = 0; i < Directory::kUnopenedMax; ++i) {
    ASSERT_TRUE(directory.AddUnopened(0));
  }
  EXPECT_FALSE(directory.AddUnopened(0));
  EXPECT_EQ(directory.unopened(0), Directory::kUnopenedMax);
  directory.RemoveUnopened(0);
  EXPECT_TRUE(directory.AddUnopened(0));
}

TEST(DirectoryDeathTest, RemovingAGiftThatWasNeverAddedAborts) {
  Directory directory = Make(1);
  EXPECT_DEATH(directory.RemoveUnopened(0), "counted");
}

TEST(DirectoryTest, GrantsAddUpAndTheStampIsTheHighest) {
  Directory directory = Make(3);
  directory.AddGrant(2, 257);
  directory.RememberShare(2, 1000);
  directory.AddGrant(2, 101);
  directory.RememberShare(2, 900);
  EXPECT_EQ(directory.grants(2), 2U);
  EXPECT_EQ(directory.total_fen(2), 358);
  EXPECT_EQ(directory.last_stamp(2), 1000U);
  directory.AddGrant(2, 1);
  directory.RememberShare(2, 0);
  EXPECT_EQ(directory.last_stamp(2), 1000U);
  EXPECT_EQ(directory.grants(1), 0U);
}

TEST(DirectoryTest, OnlyTheNewestSessionDecidesAndTheNextOneSeesItsStamp) {
  Directory directory = Make(10);
  EXPECT_FALSE(directory.Decide(7, 50, At(0, 1, 5)).has_value()) << "nobody is there";
  directory.Login(7, At(0, 1, 5));
  const std::optional<uint32_t> first = directory.Decide(7, 60, At(0, 1, 5));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(directory.Login(7, At(1, 1, 6)).last_stamp, 60U);
  EXPECT_FALSE(directory.Decide(7, 70, At(0, 1, 5)).has_value()) << "replaced";
  const std::optional<uint32_t> second = directory.Decide(7, 70, At(1, 1, 6));
  ASSERT_TRUE(second.has_value());
  EXPECT_GT(*second, *first);
  EXPECT_GE(directory.logins(7), *second);
  EXPECT_FALSE(directory.Decide(7, 80, At(1, 1, 6) | kGatewayBit).has_value());
}

TEST(DirectoryTest, AnEarlierLifeIsRestored) {
  Directory directory = Make(3);
  directory.Restore(1, 5'000, 2);
  EXPECT_EQ(directory.last_stamp(1), 5'000U);
  EXPECT_EQ(directory.shake_wins(1), 2U);
  EXPECT_FALSE(directory.ReserveShakeWin(1, 2));
}

TEST(DirectoryDeathTest, Defect14_AUserBeyondTheTableIsCaughtNotWrittenElsewhere) {
  Directory directory = Make(1000);
  EXPECT_DEATH(directory.Login(1000, At(0, 1, 1)), "range");
}

}  // namespace
}  // namespace hongbao::serve
