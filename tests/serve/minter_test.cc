#include "libhongbao/serve/minter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace hongbao::serve {
namespace {

constexpr int64_t kSecond = time::kNsPerSecond;
constexpr int64_t kNow = 1'424'183'400;

struct World {
  explicit World(size_t capacity = 1 << 16, uint32_t users_max = 100)
      : clock(kNow * kSecond + 300'000'000),
        pool(capacity),
        claimer(pool),
        minter(&clock, &pool, users_max, 2, [this](uint32_t worker, const Message& message) {
          if (room == 0) {
            return false;
          }
          --room;
          gifts.emplace_back(worker, message);
          return true;
        }) {}

  // Steps as the thread would, up to `until_s` (unix). Returns issued per second.
  std::vector<uint64_t> RunTo(int64_t until_s) {
    std::vector<uint64_t> issued;
    while (clock.WallNs() < until_s * kSecond) {
      const uint64_t before = pool.issued().count + gifts.size();
      const int64_t second_end = (time::UnixSecond(clock.WallNs()) + 1) * kSecond;
      while (clock.WallNs() < second_end) {
        const int64_t next = minter.Step(clock.WallNs());
        EXPECT_GT(next, clock.WallNs());
        clock.Advance(std::min(next, second_end) - clock.WallNs());
      }
      issued.push_back(pool.issued().count + gifts.size() - before);
    }
    return issued;
  }
  std::vector<envelope::LuckyEnvelope> ClaimAll() {
    std::vector<envelope::LuckyEnvelope> all;
    envelope::LuckyEnvelope one;
    while (claimer.Claim(one)) {
      all.push_back(one);
    }
    return all;
  }

  time::FakeClock clock;
  envelope::LuckyPool pool;
  envelope::LuckyClaimer claimer;
  uint64_t room = 1'000'000;
  std::vector<std::pair<uint32_t, Message>> gifts;
  Minter minter;
};

MintOrder Shakes(int64_t rate, int64_t count) {
  return {.kind = MintOrder::Kind::kShake, .rate = rate, .count = count, .seed = 7};
}
MintOrder Gifts(int64_t rate, int64_t count, uint32_t users = 3, uint32_t first = 0, uint32_t last = 99) {
  return {.kind = MintOrder::Kind::kGift,
          .rate = rate,
          .count = count,
          .seed = 7,
          .users = users,
          .first_user = first,
          .last_user = last};
}

TEST(MinterHistory, TellsOfEachSecondHoweverLateItIsAsked) {
  World world;
  ASSERT_TRUE(world.minter.Add(Shakes(200, 700)).ok());
  world.RunTo(kNow + 7);
  count::Values<MintCounter> by_then;
  std::vector<uint64_t> issued;
  uint64_t before = 0;
  for (int64_t second = kNow; second < kNow + 6; ++second) {
    ASSERT_TRUE(world.minter.history().Read(second, by_then)) << second;
    issued.push_back(by_then[MintCounter::kIssued] - before);
    before = by_then[MintCounter::kIssued];
  }
  EXPECT_EQ(issued, (std::vector<uint64_t>{0, 200, 200, 200, 100, 0}));
  EXPECT_FALSE(world.minter.history().Read(kNow + 60, by_then)) << "a second that has not come";
}

TEST(MinterTest, StartsAtTheNextWholeSecondAndHoldsTheRateInEachSecond) {
  World world;
  const absl::StatusOr<MintReceipt> receipt = world.minter.Add(Shakes(200, 1'000));
  ASSERT_TRUE(receipt.ok());
  EXPECT_EQ(receipt->at_s, kNow + 1);
  EXPECT_EQ(receipt->first_id, kFirstShakeId);
  EXPECT_THAT(world.RunTo(kNow + 8), testing::ElementsAre(0, 200, 200, 200, 200, 200, 0, 0));
  EXPECT_EQ(world.minter.runs(), 0U);
}

TEST(MinterTest, Defect08_EachEnvelopeHasAnIdOfItsOwnAndAnAmountInRange) {
  World world;
  ASSERT_TRUE(world.minter.Add(Shakes(1'000, 2'000)).ok());
  EXPECT_EQ(world.minter.Add(Shakes(1'000, 2'000))->first_id, kFirstShakeId + 2'000);
  world.RunTo(kNow + 4);
  std::set<uint32_t> ids;
  int64_t sum = 0;
  for (const envelope::LuckyEnvelope& envelope : world.ClaimAll()) {
    ids.insert(envelope.id);
    EXPECT_GE(envelope.amount.value(), 10);
    EXPECT_LE(envelope.amount.value(), 309);
    sum += envelope.amount.value();
  }
  EXPECT_EQ(ids.size(), 4'000U);
  EXPECT_EQ(*ids.begin(), kFirstShakeId);
  EXPECT_EQ(*ids.rbegin(), kFirstShakeId + 3'999);
  EXPECT_EQ(world.pool.issued().sum.value(), sum);
}

TEST(MinterTest, Defect01_AFullPoolLosesNothingAndCountsNothingTooEarly) {
  World world(/*capacity=*/16);
  ASSERT_TRUE(world.minter.Add(Shakes(100, 100)).ok());
  world.RunTo(kNow + 5);
  EXPECT_EQ(world.pool.issued().count, 16U);
  EXPECT_EQ(world.minter.waiting(), 84);
  std::set<uint32_t> ids;
  int64_t sum = 0;
  for (int round = 0; round < 100; ++round) {
    for (const envelope::LuckyEnvelope& envelope : world.ClaimAll()) {
      ids.insert(envelope.id);
      sum += envelope.amount.value();
    }
    world.minter.Step(world.clock.WallNs());
  }
  EXPECT_EQ(ids.size(), 100U);
  EXPECT_EQ(world.pool.issued().count, 100U);
  EXPECT_EQ(world.pool.issued().sum.value(), sum);
  EXPECT_EQ(world.minter.waiting(), 0);
}

TEST(MinterTest, Defect02_AFullInboxKeepsTheGiftForLater) {
  World world;
  ASSERT_TRUE(world.minter.Add(Gifts(100, 100)).ok());
  world.room = 40;
  world.RunTo(kNow + 3);
  EXPECT_EQ(world.gifts.size(), 40U);
  EXPECT_EQ(world.minter.waiting(), 60);
  world.room = 1'000;
  world.RunTo(kNow + 5);
  ASSERT_EQ(world.gifts.size(), 100U);
  for (uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(world.gifts[i].second.envelope_id, kFirstMintedGiftId + i) << "none twice, none left out";
  }
}

TEST(MinterTest, GiftsGoToTheirOwnersInTurn) {
  World world;
  ASSERT_TRUE(world.minter.Add(Gifts(100, 100)).ok());
  world.RunTo(kNow + 3);
  for (const auto& [worker, gift] : world.gifts) {
    EXPECT_EQ(worker, OwnerOf(gift.envelope_id, 2));
    EXPECT_EQ(gift.kind, MessageKind::kGift);
  }
}

TEST(MinterTest, Defect06_InvitedUsersAreDistinctAlsoWhenTheRangeIsAsSmallAsTheGift) {
  World world;
  ASSERT_TRUE(world.minter.Add(Gifts(1'000, 1'000, 3, 50, 52)).ok());
  ASSERT_TRUE(world.minter.Add(Gifts(1'000, 1'000, 50, 0, 99)).ok());
  world.RunTo(kNow + 3);
  ASSERT_EQ(world.gifts.size(), 2'000U);
  for (const auto& [worker, gift] : world.gifts) {
    const std::set<uint32_t> users(gift.users, gift.users + gift.user_count);
    EXPECT_EQ(users.size(), gift.user_count);
    if (gift.user_count == 3) {
      EXPECT_EQ(users, (std::set<uint32_t>{50, 51, 52}));
    }
    EXPECT_LT(*users.rbegin(), 100U);
    EXPECT_GE(gift.amount_fen, gift.user_count) << "a fen for each";
  }
}

TEST(MinterTest, Defect06_EveryUserOfTheRangeIsInvitedAboutEquallyOften) {
  World world;
  ASSERT_TRUE(world.minter.Add(Gifts(10'000, 10'000, 3, 10, 19)).ok());
  world.RunTo(kNow + 3);
  std::vector<int> invited(10);
  for (const auto& [worker, gift] : world.gifts) {
    for (uint32_t i = 0; i < gift.user_count; ++i) {
      ++invited[gift.users[i] - 10];
    }
  }
  for (const int times : invited) {
    EXPECT_NEAR(times, 3'000, 230);  // 5 standard deviations of a binomial
  }
}

TEST(MinterTest, WrongOrdersSayWhy) {
  World world;
  const auto refused = [&world](const MintOrder& order, const std::string& word) {
    const absl::StatusOr<MintReceipt> receipt = world.minter.Add(order);
    EXPECT_FALSE(receipt.ok()) << word;
    EXPECT_THAT(std::string(receipt.status().message()), testing::HasSubstr(word));
  };
  refused(Shakes(0, 10), "rate");
  refused(Shakes(10, 0), "count");
  refused(Shakes(2'000'000, 10), "rate");
  refused(Gifts(1, 1, 0), "users");
  refused(Gifts(1, 1, 51), "users");
  refused(Gifts(1, 1, 3, 0, 100), "last_user");
  refused(Gifts(1, 1, 3, 8, 7), "first_user");
  refused(Gifts(1, 1, 3, 8, 9), "users");
  MintOrder order = Shakes(1, 1);
  order.min_fen = 0;
  refused(order, "min_fen");
  order.min_fen = 400;
  refused(order, "min_fen");
  order = Gifts(1, 1, 50);
  order.min_fen = 1;
  order.max_fen = 49;
  refused(order, "max_fen");
  order = Shakes(1, 1);
  order.at_s = kNow;
  refused(order, "at");
  EXPECT_EQ(world.minter.runs(), 0U);
}

TEST(MinterTest, IdsAreNeverGivenTwiceAlsoWhenTheyRunOut) {
  World world;
  ASSERT_TRUE(world.minter.Add(Shakes(1, kLastShakeId - kFirstShakeId)).ok());
  EXPECT_TRUE(world.minter.Add(Shakes(1, 1)).ok()) << "the last one";
  EXPECT_EQ(world.minter.Add(Shakes(1, 1)).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(MinterTest, TheSameSeedGivesTheSameRun) {
  std::vector<std::vector<int64_t>> amounts;
  for (const uint64_t seed : {7U, 7U, 8U}) {
    World world;
    MintOrder order = Shakes(100, 100);
    order.seed = seed;
    ASSERT_TRUE(world.minter.Add(order).ok());
    world.RunTo(kNow + 3);
    amounts.emplace_back();
    for (const envelope::LuckyEnvelope& envelope : world.ClaimAll()) {
      amounts.back().push_back(envelope.amount.value());
    }
  }
  EXPECT_EQ(amounts[0], amounts[1]);
  EXPECT_NE(amounts[0], amounts[2]);
}

TEST(MinterTest, TheThreadIssuesByItselfAndStopsWhenTold) {
  const time::RealClock clock;
  envelope::LuckyPool pool(1 << 10);
  Minter minter(&clock, &pool, 10, 1, [](uint32_t, const Message&) { return true; });
  minter.Start();
  ASSERT_TRUE(minter.Add({.kind = MintOrder::Kind::kShake, .rate = 1'000'000, .count = 100}).ok());
  while (pool.issued().count < 100) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  minter.Stop();
  EXPECT_EQ(minter.Add(Shakes(1, 1)).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace hongbao::serve
