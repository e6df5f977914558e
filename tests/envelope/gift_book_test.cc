#include "libhongbao/envelope/gift_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "libhongbao/envelope/split.h"
#include "tests/envelope/count_allocations.h"

namespace hongbao::envelope {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Users = std::vector<uint32_t>;

constexpr uint32_t kGift = 0x80000001;

std::vector<uint32_t> Unopened(const GiftBook& book, uint32_t user, int64_t now_ms, size_t limit = 1000) {
  std::vector<uint32_t> ids;
  const size_t visited = book.ForEachUnopened(user, now_ms, limit, [&](const Gift& gift) { ids.push_back(gift.id); });
  EXPECT_EQ(visited, ids.size());
  return ids;
}

std::vector<GiftRefund> Expire(GiftBook& book, int64_t now_ms, size_t budget = 1000) {
  std::vector<GiftRefund> refunds;
  book.Expire(now_ms, budget, [&](const GiftRefund& refund) { refunds.push_back(refund); });
  return refunds;
}

class GiftBookTest : public ::testing::Test {
 protected:
  ~GiftBookTest() override { book_.Audit(); }

  GiftCreated Create(uint32_t id, int64_t fen, const Users& users, int64_t now_ms = 0, int64_t expires_ms = 100) {
    return book_.Create(id, 5, Fen(fen), users, now_ms, expires_ms);
  }
  GiftOpening Open(uint32_t id, uint32_t user, int64_t now_ms = 1) { return book_.Open(id, user, now_ms, random_); }

  GiftBook book_{{.gifts_max = 4, .users_max = 100}};
  Random random_ = Random::FromSeed(1);
};

TEST_F(GiftBookTest, AGiftsWholeStory) {
  ASSERT_EQ(Create(kGift, 300, {7, 8, 9}), GiftCreated::kOk);
  const Gift* gift = book_.Find(kGift);
  ASSERT_NE(gift, nullptr);
  EXPECT_EQ(gift->sender, 5u);
  EXPECT_EQ(gift->total, Fen(300));
  EXPECT_EQ(gift->expires_ms, 100);
  std::array<uint32_t, kGiftUsersMax> users;
  ASSERT_EQ(gift->CopyUsers(users.data()), 3u);
  EXPECT_THAT((Users{users[0], users[1], users[2]}), ElementsAre(7, 8, 9));

  Fen sum;
  for (uint32_t user : {9u, 7u, 8u}) {
    EXPECT_THAT(Unopened(book_, user, 1), ElementsAre(kGift));
    const GiftOpening opening = Open(kGift, user);
    EXPECT_EQ(opening.outcome, GiftOpened::kNew);
    EXPECT_GE(opening.amount, Fen(1));
    EXPECT_THAT(Unopened(book_, user, 1), IsEmpty());
    sum += opening.amount;
  }
  EXPECT_EQ(sum, Fen(300));
  EXPECT_EQ(book_.totals().opened, Fen(300));
  EXPECT_EQ(book_.totals().opened_shares, 3u);
  EXPECT_THAT(Expire(book_, 100), IsEmpty()) << "nothing left, no refund";
  EXPECT_EQ(book_.Find(kGift), nullptr);
  EXPECT_EQ(book_.totals().gifts_live, 0u);
  EXPECT_EQ(book_.totals().gifts, 1u);
}

// Prototype: a notice lay in the shake queue of a SET and reached whoever shook next.
TEST_F(GiftBookTest, Defect05_OnlyInvitedUsersAreToldOfAGift) {
  ASSERT_EQ(Create(kGift, 300, {7, 8, 9}), GiftCreated::kOk);
  ASSERT_EQ(Create(kGift + 1, 300, {8, 10}), GiftCreated::kOk);
  EXPECT_THAT(Unopened(book_, 7, 1), ElementsAre(kGift));
  EXPECT_THAT(Unopened(book_, 8, 1), ElementsAre(kGift, kGift + 1)) << "oldest first";
  EXPECT_THAT(Unopened(book_, 10, 1), ElementsAre(kGift + 1));
  EXPECT_THAT(Unopened(book_, 5, 1), IsEmpty()) << "the sender is not invited";
  EXPECT_THAT(Unopened(book_, 11, 1), IsEmpty());
  EXPECT_THAT(Unopened(book_, 8, 1, 1), ElementsAre(kGift)) << "limit";
  EXPECT_THAT(Unopened(book_, 8, 1, 0), IsEmpty());
}

// Prototype: recipients were drawn with replacement, so one user could be invited twice.
TEST_F(GiftBookTest, Defect06_AUserIsInvitedOnce) {
  EXPECT_EQ(Create(kGift, 300, {7, 8, 7}), GiftCreated::kBad);
  EXPECT_EQ(Create(kGift, 300, {7, 7}), GiftCreated::kBad);
  EXPECT_EQ(book_.totals().gifts, 0u);
}

// Prototype: anyone opened any gift any number of times, and an unknown gift got no reply at all.
TEST_F(GiftBookTest, Defect07_OnlyInvitedUsersOpenAndASecondOpenGivesTheFirstAmount) {
  ASSERT_EQ(Create(kGift, 300, {7, 8, 9}), GiftCreated::kOk);
  EXPECT_EQ(Open(kGift, 10).outcome, GiftOpened::kNone);
  EXPECT_EQ(Open(kGift, 5).outcome, GiftOpened::kNone) << "the sender";
  EXPECT_EQ(Open(kGift + 1, 7).outcome, GiftOpened::kNone) << "unknown gift";
  EXPECT_EQ(Open(kGift, 10).amount, Fen());
  const GiftOpening first = Open(kGift, 7);
  const GiftOpening other = Open(kGift, 8);
  for (int i = 0; i < 5; ++i) {
    const GiftOpening again = Open(kGift, 7, 2 + i);
    EXPECT_EQ(again.outcome, GiftOpened::kAgain);
    EXPECT_EQ(again.amount, first.amount);
  }
  EXPECT_EQ(book_.totals().opened, first.amount + other.amount);
  EXPECT_EQ(book_.totals().opened_shares, 2u);
}

// Prototype: no expiry, no refund; what nobody opened stayed in the map for ever.
TEST_F(GiftBookTest, Defect10_WhatIsLeftGoesBackToTheSenderAtExpiry) {
  ASSERT_EQ(Create(kGift, 300, {7, 8, 9}), GiftCreated::kOk);
  const Fen opened = Open(kGift, 8).amount;
  EXPECT_THAT(Expire(book_, 99), IsEmpty());
  EXPECT_EQ(Open(kGift, 7, 100).outcome, GiftOpened::kNone) << "expired, though the sweep has not come yet";
  EXPECT_EQ(Open(kGift, 8, 100).outcome, GiftOpened::kNone);
  EXPECT_THAT(Unopened(book_, 7, 100), IsEmpty());
  const std::vector<GiftRefund> refunds = Expire(book_, 100);
  ASSERT_EQ(refunds.size(), 1u);
  EXPECT_EQ(refunds[0].gift_id, kGift);
  EXPECT_EQ(refunds[0].sender, 5u);
  EXPECT_EQ(refunds[0].shares, 2u);
  EXPECT_EQ(refunds[0].amount, Fen(300) - opened);
  EXPECT_EQ(book_.Find(kGift), nullptr);
  EXPECT_THAT(Unopened(book_, 7, 1), IsEmpty());
  EXPECT_EQ(book_.totals().refunded, Fen(300) - opened);
  EXPECT_EQ(book_.totals().left, Fen());
  EXPECT_THAT(Expire(book_, 1000), IsEmpty()) << "once";
}

TEST_F(GiftBookTest, ExpiryComesInOrderAndInBudgets) {
  ASSERT_EQ(Create(kGift, 10, {1}, 0, 30), GiftCreated::kOk);
  ASSERT_EQ(Create(kGift + 1, 20, {1}, 0, 10), GiftCreated::kOk);
  ASSERT_EQ(Create(kGift + 2, 30, {1}, 0, 20), GiftCreated::kOk);
  EXPECT_EQ(book_.Expire(9, 10, [](const GiftRefund&) {}), 0u);
  const std::vector<GiftRefund> first = Expire(book_, 30, 2);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].gift_id, kGift + 1);
  EXPECT_EQ(first[1].gift_id, kGift + 2);
  EXPECT_THAT(Unopened(book_, 1, 1), ElementsAre(kGift));
  ASSERT_EQ(Expire(book_, 30, 2).size(), 1u);
}

TEST_F(GiftBookTest, RefusesWhatIsNeverRight) {
  EXPECT_EQ(Create(kGift, 300, {}), GiftCreated::kBad);
  EXPECT_EQ(Create(kGift, 2, {7, 8, 9}), GiftCreated::kBad) << "less than a fen each";
  EXPECT_EQ(Create(kGift, -1, {7}), GiftCreated::kBad);
  EXPECT_EQ(Create(kGift, 0x100000000, {7}), GiftCreated::kBad) << "more than the wire can say";
  EXPECT_EQ(Create(kGift, 300, {7}, 100, 100), GiftCreated::kBad) << "expired before it is there";
  Users many;
  for (uint32_t i = 0; i < 51; ++i) many.push_back(i);
  EXPECT_EQ(Create(kGift, 300, many), GiftCreated::kBad);
  EXPECT_EQ(book_.totals().gifts, 0u);
  many.pop_back();
  EXPECT_EQ(Create(kGift, 50, many), GiftCreated::kOk) << "50 users, a fen each";
  for (uint32_t user : many) EXPECT_EQ(Open(kGift, user).amount, Fen(1));
  EXPECT_EQ(Create(kGift, 300, {7}), GiftCreated::kBad) << "the id is taken";
  EXPECT_EQ(Create(kGift + 1, 0xffffffff, {7}), GiftCreated::kOk);
  EXPECT_EQ(Open(kGift + 1, 7).amount, Fen(0xffffffff));
}

TEST_F(GiftBookTest, FullIsRefusedAndChangesNothing) {
  for (uint32_t i = 0; i < 4; ++i) ASSERT_EQ(Create(kGift + i, 100, {7}), GiftCreated::kOk);
  EXPECT_EQ(Create(kGift + 4, 100, {7}), GiftCreated::kFull);
  EXPECT_EQ(book_.totals().issued, Fen(400));
  EXPECT_EQ(book_.Find(kGift + 4), nullptr);
  Expire(book_, 100);
  EXPECT_EQ(Create(kGift + 4, 100, {7}, 100, 200), GiftCreated::kOk) << "room again";
}

// Prototype: every gift took a message of a pool and never gave it back; after 210,780 gifts nobody could send any
// more.
TEST_F(GiftBookTest, Defect17_AnyNumberOfGiftsPassesThroughALimitedBook) {
  for (int64_t i = 0; i < 10'000; ++i) {
    ASSERT_EQ(Create(kGift + static_cast<uint32_t>(i), 100, {7, 8, 9}, i, i + 4), GiftCreated::kOk) << i;
    if (i % 3 != 0) Open(kGift + static_cast<uint32_t>(i), 8, i);
    Expire(book_, i + 1);
  }
  EXPECT_EQ(book_.totals().gifts, 10'000u);
  EXPECT_LE(book_.totals().gifts_live, 4u);
}

TEST(GiftBook, GiftsOfUpToThreeSharesAllocateNothing) {
  constexpr uint32_t kGifts = 896;  // fills a hash table of 1023 places to the brim
  constexpr uint32_t kUserIds = 500;
  GiftBook book({.gifts_max = kGifts, .users_max = kUserIds});
  Random random = Random::FromSeed(3);
  uint32_t id = kGift;
  const auto step = [&](int64_t now_ms) {
    const uint32_t first = static_cast<uint32_t>(random.Below(kUserIds - 2));
    const std::array<uint32_t, 3> users{first, first + 1, first + 2};
    if (book.Create(id, 1, Fen(100), {users.data(), 1 + random.Below(3)}, now_ms, now_ms + 886) == GiftCreated::kOk) ++id;
    book.Open(id - 1 - static_cast<uint32_t>(random.Below(100)), first, now_ms, random);
    book.ForEachUnopened(first, now_ms, 10, [](const Gift&) {});
    book.Expire(now_ms, 10, [](const GiftRefund&) {});
  };
  const uint64_t before = Allocations();
  for (int64_t now_ms = 0; now_ms < 50'000; ++now_ms) step(now_ms);
  EXPECT_EQ(Allocations(), before);
  EXPECT_GT(book.totals().gifts, 40'000u);
  book.Audit();
}

// The same book in the plainest way: maps, no capacity, no rings. Draws with a copy of the same random stream.
struct Oracle {
  struct OneGift {
    int64_t total, left, expires_ms;
    uint32_t sender;
    Users users;
    std::map<uint32_t, int64_t> opened;
  };
  std::map<uint32_t, OneGift> gifts;
  int64_t issued = 0, opened = 0, refunded = 0;

  GiftOpening Open(uint32_t id, uint32_t user, int64_t now_ms, Random& random) {
    const auto found = gifts.find(id);
    if (found == gifts.end()) return {};
    OneGift& gift = found->second;
    if (now_ms >= gift.expires_ms || std::count(gift.users.begin(), gift.users.end(), user) == 0) return {};
    if (gift.opened.count(user) != 0) return {GiftOpened::kAgain, Fen(gift.opened[user])};
    const uint32_t shares_left = static_cast<uint32_t>(gift.users.size() - gift.opened.size());
    const Fen amount = DrawShare(Fen(gift.left), shares_left, random);
    gift.left -= amount.value();
    gift.opened[user] = amount.value();
    opened += amount.value();
    return {GiftOpened::kNew, amount};
  }
  std::vector<uint32_t> Unopened(uint32_t user, int64_t now_ms) const {
    std::vector<uint32_t> ids;  // ids grow with time, so the map's order is the oldest first
    for (const auto& [id, gift] : gifts) {
      const bool invited = std::count(gift.users.begin(), gift.users.end(), user) != 0;
      if (invited && gift.opened.count(user) == 0 && now_ms < gift.expires_ms) ids.push_back(id);
    }
    return ids;
  }
};

// Creates a gift of random users, amount and life, or is refused, as the oracle says.
void CreateInBoth(GiftBook& book, Oracle& oracle, Random& choice, uint32_t& next_id, uint32_t sender, int64_t now_ms) {
  Users users;
  for (uint32_t other = 0; other < 12; ++other) {
    if (choice.Below(3) == 0) users.push_back(other);
  }
  const int64_t total = static_cast<int64_t>(users.size()) + choice.Between(-1, 200);
  const int64_t expires_ms = now_ms + choice.Between(0, 100);
  const bool good = !users.empty() && total >= static_cast<int64_t>(users.size()) && expires_ms > now_ms;
  const GiftCreated expected = !good ? GiftCreated::kBad : oracle.gifts.size() >= 20 ? GiftCreated::kFull : GiftCreated::kOk;
  ASSERT_EQ(book.Create(next_id, sender, Fen(total), users, now_ms, expires_ms), expected);
  if (expected == GiftCreated::kOk) {
    oracle.gifts[next_id++] = {total, total, expires_ms, sender, users, {}};
    oracle.issued += total;
  }
}

// Lets at most `budget` gifts expire: each is one that is due, the oldest first, and what is refunded is what was left of it.
void ExpireInBoth(GiftBook& book, Oracle& oracle, size_t budget, int64_t now_ms) {
  int64_t latest = 0;
  const size_t taken = book.Expire(now_ms, budget, [&](const GiftRefund& refund) {
    const auto found = oracle.gifts.find(refund.gift_id);
    ASSERT_NE(found, oracle.gifts.end());
    ASSERT_LE(found->second.expires_ms, now_ms);
    ASSERT_GE(found->second.expires_ms, latest);
    latest = found->second.expires_ms;
    ASSERT_EQ(refund.sender, found->second.sender);
    ASSERT_EQ(refund.amount, Fen(found->second.left));
    ASSERT_EQ(refund.shares, found->second.users.size() - found->second.opened.size());
    oracle.refunded += refund.amount.value();
  });
  ASSERT_EQ(std::erase_if(oracle.gifts, [&](const auto& gift) { return book.Find(gift.first) == nullptr; }), taken);
}

TEST(GiftBook, RandomOperationsAgreeWithTheOracle) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    Random choice = Random::FromSeed(seed);
    Random draws = Random::FromSeed(seed, 1);
    Random oracle_draws = draws;
    GiftBook book({.gifts_max = 20, .users_max = 12});
    Oracle oracle;
    uint32_t next_id = kGift;
    int64_t now_ms = 0;
    for (int step = 0; step < 3'000; ++step) {
      now_ms += choice.Between(0, 3);
      const uint32_t user = static_cast<uint32_t>(choice.Below(12));
      switch (choice.Below(5)) {
        case 0:
          CreateInBoth(book, oracle, choice, next_id, user, now_ms);
          break;
        case 1:
        case 2: {
          const uint32_t id = next_id - static_cast<uint32_t>(choice.Below(30));
          const GiftOpening expected = oracle.Open(id, user, now_ms, oracle_draws);
          const GiftOpening opening = book.Open(id, user, now_ms, draws);
          ASSERT_EQ(opening.outcome, expected.outcome);
          ASSERT_EQ(opening.amount, expected.amount);
          break;
        }
        case 3:
          ASSERT_EQ(Unopened(book, user, now_ms), oracle.Unopened(user, now_ms));
          break;
        case 4:
          ExpireInBoth(book, oracle, choice.Below(4), now_ms);
          break;
      }
      ASSERT_FALSE(testing::Test::HasFatalFailure());
      book.Audit();
      ASSERT_EQ(book.totals().gifts_live, oracle.gifts.size());
      ASSERT_EQ(book.totals().issued, Fen(oracle.issued));
      ASSERT_EQ(book.totals().opened, Fen(oracle.opened));
      ASSERT_EQ(book.totals().refunded, Fen(oracle.refunded));
    }
    Expire(book, now_ms + 1'000'000);
    EXPECT_EQ(book.totals().left, Fen());
    EXPECT_EQ(book.totals().issued, book.totals().opened + book.totals().refunded);
    EXPECT_GT(book.totals().opened_shares, 50u);
    EXPECT_GT(book.totals().refunded_shares, 100u);
  }
}

// ---- held gifts: somebody still has to agree ----

TEST_F(GiftBookTest, AHeldGiftIsThereButNeitherToldOfNorOpenedNorExpired) {
  ASSERT_EQ(Create(kGift, 300, {7, 8, 9}), GiftCreated::kOk);
  book_.Hold(kGift);
  EXPECT_THAT(Unopened(book_, 7, 1), IsEmpty());
  EXPECT_EQ(Open(kGift, 7).outcome, GiftOpened::kNone);
  EXPECT_THAT(Expire(book_, 1'000), IsEmpty());
  ASSERT_NE(book_.Find(kGift), nullptr);
  EXPECT_EQ(book_.totals().left, Fen(300));
  book_.Audit();
  EXPECT_TRUE(book_.Release(kGift));
  EXPECT_THAT(Unopened(book_, 7, 1), ElementsAre(kGift));
  EXPECT_EQ(Open(kGift, 7).outcome, GiftOpened::kNew);
  EXPECT_EQ(Expire(book_, 1'000).size(), 1u);
  EXPECT_FALSE(book_.Release(kGift)) << "gone";
}

TEST_F(GiftBookTest, ACancelledGiftNeverWas) {
  ASSERT_EQ(Create(kGift, 300, {7, 8}, 0, 50), GiftCreated::kOk);
  ASSERT_EQ(Create(kGift + 1, 200, {7, 9}, 0, 100), GiftCreated::kOk);
  ASSERT_EQ(Create(kGift + 2, 100, {8, 9}, 0, 100), GiftCreated::kOk);
  const GiftTotals before = book_.totals();
  ASSERT_EQ(Create(kGift + 3, 900, {7, 8, 9}), GiftCreated::kOk);
  book_.Hold(kGift + 3);
  book_.Cancel(kGift + 3);
  book_.Audit();
  EXPECT_EQ(book_.Find(kGift + 3), nullptr);
  EXPECT_EQ(book_.totals().gifts, before.gifts);
  EXPECT_EQ(book_.totals().shares, before.shares);
  EXPECT_EQ(book_.totals().issued, before.issued);
  EXPECT_EQ(book_.totals().left, before.left);
  EXPECT_THAT(Unopened(book_, 7, 1), ElementsAre(kGift, kGift + 1));
  EXPECT_EQ(Create(kGift + 3, 900, {7}), GiftCreated::kOk) << "its room and its id are free again";
}

// Wherever in the order of expiries the cancelled one lies, the others come out in order.
TEST(GiftBookOrderTest, CancelLeavesTheOrderOfExpiriesAlone) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random = Random::FromSeed(seed);
    GiftBook book({.gifts_max = 64, .users_max = 4});
    const uint32_t gifts = static_cast<uint32_t>(random.Between(1, 64));
    std::vector<int64_t> expiries(gifts);
    for (uint32_t i = 0; i < gifts; ++i) {
      expiries[i] = random.Between(1, 40);
      ASSERT_EQ(book.Create(kGift + i, 5, Fen(10), {{i % 4}}, 0, expiries[i]), GiftCreated::kOk);
    }
    std::vector<bool> cancelled(gifts);
    for (uint32_t i = 0; i < gifts; ++i) {
      if (random.Below(3) == 0) {
        book.Hold(kGift + i);
        book.Cancel(kGift + i);
        cancelled[i] = true;
      }
    }
    book.Audit();
    std::vector<uint32_t> seen;
    for (int64_t now = 1; now <= 40; ++now) {
      for (const GiftRefund& refund : Expire(book, now)) {
        EXPECT_EQ(expiries[refund.gift_id - kGift], now);
        seen.push_back(refund.gift_id);
      }
      book.Audit();
    }
    EXPECT_EQ(seen.size(), static_cast<size_t>(std::count(cancelled.begin(), cancelled.end(), false)));
  }
}

TEST_F(GiftBookTest, ARefundNamesThoseWhoHadNotOpened) {
  ASSERT_EQ(Create(kGift, 300, {7, 8, 9}), GiftCreated::kOk);
  Open(kGift, 8);
  Users users;
  book_.Expire(100, 10, [&users](const GiftRefund& refund) { users.assign(refund.users.begin(), refund.users.end()); });
  EXPECT_THAT(users, ElementsAre(7, 9));
}

TEST_F(GiftBookTest, AnExpiredGiftWaitsBehindAHeldOneThatExpiredEarlier) {
  ASSERT_EQ(Create(kGift, 300, {7}, 0, 50), GiftCreated::kOk);
  ASSERT_EQ(Create(kGift + 1, 300, {7}, 0, 60), GiftCreated::kOk);
  book_.Hold(kGift);
  EXPECT_THAT(Expire(book_, 100), IsEmpty());
  EXPECT_EQ(Open(kGift + 1, 7, 100).outcome, GiftOpened::kNone) << "expired it is all the same";
  book_.Release(kGift);
  EXPECT_EQ(Expire(book_, 100).size(), 2u);
}

using GiftBookDeathTest = GiftBookTest;

TEST_F(GiftBookDeathTest, WhatMustNotBeCancelled) {
  ASSERT_EQ(Create(kGift, 300, {7, 8, 9}), GiftCreated::kOk);
  EXPECT_DEATH(book_.Cancel(kGift), "held");
  EXPECT_DEATH(book_.Cancel(kGift + 1), "held");
}

// ---- gifts of an earlier life ----

TEST_F(GiftBookTest, ARestoredGiftGoesOnWhereItWas) {
  const Users users = {7, 8, 9};
  const Users opened = {0, 120, 0};
  ASSERT_EQ(book_.Restore(kGift, 5, Fen(300), users, opened, 0, 100), GiftCreated::kOk);
  book_.Audit();
  EXPECT_EQ(book_.totals().restored, Fen(180));
  EXPECT_EQ(book_.totals().restored_shares, 2u);
  EXPECT_EQ(book_.totals().issued, Fen(180)) << "what was opened before is counted where it was opened";
  EXPECT_EQ(book_.totals().opened, Fen());
  EXPECT_THAT(Unopened(book_, 8, 1), IsEmpty());
  EXPECT_THAT(Unopened(book_, 9, 1), ElementsAre(kGift));
  EXPECT_EQ(Open(kGift, 8).outcome, GiftOpened::kAgain);
  EXPECT_EQ(Open(kGift, 8).amount, Fen(120));
  EXPECT_EQ(Open(kGift, 7).amount + Open(kGift, 9).amount, Fen(180));
  EXPECT_THAT(Expire(book_, 100), IsEmpty());
}

TEST_F(GiftBookTest, ARestoredGiftThatWasOpenedByAllOnlyAnswers) {
  const Users users = {7, 8};
  const Users opened = {180, 120};
  ASSERT_EQ(book_.Restore(kGift, 5, Fen(300), users, opened, 0, 100), GiftCreated::kOk);
  book_.Audit();
  EXPECT_EQ(book_.totals().issued, Fen());
  EXPECT_EQ(Open(kGift, 7).amount, Fen(180));
  EXPECT_THAT(Expire(book_, 100), IsEmpty());
  EXPECT_EQ(book_.totals().refunded, Fen());
}

TEST_F(GiftBookTest, ARestoredGiftNobodyOpenedIsRefundedWhole) {
  const Users users = {7, 8};
  const Users opened = {0, 0};
  ASSERT_EQ(book_.Restore(kGift, 5, Fen(300), users, opened, 0, 100), GiftCreated::kOk);
  const std::vector<GiftRefund> refunds = Expire(book_, 100);
  ASSERT_EQ(refunds.size(), 1u);
  EXPECT_EQ(refunds[0].amount, Fen(300));
  EXPECT_EQ(refunds[0].sender, 5u);
}

TEST_F(GiftBookDeathTest, WhatCannotHaveBeenIsNotRestored) {
  const Users users = {7, 8};
  const Users too_much = {300, 0};  // nothing for the other
  EXPECT_DEATH(book_.Restore(kGift, 5, Fen(300), users, too_much, 0, 100), "restored");
  const Users too_little = {100, 100};  // who has the rest?
  EXPECT_DEATH(book_.Restore(kGift, 5, Fen(300), users, too_little, 0, 100), "restored");
}

}  // namespace
}  // namespace hongbao::envelope
