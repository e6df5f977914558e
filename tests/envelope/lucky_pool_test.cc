#include "libhongbao/envelope/lucky_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "libhongbao/envelope/random.h"

namespace hongbao::envelope {
namespace {

constexpr uint32_t kFirstId = 0x00100001;

std::vector<LuckyEnvelope> Envelopes(uint32_t first_id, size_t count, int64_t fen = 100) {
  std::vector<LuckyEnvelope> envelopes;
  for (uint32_t i = 0; i < count; ++i) envelopes.push_back({first_id + i, Fen(fen + i)});
  return envelopes;
}

TEST(LuckyPool, GivesNothingWhenEmptyAndEachEnvelopeOnceInOrder) {
  LuckyPool pool(8);
  LuckyClaimer claimer(pool);
  LuckyEnvelope envelope{99, Fen(99)};
  EXPECT_FALSE(claimer.Claim(envelope));
  EXPECT_EQ(envelope.id, 99u) << "an empty pool leaves the envelope alone";
  EXPECT_EQ(pool.Publish(Envelopes(kFirstId, 3)), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(claimer.Claim(envelope));
    EXPECT_EQ(envelope.id, kFirstId + i);
    EXPECT_EQ(envelope.amount, Fen(100 + i));
  }
  EXPECT_FALSE(claimer.Claim(envelope));
  EXPECT_FALSE(claimer.Claim(envelope));
}

TEST(LuckyPool, AClaimerThatFoundItEmptySeesTheNextPublish) {
  LuckyPool pool(4);
  LuckyClaimer a(pool);
  LuckyClaimer b(pool);
  LuckyEnvelope envelope;
  for (uint32_t i = 0; i < 100; ++i) {
    EXPECT_FALSE(a.Claim(envelope));
    EXPECT_FALSE(b.Claim(envelope));
    EXPECT_EQ(pool.Publish(Envelopes(i, 1)), 1u);
    LuckyClaimer& winner = i % 2 == 0 ? a : b;
    ASSERT_TRUE(winner.Claim(envelope));
    EXPECT_EQ(envelope.id, i);
  }
  EXPECT_EQ(a.claimed().count, 50u);
  EXPECT_EQ(b.claimed().count, 50u);
}

// Prototype: a push on a full channel was ignored, and the money was counted as sent all the same.
TEST(LuckyPool, Defect01_WhatDoesNotFitIsNotIssuedAndStaysTheMinters) {
  LuckyPool pool(4);
  LuckyClaimer claimer(pool);
  const std::vector<LuckyEnvelope> batch = Envelopes(kFirstId, 7, 10);
  EXPECT_EQ(pool.Publish(batch), 4u);
  EXPECT_EQ(pool.issued(), (Tally{4, Fen(10 + 11 + 12 + 13)}));
  EXPECT_EQ(pool.Publish(absl::MakeConstSpan(batch).subspan(4)), 0u);
  EXPECT_EQ(pool.issued().count, 4u);
  LuckyEnvelope envelope;
  ASSERT_TRUE(claimer.Claim(envelope));
  EXPECT_EQ(pool.Publish(absl::MakeConstSpan(batch).subspan(4)), 1u) << "one place is free again";
  for (uint32_t id = kFirstId + 1; id <= kFirstId + 4; ++id) {
    ASSERT_TRUE(claimer.Claim(envelope));
    EXPECT_EQ(envelope.id, id);
  }
  EXPECT_FALSE(claimer.Claim(envelope));
}

// Prototype: one id for a whole run of shake envelopes, so grants could not be reconciled by id.
TEST(LuckyPool, Defect08_EveryEnvelopeKeepsItsOwnIdAndAmount) {
  LuckyPool pool(1024);
  LuckyClaimer claimer(pool);
  const std::vector<LuckyEnvelope> batch = Envelopes(kFirstId, 1000, 1);
  ASSERT_EQ(pool.Publish(batch), batch.size());
  for (const LuckyEnvelope& published : batch) {
    LuckyEnvelope envelope;
    ASSERT_TRUE(claimer.Claim(envelope));
    EXPECT_EQ(envelope.id, published.id);
    EXPECT_EQ(envelope.amount, published.amount);
  }
}

TEST(LuckyPool, PublishingNothingIsNothing) {
  LuckyPool pool(2);
  LuckyClaimer claimer(pool);
  LuckyEnvelope envelope;
  EXPECT_EQ(pool.Publish({}), 0u);
  EXPECT_FALSE(claimer.Claim(envelope));
}

TEST(LuckyPool, ClaimManyTakesTheOldestInOrderAndNoMoreThanThereAre) {
  LuckyPool pool(8);
  LuckyClaimer claimer(pool);
  std::vector<LuckyEnvelope> taken(4, LuckyEnvelope{99, Fen(99)});
  EXPECT_EQ(claimer.ClaimMany(absl::MakeSpan(taken)), 0u) << "nothing has ever been published";
  ASSERT_EQ(pool.Publish(Envelopes(kFirstId, 6)), 6u);
  EXPECT_EQ(claimer.ClaimMany({}), 0u) << "no room takes nothing";
  EXPECT_EQ(pool.left(), 6u);
  ASSERT_EQ(claimer.ClaimMany(absl::MakeSpan(taken)), 4u);
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(taken[i].id, kFirstId + i);
    EXPECT_EQ(taken[i].amount, Fen(100 + i));
  }
  EXPECT_EQ(claimer.claimed(), (Tally{4, Fen(100 + 101 + 102 + 103)}));
  ASSERT_EQ(claimer.ClaimMany(absl::MakeSpan(taken)), 2u) << "two were left";
  EXPECT_EQ(taken[0].id, kFirstId + 4);
  EXPECT_EQ(taken[1].id, kFirstId + 5);
  EXPECT_EQ(taken[2].id, kFirstId + 2) << "what was not taken leaves its place alone";
  EXPECT_EQ(claimer.ClaimMany(absl::MakeSpan(taken)), 0u);
  EXPECT_FALSE(claimer.MayClaim()) << "a batch that found nothing remembers it, as a claim does";
  EXPECT_EQ(claimer.claimed(), pool.issued());
  ASSERT_EQ(pool.Publish(Envelopes(kFirstId + 6, 1)), 1u);
  EXPECT_EQ(claimer.ClaimMany(absl::MakeSpan(taken)), 1u) << "and sees the next publish";
  EXPECT_EQ(taken[0].id, kFirstId + 6);
}

TEST(LuckyPool, ClaimManyGivesBackTheRoomOfEachThatItTook) {
  LuckyPool pool(4);
  LuckyClaimer claimer(pool);
  std::vector<LuckyEnvelope> taken(8);
  for (uint32_t id = kFirstId; id < kFirstId + 40; id += 4) {  // round the ring, from every place of it
    ASSERT_EQ(pool.Publish(Envelopes(id, 3)), 3u);
    ASSERT_EQ(claimer.ClaimMany(absl::MakeSpan(taken).subspan(0, 2)), 2u);
    ASSERT_EQ(pool.Publish(Envelopes(id + 3, 3)), 3u) << "two places were given back, one had never been taken";
    ASSERT_EQ(pool.Publish(Envelopes(id + 6, 1)), 0u);
    ASSERT_EQ(claimer.ClaimMany(absl::MakeSpan(taken)), 4u);
    for (uint32_t i = 0; i < 4; ++i) ASSERT_EQ(taken[i].id, id + 2 + i);
  }
  EXPECT_EQ(claimer.claimed(), pool.issued());
}

// Random publishes and claims, one and many, by three hands against a queue, every account checked at every step.
TEST(LuckyPool, IsABoundedQueueAndItsAccountsAddUpAtEveryStep) {
  for (size_t capacity : {1u, 2u, 4u, 64u}) {
    Random random = Random::FromSeed(capacity);
    LuckyPool pool(capacity);
    std::vector<std::unique_ptr<LuckyClaimer>> claimers;
    for (int i = 0; i < 3; ++i) claimers.push_back(std::make_unique<LuckyClaimer>(pool));
    std::deque<LuckyEnvelope> expected;
    uint32_t next_id = kFirstId;
    for (int step = 0; step < 20'000; ++step) {
      if (random.Below(4) == 0) {
        std::vector<LuckyEnvelope> batch = Envelopes(next_id, random.Below(2 * capacity + 1), random.Between(1, 309));
        const size_t fitted = pool.Publish(batch);
        ASSERT_EQ(fitted, std::min(batch.size(), capacity - expected.size()));
        expected.insert(expected.end(), batch.begin(), batch.begin() + static_cast<ptrdiff_t>(fitted));
        next_id += static_cast<uint32_t>(fitted);
      } else {
        const bool one = random.Below(2) == 0;
        std::vector<LuckyEnvelope> taken(one ? 1 : random.Below(capacity + 2));
        LuckyClaimer& claimer = *claimers[random.Below(3)];
        const size_t got = one ? claimer.Claim(taken[0]) : claimer.ClaimMany(absl::MakeSpan(taken));
        ASSERT_EQ(got, std::min(taken.size(), expected.size()));
        for (size_t i = 0; i < got; ++i) {
          ASSERT_EQ(taken[i].id, expected.front().id);
          ASSERT_EQ(taken[i].amount, expected.front().amount);
          expected.pop_front();
        }
      }
      Tally claimed;
      for (const auto& claimer : claimers) {
        claimed.count += claimer->claimed().count;
        claimed.sum += claimer->claimed().sum;
      }
      const Tally left = pool.LeftAtRest();
      ASSERT_EQ(left.count, expected.size());
      ASSERT_EQ(left.count, pool.left());
      ASSERT_EQ(pool.issued(), (Tally{claimed.count + left.count, claimed.sum + left.sum}));
    }
  }
}

TEST(LuckyPoolDeathTest, CapacityAndAmounts) {
  EXPECT_DEATH(LuckyPool(0), "power of two");
  EXPECT_DEATH(LuckyPool(12), "power of two");
  LuckyPool pool(2);
  const std::vector<LuckyEnvelope> empty{{1, Fen(0)}};
  EXPECT_DEATH(pool.Publish(empty), "at least a fen");
}

TEST(LuckyPool, MayClaimIsNoOnlyWhenAClaimWouldFindNothing) {
  LuckyPool pool(4);
  LuckyClaimer one(pool);
  LuckyClaimer two(pool);
  EXPECT_FALSE(one.MayClaim()) << "nothing has ever been published";
  const LuckyEnvelope envelope{.id = 1, .amount = Fen(5)};
  ASSERT_EQ(pool.Publish({&envelope, 1}), 1u);
  EXPECT_TRUE(one.MayClaim());
  EXPECT_TRUE(two.MayClaim());
  LuckyEnvelope claimed;
  ASSERT_TRUE(one.Claim(claimed));
  EXPECT_TRUE(two.MayClaim()) << "has not looked";
  EXPECT_FALSE(two.Claim(claimed));
  EXPECT_FALSE(two.MayClaim()) << "has looked";
  ASSERT_EQ(pool.Publish({&envelope, 1}), 1u);
  EXPECT_TRUE(two.MayClaim());
  ASSERT_TRUE(two.Claim(claimed));
}

}  // namespace
}  // namespace hongbao::envelope
