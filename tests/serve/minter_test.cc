#include "libhongbao/serve/minter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>

#include "tests/serve/minter_life.h"

namespace hongbao::serve {
namespace {

using World = MinterLife;

TEST(MinterHistory, TellsOfEachSecondHoweverLateItIsAsked) {
  World world;
  ASSERT_TRUE(world.minter.Add(ShakeOrder(200, 700)).ok());
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
  const absl::StatusOr<MintReceipt> receipt = world.minter.Add(ShakeOrder(200, 1'000));
  ASSERT_TRUE(receipt.ok());
  EXPECT_EQ(receipt->at_s, kNow + 1);
  EXPECT_EQ(receipt->first_id, kFirstShakeId);
  EXPECT_THAT(world.RunTo(kNow + 8), testing::ElementsAre(0, 200, 200, 200, 200, 200, 0, 0));
  EXPECT_EQ(world.minter.runs(), 0U);
}

TEST(MinterTest, Defect08_EachEnvelopeHasAnIdOfItsOwnAndAnAmountInRange) {
  World world;
  ASSERT_TRUE(world.minter.Add(ShakeOrder(1'000, 2'000)).ok());
  EXPECT_EQ(world.minter.Add(ShakeOrder(1'000, 2'000))->first_id, kFirstShakeId + 2'000);
  world.RunTo(kNow + 4);
  world.ClaimAll();
  for (const auto& [id, fen] : world.claimed) {
    EXPECT_GE(fen, 10);
    EXPECT_LE(fen, 309);
  }
  EXPECT_EQ(world.claimed.size(), 4'000U);
  EXPECT_EQ(world.claimed.begin()->first, kFirstShakeId);
  EXPECT_EQ(world.claimed.rbegin()->first, kFirstShakeId + 3'999);
  EXPECT_EQ(world.pool.issued().sum.value(), world.ClaimedFen());
}

TEST(MinterTest, Defect01_AFullPoolLosesNothingAndCountsNothingTooEarly) {
  World world(/*capacity=*/16);
  ASSERT_TRUE(world.minter.Add(ShakeOrder(100, 100)).ok());
  world.RunTo(kNow + 5);
  EXPECT_EQ(world.pool.issued().count, 16U);
  EXPECT_EQ(world.minter.waiting(), 84);
  for (int round = 0; round < 100; ++round) {
    world.ClaimAll();
    world.minter.Step();
  }
  EXPECT_EQ(world.claimed.size(), 100U);
  EXPECT_EQ(world.pool.issued().count, 100U);
  EXPECT_EQ(world.pool.issued().sum.value(), world.ClaimedFen());
  EXPECT_EQ(world.minter.waiting(), 0);
}

TEST(MinterTest, Defect02_AFullInboxKeepsTheGiftForLater) {
  World world;
  ASSERT_TRUE(world.minter.Add(GiftOrderFor(100, 100)).ok());
  world.room = 40;
  world.RunTo(kNow + 3);
  EXPECT_EQ(world.gifts.size(), 40U);
  EXPECT_EQ(world.minter.waiting(), 60);
  world.room = 1'000;
  world.RunTo(kNow + 5);
  ASSERT_EQ(world.gifts.size(), 100U) << "none twice, none left out; each to its owner (the fixture looks)";
  EXPECT_EQ(world.gifts.begin()->first, kFirstMintedGiftId);
  EXPECT_EQ(world.gifts.rbegin()->first, kFirstMintedGiftId + 99);
}

TEST(MinterTest, Defect06_InvitedUsersAreDistinctAlsoWhenTheRangeIsAsSmallAsTheGift) {
  World world;
  ASSERT_TRUE(world.minter.Add(GiftOrderFor(1'000, 1'000, 3, 50, 52)).ok());
  ASSERT_TRUE(world.minter.Add(GiftOrderFor(1'000, 1'000, 50, 0, 99)).ok());
  world.RunTo(kNow + 3);
  ASSERT_EQ(world.gifts.size(), 2'000U);
  for (const auto& [id, gift] : world.gifts) {
    const std::set<uint32_t> users(gift.invited.Users().begin(), gift.invited.Users().end());
    EXPECT_EQ(users.size(), gift.invited.count);
    if (gift.invited.count == 3) {
      EXPECT_EQ(users, (std::set<uint32_t>{50, 51, 52}));
    }
    EXPECT_LT(*users.rbegin(), 100U);
    EXPECT_GE(gift.amount_fen, gift.invited.count) << "a fen for each";
  }
}

TEST(MinterTest, Defect06_EveryUserOfTheRangeIsInvitedAboutEquallyOften) {
  World world;
  ASSERT_TRUE(world.minter.Add(GiftOrderFor(10'000, 10'000, 3, 10, 19)).ok());
  world.RunTo(kNow + 3);
  std::vector<int> invited(10);
  for (const auto& [id, gift] : world.gifts) {
    for (const uint32_t user : gift.invited.Users()) {
      ++invited[user - 10];
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
  refused(ShakeOrder(0, 10), "rate");
  refused(ShakeOrder(10, 0), "count");
  refused(ShakeOrder(2'000'000, 10), "rate");
  refused(GiftOrderFor(1, 1, 0), "users");
  refused(GiftOrderFor(1, 1, 51), "users");
  refused(GiftOrderFor(1, 1, 3, 0, 100), "last_user");
  refused(GiftOrderFor(1, 1, 3, 8, 7), "first_user");
  refused(GiftOrderFor(1, 1, 3, 8, 9), "users");
  MintOrder order = ShakeOrder(1, 1);
  order.min_fen = 0;
  refused(order, "min_fen");
  order.min_fen = 400;
  refused(order, "min_fen");
  order = GiftOrderFor(1, 1, 50);
  order.min_fen = 1;
  order.max_fen = 49;
  refused(order, "max_fen");
  order = ShakeOrder(1, 1);
  order.at_s = kNow;
  refused(order, "at");
  EXPECT_EQ(world.minter.runs(), 0U);
}

TEST(MinterTest, IdsAreNeverGivenTwiceAlsoWhenTheyRunOut) {
  World world;
  ASSERT_TRUE(world.minter.Add(ShakeOrder(1, kLastShakeId - kFirstShakeId)).ok());
  EXPECT_TRUE(world.minter.Add(ShakeOrder(1, 1)).ok()) << "the last one";
  EXPECT_EQ(world.minter.Add(ShakeOrder(1, 1)).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(MinterTest, TheSameSeedGivesTheSameRun) {
  std::vector<std::map<uint32_t, int64_t>> amounts;
  for (const uint64_t seed : {7U, 7U, 8U}) {
    World world;
    MintOrder order = ShakeOrder(100, 100);
    order.seed = seed;
    ASSERT_TRUE(world.minter.Add(order).ok());
    world.RunTo(kNow + 3);
    world.ClaimAll();
    amounts.push_back(world.claimed);
  }
  EXPECT_EQ(amounts[0], amounts[1]);
  EXPECT_NE(amounts[0], amounts[2]);
}

TEST(MinterTest, TheThreadIssuesByItselfAndStopsWhenTold) {
  const time::RealClock clock;
  envelope::LuckyPool pool(1 << 10);
  time::WallSteps wall(clock);
  Minter minter(&wall, &pool, 10, 1, [](uint32_t, const MintedGift&) { return true; });
  minter.Start();
  ASSERT_TRUE(minter.Add({.kind = MintOrder::Kind::kShake, .rate = 1'000'000, .count = 100}).ok());
  while (pool.issued().count < 100) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  minter.Stop();
  EXPECT_EQ(minter.Add(ShakeOrder(1, 1)).status().code(), absl::StatusCode::kFailedPrecondition);
}

// ---- an order's key, its budget and its end ----

TEST(MinterOrders, TheSameKeyIsTheSameOrderAndAnotherBodyIsRefused) {
  World world;
  MintOrder order = ShakeOrder(100, 200);
  order.key = "monday";
  const absl::StatusOr<MintReceipt> first = world.minter.Add(order);
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(first->repeated);
  world.RunTo(kNow + 5);
  const absl::StatusOr<MintReceipt> again = world.minter.Add(order);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(again->first_id, first->first_id);
  EXPECT_EQ(again->count, first->count);
  EXPECT_EQ(again->at_s, first->at_s);
  world.RunTo(kNow + 9);
  EXPECT_EQ(world.pool.issued().count, 200U) << "once";
  for (int field = 0; field < 6; ++field) {
    MintOrder other = order;
    int64_t* const fields[] = {&other.rate, &other.count, &other.min_fen, &other.max_fen, &other.at_s};
    field < 5 ? ++*fields[field] : static_cast<int64_t>(++other.seed);
    EXPECT_EQ(world.minter.Add(other).status().code(), absl::StatusCode::kAlreadyExists) << field;
  }
  MintOrder gift = GiftOrderFor(100, 200);
  gift.key = "monday";
  EXPECT_EQ(world.minter.Add(gift).status().code(), absl::StatusCode::kAlreadyExists);
  order.key = "tuesday";
  EXPECT_NE(world.minter.Add(order)->first_id, first->first_id);
  order.key = "";
  EXPECT_NE(world.minter.Add(order)->first_id, world.minter.Add(order)->first_id) << "without a key each is another";
}

TEST(MinterOrders, ARepeatIsTheSameOrderAlsoWhenItsSecondHasPassed) {
  World world;
  MintOrder order = ShakeOrder(100, 20);
  order.at_s = kNow + 2;
  order.key = "at-nine";
  const auto first = world.minter.Add(order);
  ASSERT_TRUE(first.ok());
  world.RunTo(kNow + 10);
  const auto again = world.minter.Add(order);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->first_id, first->first_id);
}

TEST(MinterOrders, KeysAreBounded) {
  World world;
  MintOrder order = ShakeOrder(100, 20);
  for (const std::string& key : {std::string(129, 'k'), std::string("two words"), std::string("a\nb"), std::string("\xc3\xa4")}) {
    order.key = key;
    EXPECT_EQ(world.minter.Add(order).status().code(), absl::StatusCode::kInvalidArgument) << key;
  }
  order.key = std::string(128, 'k');
  EXPECT_TRUE(world.minter.Add(order).ok());
}

TEST(MinterOrders, MoreThanTwoToThe62FenIsRefusedWithWhatIsLeft) {
  World world;
  MintOrder order = ShakeOrder(1, int64_t{1} << 29);
  order.max_fen = 0xffff'ffff;
  ASSERT_TRUE(world.minter.Add(order).ok());
  ASSERT_TRUE(world.minter.Add(order).ok()) << "2^62 less 2^30";
  const absl::Status refused = world.minter.Add(order).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("1073741824 fen at most"));
  order = ShakeOrder(1, 1'000);
  EXPECT_TRUE(world.minter.Add(order).ok()) << "a refused order has taken nothing";
  const ledger::Order most{.count = int64_t{1} << 31, .max_fen = 0xffff'ffff};
  EXPECT_GE(OrderBook::MaxOf(most).value(), envelope::Amounts::kTotalMaxFen - 1) << "bounded, not wrapped";
}

TEST(MinterOrders, AnOrderThatWouldTakeTheLastIdsIsToldWhatIsLeft) {
  World world;
  ASSERT_TRUE(world.minter.Add(ShakeOrder(1, kLastShakeId - kFirstShakeId - 9)).ok());
  const absl::Status refused = world.minter.Add(ShakeOrder(1, 12)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("only 10 envelope ids are left"));
  EXPECT_TRUE(world.minter.Add(ShakeOrder(1, 10)).ok()) << "a refused order has taken none";
  EXPECT_THAT(std::string(world.minter.Add(ShakeOrder(1, 1)).status().message()), testing::HasSubstr("only 0"));
  ASSERT_TRUE(world.minter.Add(GiftOrderFor(1, kLastMintedGiftId - kFirstMintedGiftId + int64_t{1})).ok());
  EXPECT_THAT(std::string(world.minter.Add(GiftOrderFor(1, 1)).status().message()), testing::HasSubstr("only 0 gift ids"));
}

// What was issued stays; issued + cancelled = ordered, whatever had room and whenever the end came.
TEST(MinterOrders, ACancelledOrderIssuesNothingMore) {
  for (const size_t capacity : {size_t{1} << 16, size_t{16}}) {
    for (int64_t seconds = 0; seconds < 5; ++seconds) {
      World world(capacity);
      const uint32_t id = world.minter.Add(ShakeOrder(100, 300))->first_id;
      world.RunTo(kNow + seconds);
      const uint64_t issued = world.pool.issued().count;
      const absl::StatusOr<KnownOrder> cancelled = world.minter.Cancel(id);
      if (issued == 300) {
        EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kFailedPrecondition) << "all of it is out";
        continue;
      }
      ASSERT_TRUE(cancelled.ok()) << cancelled.status();
      EXPECT_EQ(static_cast<uint64_t>(cancelled->issued), issued);
      EXPECT_EQ(cancelled->issued + cancelled->cancelled(), 300);
      EXPECT_EQ(cancelled->order.total, world.pool.issued().sum + cancelled->cancel->amount);
      world.ClaimAll();
      world.RunTo(kNow + 12);
      EXPECT_EQ(world.pool.issued().count, issued);
      EXPECT_EQ(world.minter.waiting(), 0);
      EXPECT_EQ(world.minter.LeftByBook(), 0);
      EXPECT_EQ(world.minter.cancelled().shakes, 300 - issued);
      const absl::StatusOr<KnownOrder> again = world.minter.Cancel(id);
      ASSERT_TRUE(again.ok()) << "twice is once";
      EXPECT_EQ(again->cancelled(), cancelled->cancelled());
      EXPECT_EQ(world.minter.cancelled().shakes, 300 - issued);
    }
  }
  World world;
  EXPECT_EQ(world.minter.Cancel(kFirstShakeId).status().code(), absl::StatusCode::kNotFound);
}

TEST(MinterOrders, ACancelledGiftOrderMakesNoMoreGifts) {
  World world;
  const uint32_t id = world.minter.Add(GiftOrderFor(100, 300))->first_id;
  world.room = 140;
  world.RunTo(kNow + 3);
  const absl::StatusOr<KnownOrder> cancelled = world.minter.Cancel(id);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->issued, 140);
  EXPECT_EQ(cancelled->cancelled(), 160);
  world.room = 1'000;
  world.RunTo(kNow + 8);
  EXPECT_EQ(world.gifts.size(), 140U);
  EXPECT_EQ(world.minter.cancelled().gifts, 160U);
  EXPECT_EQ(world.minter.LeftByBook(), world.minter.waiting());
}

TEST(MinterOrders, ListedByIdAPageAtATimeAndFoundByKey) {
  World world;
  for (int i = 0; i < 5; ++i) {
    MintOrder order = i % 2 == 0 ? ShakeOrder(100, 10) : GiftOrderFor(100, 10);
    order.key = "key-" + std::to_string(i);
    ASSERT_TRUE(world.minter.Add(order).ok());
  }
  const std::vector<KnownOrder> page = world.minter.List(0, 4);
  ASSERT_EQ(page.size(), 4U);
  EXPECT_EQ(page[1].order.first_id, kFirstShakeId + 10);
  EXPECT_EQ(page[3].order.first_id, kFirstMintedGiftId);
  EXPECT_EQ(world.minter.List(page[3].order.first_id + 1, 4).size(), 1U);
  EXPECT_EQ(world.minter.ShowByKey("key-4")->order.first_id, kFirstShakeId + 20);
  EXPECT_EQ(world.minter.Show(kFirstShakeId + 10)->order.caller_key, "key-2");
  EXPECT_EQ(world.minter.ShowByKey("key-9").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(world.minter.Show(1).status().code(), absl::StatusCode::kNotFound);
}

// Orders, ends of orders and a minter that issues, from several threads: nothing is lost and nothing doubled.
TEST(MinterOrders, CancelsRaceWithMinting) {
  const time::RealClock clock;
  envelope::LuckyPool pool(1 << 10);
  time::WallSteps wall(clock);
  Minter minter(&wall, &pool, 10, 1, [](uint32_t, const MintedGift&) { return true; });
  minter.Start();
  std::atomic<uint64_t> cancelled{0};
  std::atomic<bool> over{false};
  std::thread claimer([&] {
    envelope::LuckyClaimer hand(pool);
    envelope::LuckyEnvelope one;
    while (!over.load()) {
      if (!hand.Claim(one)) {
        std::this_thread::yield();
      }
    }
  });
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 20; ++i) {
        const auto receipt = minter.Add(
            {.rate = 1'000'000, .count = 5'000, .key = "key-" + std::to_string(i)});  // all of them place the same ones
        ASSERT_TRUE(receipt.ok()) << receipt.status();
        std::this_thread::sleep_for(std::chrono::milliseconds(7 * caller));
        const auto ended = minter.Cancel(receipt->first_id);
        ASSERT_TRUE(ended.ok() || ended.status().code() == absl::StatusCode::kFailedPrecondition) << ended.status();
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  minter.Stop();
  over.store(true);
  claimer.join();
  EXPECT_EQ(minter.orders(), 20U) << "one for each key";
  EXPECT_EQ(pool.issued().count + minter.cancelled().shakes, 20U * 5'000U);
  EXPECT_EQ(minter.waiting(), 0);
  EXPECT_EQ(minter.LeftByBook(), 0);
  envelope::Fen total;
  for (const KnownOrder& known : minter.List(0, 100)) {
    total += known.order.total;
  }
  EXPECT_EQ(pool.issued().sum + minter.cancelled().shakes_fen, total);
}

// ---- a wall clock that is set while an order is under way ----

// Steps as the thread would; what was issued in each second of real time.
std::vector<uint64_t> IssuedIn(World& world, int seconds) {
  std::vector<uint64_t> issued;
  for (int second = 0; second < seconds; ++second) {
    const uint64_t before = world.pool.issued().count;
    for (int i = 0; i < 100; ++i) {
      world.minter.Step();
      world.clock.Advance(10 * time::kNsPerMs);
    }
    issued.push_back(world.pool.issued().count - before);
  }
  return issued;
}

TEST(MinterClock, AnOrderUnderWayGoesOnAtItsRateWhereverTheWallClockIsSet) {
  constexpr int64_t kHour = 3'600 * kSecond;
  for (const std::vector<int64_t>& steps : std::vector<std::vector<int64_t>>{
           {-kHour}, {kHour}, {kHour, -kHour}, {-kHour, kHour}, {-kHour, -kHour, 3 * kHour, -kHour}, {-kNow * kSecond}}) {
    World world;
    world.clock.Advance(700 * time::kNsPerMs);  // at the start of a second
    ASSERT_TRUE(world.minter.Add(ShakeOrder(20, 100'000)).ok());
    EXPECT_THAT(IssuedIn(world, 3), testing::ElementsAre(0, 20, 20));
    for (const int64_t step_ns : steps) {
      world.clock.StepWall(step_ns);
      EXPECT_THAT(IssuedIn(world, 4), testing::Each(20)) << step_ns;
    }
    EXPECT_EQ(world.wall.Count().count, steps.size());
  }
}

TEST(MinterClock, OfAStepThatIsNoWholeSecondHalfASecondsWorthIsEarlyOrLate) {
  World world;
  world.clock.Advance(700 * time::kNsPerMs);
  ASSERT_TRUE(world.minter.Add(ShakeOrder(20, 100'000)).ok());
  IssuedIn(world, 3);
  uint64_t issued = 0;
  for (int i = 0; i < 100; ++i) {  // a hundred times
    world.clock.StepWall((i % 2 == 0 ? 1 : -1) * 1'370 * time::kNsPerMs);
    for (const uint64_t of_second : IssuedIn(world, 1)) {
      EXPECT_GE(of_second, 10U);
      EXPECT_LE(of_second, 30U);
      issued += of_second;
    }
  }
  EXPECT_NEAR(static_cast<double>(issued), 2'000, 20);
}

TEST(MinterClock, AnOrderForTheNextSecondBeginsThenEvenIfTheClockIsSetBackBefore) {
  World world;
  ASSERT_TRUE(world.minter.Add(ShakeOrder(20, 100)).ok());
  world.clock.StepWall(-3'600 * kSecond);
  IssuedIn(world, 3);
  EXPECT_GE(world.pool.issued().count, 40U);
}

TEST(MinterClock, AnOrderForALaterTimeWaitsForTheAgreedTime) {
  World world;
  MintOrder order = ShakeOrder(20, 100);
  order.at_s = kNow + 10;
  ASSERT_TRUE(world.minter.Add(order).ok());
  IssuedIn(world, 3);
  world.clock.StepWall(-60 * kSecond);  // it was a minute ahead
  IssuedIn(world, 60);
  EXPECT_EQ(world.pool.issued().count, 0U);
  IssuedIn(world, 10);
  EXPECT_GT(world.pool.issued().count, 0U);
}

TEST(MinterClock, SecondsAreFiledAfterAStepBackAsBefore) {
  World world;
  ASSERT_TRUE(world.minter.Add(ShakeOrder(20, 1'000)).ok());
  IssuedIn(world, 3);
  world.clock.StepWall(-3'600 * kSecond);
  IssuedIn(world, 5);
  count::Values<MintCounter> by_then;
  ASSERT_TRUE(world.minter.history().Read(kNow + 6, by_then));
  const uint64_t before = by_then[MintCounter::kIssued];
  ASSERT_TRUE(world.minter.history().Read(kNow + 7, by_then));
  EXPECT_EQ(by_then[MintCounter::kIssued] - before, 20U);
  EXPECT_EQ(world.wall.LabelOf(kNow + 7), kNow + 7 - 3'600);
}

}  // namespace
}  // namespace hongbao::serve
