// Orders that are durable before they are issued, and that go on after a restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/serve/minter_life.h"

namespace hongbao::serve {
namespace {

using testing::HasSubstr;

// With a ledger, and all that is issued is won at once.
struct Life : MinterLife {
  explicit Life(size_t capacity = 1 << 12, int64_t now_s = kNow) : MinterLife(capacity, /*with_ledger=*/true, now_s) {
    claim = true;
  }
  void Restore(const ledger::Order& order, std::vector<bool> taken) {
    ledger::Recovered recovered;
    ledger::UnfinishedOrder open{.order = order};
    for (size_t place = 0; place < taken.size(); ++place) {
      if (taken[place]) {
        open.taken.Insert(static_cast<int64_t>(place));
      }
    }
    recovered.orders.push_back(std::move(open));
    (order.is_gift ? recovered.next_minted_gift_id : recovered.next_shake_id) =
        order.first_id + static_cast<uint64_t>(order.count);
    minter.Restore(recovered);
  }
};

TEST(MinterLedgerTest, AnOrderIsRecordedWholeBeforeAnythingOfItIsIssued) {
  Life life;
  ASSERT_TRUE(life.minter.Add(ShakeOrder(100, 150)).ok());
  ASSERT_TRUE(life.minter.Add(GiftOrderFor(100, 5)).ok());
  ASSERT_EQ(life.ledger.orders.size(), 2U);
  EXPECT_EQ(life.pool.issued().count, 0U);
  const ledger::Order& order = life.ledger.orders[0];
  EXPECT_FALSE(order.is_gift);
  EXPECT_EQ(order.first_id, kFirstShakeId);
  EXPECT_EQ(order.count, 150);
  EXPECT_EQ(order.rate, 100);
  EXPECT_EQ(order.at_s, kNow + 1);
  EXPECT_EQ(order.created_ms, kNow * 1'000 + 300);
  EXPECT_TRUE(life.ledger.orders[1].is_gift);
  EXPECT_EQ(life.ledger.orders[1].users, 3U);
  life.RunFor(5);
  EXPECT_EQ(life.pool.issued().count, 150U);
  EXPECT_EQ(life.pool.issued().sum, order.total) << "the budget was known before the first shake";
}

TEST(MinterLedgerTest, TwoOrdersOfNoSeedAreDrawnFromDifferentKeys) {
  Life life;
  ASSERT_TRUE(life.minter.Add({.rate = 100, .count = 1}).ok());
  ASSERT_TRUE(life.minter.Add({.rate = 100, .count = 1}).ok());
  EXPECT_NE(life.ledger.orders[0].key, life.ledger.orders[1].key);
}

TEST(MinterLedgerTest, AnOrderThatTheLedgerRefusesIssuesNothing) {
  Life life;
  life.ledger.order_status = absl::FailedPreconditionError("the ledger is closed");
  const auto refused = life.minter.Add(ShakeOrder(100, 10));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("closed"));
  life.RunFor(3);
  EXPECT_EQ(life.pool.issued().count, 0U);
  EXPECT_EQ(life.minter.runs(), 0U);
  life.ledger.order_status = absl::OkStatus();
  EXPECT_EQ(life.minter.Add(ShakeOrder(100, 10))->first_id, kFirstShakeId + 10) << "its ids are not used for another";
}

// Whatever was won in the first life, the second one issues the rest, and each place holds what it held.
TEST(MinterLedgerTest, ARestartIssuesExactlyWhatIsMissing) {
  constexpr int64_t kCount = 40;
  Life first;
  ASSERT_TRUE(first.minter.Add(ShakeOrder(1'000, kCount)).ok());
  first.RunFor(3);
  ASSERT_EQ(first.claimed.size(), size_t{kCount});
  envelope::Random random = envelope::Random::FromSeed(5);
  for (int round = 0; round < 120; ++round) {
    std::vector<bool> taken(round == 0 ? 0 : kCount);
    for (size_t place = 0; place < taken.size(); ++place) {
      taken[place] = round <= kCount ? place + 1 == static_cast<size_t>(round) : random.Below(3) != 0;
    }
    Life second(1 << 12, kNow + 1'000);
    second.Restore(first.ledger.orders[0], taken);
    second.RunFor(3);
    std::map<uint32_t, int64_t> missing;
    for (const auto& [id, fen] : first.claimed) {
      if (taken.empty() || !taken[id - kFirstShakeId]) {
        missing[id] = fen;
      }
    }
    EXPECT_EQ(second.claimed, missing) << "round " << round;
    EXPECT_EQ(second.minter.runs(), 0U);
  }
}

TEST(MinterLedgerTest, ARestartGoesOnAtTheOrdersRateAndAPauseIsNoSpike) {
  Life first;
  ASSERT_TRUE(first.minter.Add(ShakeOrder(100, 1'000)).ok());
  first.RunFor(3);
  std::vector<bool> taken(1'000);
  for (const auto& [id, fen] : first.claimed) {
    taken[id - kFirstShakeId] = true;
  }
  const uint64_t done = first.claimed.size();
  ASSERT_EQ(done, 200U);
  Life second(1 << 12, kNow + 500);
  second.Restore(first.ledger.orders[0], taken);
  uint64_t issued = second.RunSecond();
  EXPECT_GE(issued, 200U) << "two seconds' worth at once";
  EXPECT_LE(issued, 200U + 75U);
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(static_cast<double>(second.RunSecond()), 100.0, 1.0);
  }
  second.RunFor(5);
  EXPECT_EQ(second.claimed.size() + done, 1'000U);
}

TEST(MinterLedgerTest, AnOrderForLaterStartsOnTimeAlsoAfterARestart) {
  Life first;
  MintOrder order = ShakeOrder(100, 10);
  order.at_s = kNow + 100;
  ASSERT_TRUE(first.minter.Add(order).ok());
  Life second(1 << 12, kNow + 50);
  second.Restore(first.ledger.orders[0], {});
  second.RunFor(49);
  EXPECT_EQ(second.claimed.size(), 0U);
  second.RunFor(3);
  EXPECT_EQ(second.claimed.size(), 10U);
}

TEST(MinterLedgerTest, GiftsThatWereMadeAreNotMadeAgainAndTheOthersAreTheSame) {
  Life first;
  ASSERT_TRUE(first.minter.Add(GiftOrderFor(100, 30)).ok());
  first.RunFor(3);
  ASSERT_EQ(first.gifts.size(), 30U);
  Life second(16, kNow + 500);
  std::vector<bool> taken(20);                         // nothing beyond place 19 was made
  for (const size_t place : {0U, 3U, 4U, 11U, 19U}) {  // owners commit apart from each other: holes
    taken[place] = true;
  }
  second.Restore(first.ledger.orders[0], taken);
  second.RunFor(3);
  EXPECT_EQ(second.gifts.size(), 25U);
  for (const auto& [id, gift] : second.gifts) {
    EXPECT_FALSE(id - kFirstMintedGiftId < taken.size() && taken[id - kFirstMintedGiftId]);
    EXPECT_EQ(gift.amount_fen, first.gifts[id].amount_fen);
    EXPECT_TRUE(std::equal(gift.invited.Users().begin(), gift.invited.Users().end(), first.gifts[id].invited.users));
  }
}

TEST(MinterLedgerTest, NewIdsBeginBehindTheOnesThatWereUsed) {
  Life life;
  ledger::Recovered recovered;
  recovered.next_shake_id = kFirstShakeId + 500;
  recovered.next_minted_gift_id = kFirstMintedGiftId + 70;
  life.minter.Restore(recovered);
  EXPECT_EQ(life.minter.Add(ShakeOrder(1, 1))->first_id, kFirstShakeId + 500);
  EXPECT_EQ(life.minter.Add(GiftOrderFor(1, 1))->first_id, kFirstMintedGiftId + 70);
  Life fresh;
  ledger::Recovered nothing;
  fresh.minter.Restore(nothing);
  EXPECT_EQ(fresh.minter.Add(ShakeOrder(1, 1))->first_id, kFirstShakeId);
}

TEST(MinterLedgerTest, ReturnedEnvelopesGoOutAgainAsSoonAsThereIsRoom) {
  Life life(/*capacity=*/2);
  life.claim = false;
  ASSERT_TRUE(life.minter.Add(ShakeOrder(1'000, 5)).ok());
  life.RunFor(2);
  EXPECT_EQ(life.pool.left(), 2U);
  life.returned.GiveEnvelope({.id = 0x700000, .amount = envelope::Fen(77)});
  life.RunFor(1);
  life.claim = true;
  life.RunFor(1);
  EXPECT_EQ(life.claimed.size(), 6U);
  EXPECT_EQ(life.claimed[0x700000], 77);
  EXPECT_EQ(life.minter.waiting(), 0);
}

// ---- keys, ends of orders, older files ----

TEST(MinterLedgerTest, AKeyAndTheEndOfAnOrderHoldOverARestart) {
  Life first;
  MintOrder order = ShakeOrder(100, 500);
  order.key = "monday";
  const uint32_t id = first.minter.Add(order)->first_id;
  first.RunFor(3);
  ASSERT_EQ(first.claimed.size(), 200U);
  const auto cancelled = first.minter.Cancel(id);
  ASSERT_TRUE(cancelled.ok());
  ASSERT_EQ(first.ledger.cancels.size(), 1U);
  const ledger::Cancel& cancel = first.ledger.cancels[0];
  EXPECT_EQ(cancel.first_id, id);
  EXPECT_EQ(cancel.place, 200);
  EXPECT_EQ(cancel.shares, 300);
  EXPECT_EQ(cancel.amount + first.pool.issued().sum, first.ledger.orders[0].total);
  // 150 of the 200 were won, the others had been issued when the server was killed.
  Life second(1 << 12, kNow + 500);
  ledger::UnfinishedOrder open{.order = first.ledger.orders[0], .cancel = cancel};
  for (const auto& [share, fen] : first.claimed) {
    if (open.taken.count() < 150) {
      open.taken.Insert(share - id);
      open.taken_fen += envelope::Fen(fen);
    }
  }
  ledger::Recovered recovered;
  recovered.orders.push_back(open);
  second.minter.Restore(recovered);
  EXPECT_TRUE(second.minter.Add(order)->repeated);
  EXPECT_EQ(second.minter.Add(order)->first_id, id);
  EXPECT_EQ(second.minter.Cancel(id)->cancelled(), 300) << "again";
  EXPECT_TRUE(second.ledger.cancels.empty());
  second.RunFor(4);
  EXPECT_EQ(second.claimed.size(), 50U) << "what was issued is issued again, and nothing else";
  for (const auto& [share, fen] : second.claimed) {
    EXPECT_EQ(first.claimed.at(share), fen);
  }
  EXPECT_EQ(second.minter.waiting(), 0);
  EXPECT_EQ(second.minter.LeftByBook(), 0);
}

TEST(MinterLedgerTest, ARestoredOrderWithHolesIsCancelledToTheFen) {
  Life first;
  ASSERT_TRUE(first.minter.Add(ShakeOrder(1'000, 3'000)).ok());
  first.RunFor(5);
  Life second(64, kNow + 500);  // little room: some are drawn and not published
  second.claim = false;
  ledger::UnfinishedOrder open{.order = first.ledger.orders[0]};
  for (const auto& [share, fen] : first.claimed) {
    const int64_t place = share - kFirstShakeId;
    if (place % 7 == 3 || place == 2'999) {
      open.taken.Insert(place);
      open.taken_fen += envelope::Fen(fen);
    }
  }
  const envelope::Fen taken_fen = open.taken_fen;
  const int64_t taken = open.taken.count();
  ledger::Recovered recovered;
  recovered.orders.push_back(open);
  second.minter.Restore(recovered);
  second.RunFor(2);
  ASSERT_EQ(second.pool.issued().count, 64U);
  ASSERT_TRUE(second.minter.Cancel(kFirstShakeId).ok());
  const ledger::Cancel& cancel = second.ledger.cancels[0];
  EXPECT_EQ(cancel.shares, 3'000 - taken - 64);
  EXPECT_EQ(cancel.amount, first.ledger.orders[0].total - taken_fen - second.pool.issued().sum);
  EXPECT_EQ(cancel.place - open.taken.CountBelow(cancel.place), 64) << "what is left of it is what was issued of it";
}

TEST(MinterLedgerTest, ACancelThatTheLedgerDoesNotTakeEndsNothing) {
  Life life;
  const uint32_t id = life.minter.Add(ShakeOrder(100, 300))->first_id;
  life.RunFor(2);
  life.ledger.order_status = absl::FailedPreconditionError("the ledger is closed");
  EXPECT_EQ(life.minter.Cancel(id).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(life.minter.Show(id)->cancel.has_value());
  life.RunFor(4);
  EXPECT_EQ(life.pool.issued().count, 300U) << "it goes on";
}

// An order of version 1: one stream of amounts, as it was drawn then.
TEST(MinterLedgerTest, AnOlderOrderGoesOnWithTheAmountsItHad) {
  for (const bool is_gift : {false, true}) {
    ledger::Order order{.is_gift = is_gift,
                        .first_id = is_gift ? kFirstMintedGiftId : kFirstShakeId,
                        .count = 100'000,
                        .rate = 100'000,
                        .min_fen = 10,
                        .max_fen = 309,
                        .at_s = kNow,
                        .key = envelope::Random::SeedKey(5),
                        .draw = ledger::Draw::kInTurn};
    if (is_gift) {
      order.users = 1;
      order.first_user = order.last_user = 7;  // one draw more for each
    }
    envelope::Random random(order.key);
    std::map<uint32_t, int64_t> expected;
    std::vector<bool> taken(100'000);
    for (uint32_t place = 0; place < 100'000; ++place) {
      const int64_t fen = random.Between(10, 309);
      if (is_gift) {
        random.Below(1);
      }
      taken[place] = place < 99'990 || place % 3 == 0;
      if (!taken[place]) {
        expected[order.first_id + place] = fen;
      }
    }
    Life life(1 << 12, kNow + 100);
    life.Restore(order, taken);
    life.RunFor(3);
    for (const auto& [id, gift] : life.gifts) {
      life.claimed[id] = gift.amount_fen;
    }
    EXPECT_EQ(life.claimed, expected) << is_gift;
  }
}

// Two billion envelopes, all but the last few of them won in earlier lives.
TEST(MinterLedgerTest, AnOrderOfAllTheNumbersThereAreTakesNoTimeToPlaceNorToRestore) {
  constexpr int64_t kCount = kLastShakeId - kFirstShakeId + int64_t{1};
  Life first;
  ASSERT_TRUE(first.minter.Add(ShakeOrder(1'000'000, kCount)).ok());
  const ledger::Order order = first.ledger.orders[0];
  EXPECT_EQ(order.total, envelope::Amounts(order.key, 10, 309, kCount).Total());
  ledger::Order lately = order;
  ledger::UnfinishedOrder open{.order = lately};
  open.taken.Insert(0);
  ledger::Recovered recovered;
  recovered.orders.push_back(open);
  Life second(1 << 12, kNow + 500);
  second.minter.Restore(recovered);
  second.RunFor(1);
  EXPECT_FALSE(second.claimed.empty());
  EXPECT_FALSE(second.claimed.contains(kFirstShakeId));
}

// ---- gifts that find no room ----

TEST(MinterLedgerTest, AGiftThatFindsNoRoomIsOfferedAgainUntilThereIs) {
  Life life;
  ASSERT_TRUE(life.minter.Add(GiftOrderFor(100, 30)).ok());
  life.RunFor(2);
  ASSERT_EQ(life.gifts.size(), 30U);
  const MintedGift refused = life.gifts.begin()->second;
  life.gifts.erase(refused.gift_id);
  life.returned.GiveGift(refused);
  EXPECT_EQ(life.minter.waiting(), 0) << "it is not known yet";
  life.RunFor(1);
  ASSERT_TRUE(life.gifts.contains(refused.gift_id)) << "offered again";
  EXPECT_EQ(life.gifts[refused.gift_id].amount_fen, refused.amount_fen);
  EXPECT_EQ(life.minter.waiting(), 0);
  EXPECT_EQ(life.minter.Show(kFirstMintedGiftId)->issued, 30);
}

TEST(MinterLedgerTest, GiftsOfACancelledOrderThatComeBackAreCancelledToo) {
  Life life;
  const uint32_t id = life.minter.Add(GiftOrderFor(100, 300))->first_id;
  life.RunFor(2);
  const MintedGift early = life.gifts.begin()->second, late = life.gifts.rbegin()->second;
  const int64_t posted = static_cast<int64_t>(life.gifts.size());
  life.returned.GiveGift(early);
  const auto cancelled = life.minter.Cancel(id);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->issued, posted) << "nobody knows yet";
  life.returned.GiveGift(late);
  life.gifts.clear();
  life.RunFor(3);
  EXPECT_TRUE(life.gifts.empty());
  EXPECT_EQ(life.minter.Show(id)->issued, posted - 2);
  EXPECT_EQ(life.minter.Show(id)->cancelled(), 300 - posted + 2);
  EXPECT_EQ(life.minter.cancelled().gifts, static_cast<uint64_t>(300 - posted + 2));
  EXPECT_EQ(life.minter.waiting(), 0);
}

// A clock that is behind its own past: dead at boot, or set back while nobody served.
TEST(MinterLedger, AnOrderThatHadBegunGoesOnHoweverFarTheClockIsBehind) {
  Life life(1 << 12, /*now_s=*/1'000);
  ledger::Order order{.first_id = 1 << 20, .count = 100, .rate = 20, .min_fen = 10, .max_fen = 20, .at_s = kNow};
  std::vector<bool> taken(100);
  taken[0] = taken[1] = true;
  life.Restore(order, taken);
  life.RunSecond();
  EXPECT_EQ(life.RunSecond(), 20U);
  EXPECT_EQ(life.RunSecond(), 20U);
}

}  // namespace
}  // namespace hongbao::serve
