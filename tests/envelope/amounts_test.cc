#include "libhongbao/envelope/amounts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace hongbao::envelope {
namespace {

const Random::Key kKey = Random::SeedKey(7);

Fen SumOf(int64_t min_fen, int64_t max_fen, int64_t count) {
  Amounts amounts(kKey, min_fen, max_fen, count);
  Fen sum;
  for (int64_t place = 0; place < count; ++place) {
    sum += amounts.At(place);
  }
  return sum;
}

TEST(AmountsTest, TheTotalIsTheSumOfAllPlaces) {
  for (const int64_t count : {1, 2, 3, 1'023, 1'024, 1'025, 2'047, 2'048, 5'000, 10'241}) {
    EXPECT_EQ(Amounts(kKey, 10, 309, count).Total(), SumOf(10, 309, count)) << count;
    EXPECT_EQ(Amounts(kKey, 5, 5, count).Total(), Fen(5 * count)) << count;
    EXPECT_EQ(Amounts(kKey, 1, 0xffff'ffff, count).Total(), SumOf(1, 0xffff'ffff, count)) << count;
  }
}

// Two billion of them: asked for without drawing them.
TEST(AmountsTest, TheTotalOfAllTheNumbersThereAre) {
  constexpr int64_t kCount = (int64_t{1} << 31) - (int64_t{1} << 20);
  EXPECT_EQ(Amounts(kKey, 10, 309, kCount).Total(), Fen(kCount / 2 * 319));
  EXPECT_EQ(Amounts(kKey, 0x7fff'ffff, 0x7fff'ffff, kCount).Total(), Fen(kCount * 0x7fff'ffff));
}

TEST(AmountsTest, APlaceHoldsTheSameInWhateverOrderItIsAskedFor) {
  Amounts forwards(kKey, 10, 309, 5'000), anyhow(kKey, 10, 309, 5'000);
  std::vector<Fen> seen;
  for (int64_t place = 0; place < 5'000; ++place) {
    seen.push_back(forwards.At(place));
  }
  for (int64_t i = 0; i < 5'000; ++i) {
    const int64_t place = i * 3'001 % 5'000;
    EXPECT_EQ(anyhow.At(place), seen[static_cast<size_t>(place)]);
  }
}

TEST(AmountsTest, EveryAmountOfTheRangeComesAboutEquallyOften) {
  std::vector<int> seen(10);
  Amounts amounts(kKey, 1, 10, 100 * Amounts::kChunk);
  for (int64_t place = 0; place < 100 * Amounts::kChunk; ++place) {
    ++seen[static_cast<size_t>(amounts.At(place).value() - 1)];
  }
  for (const int times : seen) {
    EXPECT_NEAR(times, 10'240, 500);  // 5 standard deviations of a binomial
  }
}

// The partner of an amount, which makes their sum min + max, is anywhere in its thousand: nobody knows which comes next.
TEST(AmountsTest, WhatAnEnvelopeHoldsDoesNotTellTheNext) {
  constexpr int64_t kCount = 100 * Amounts::kChunk;
  Amounts amounts(kKey, 0 + 1, 1'000, kCount);
  int partners = 0;
  for (int64_t place = 0; place + 1 < kCount; ++place) {
    partners += amounts.At(place) + amounts.At(place + 1) == Fen(1'001) ? 1 : 0;
  }
  EXPECT_NEAR(partners, 200, 75);  // by chance 1 in 1,000, and one in 1,023 is the partner
}

TEST(AmountsTest, AnotherKeyIsAnotherOrder) {
  Amounts one(kKey, 1, 1'000'000, 100), other(Random::SeedKey(8), 1, 1'000'000, 100);
  int same = 0;
  for (int64_t place = 0; place < 100; ++place) {
    same += one.At(place) == other.At(place) ? 1 : 0;
  }
  EXPECT_LT(same, 3);
}

}  // namespace
}  // namespace hongbao::envelope
