#include "libhongbao/envelope/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace hongbao::envelope {
namespace {

std::vector<int64_t> Split(int64_t total_fen, uint32_t shares, Random& random) {
  std::vector<int64_t> drawn;
  Fen left(total_fen);
  for (uint32_t k = shares; k > 0; --k) {
    const Fen share = DrawShare(left, k, random);
    left -= share;
    drawn.push_back(share.value());
  }
  EXPECT_EQ(left, Fen()) << total_fen << " fen to " << shares;
  return drawn;
}

TEST(DrawShare, SharesAreAtLeastAFenAndAddUpForAnyTotalAndNumber) {
  Random random = Random::FromSeed(42);
  for (int round = 0; round < 50'000; ++round) {
    const uint32_t shares = static_cast<uint32_t>(random.Between(1, 50));
    // Small totals, where rounding bites, as often as large ones.
    const int64_t total = shares + random.Between(0, int64_t{1} << random.Between(0, 32));
    for (int64_t share : Split(total, shares, random)) ASSERT_GE(share, 1);
  }
}

TEST(DrawShare, TheLargestAmountsDoNotOverflow) {
  Random random = Random::FromSeed(1);
  for (int64_t total : {int64_t{0xffffffff}, int64_t{1} << 62, std::numeric_limits<int64_t>::max()}) {
    for (uint32_t shares : {1u, 2u, 3u, 50u}) {
      for (int64_t share : Split(total, shares, random)) ASSERT_GE(share, 1);
    }
  }
}

TEST(DrawShare, AFenForEachIsAFenForEach) {
  Random random = Random::FromSeed(2);
  for (uint32_t shares = 1; shares <= 50; ++shares) {
    EXPECT_EQ(Split(shares, shares, random), std::vector<int64_t>(shares, 1));
  }
}

TEST(DrawShare, NeverMoreThanTwiceTheAverageBeforeTheLastTwo) {
  Random random = Random::FromSeed(3);
  for (int round = 0; round < 20'000; ++round) {
    const uint32_t shares = static_cast<uint32_t>(random.Between(2, 50));
    const Fen left(shares + random.Between(0, 10'000));
    const int64_t share = DrawShare(left, shares, random).value();
    const int64_t rest = left.value() - static_cast<int64_t>(shares);
    EXPECT_LE(share, 1 + (2 * rest + shares - 1) / shares);
    EXPECT_LE(share, 1 + rest);
  }
}

// Every position draws total / shares on average: within five standard errors, as measured, at fixed seeds.
void ExpectEqualMeans(int64_t total, uint32_t shares, uint64_t seed) {
  Random random = Random::FromSeed(seed);
  constexpr int kRounds = 100'000;
  std::vector<double> sum(shares), squares(shares);
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<int64_t> drawn = Split(total, shares, random);
    for (uint32_t i = 0; i < shares; ++i) {
      sum[i] += static_cast<double>(drawn[i]);
      squares[i] += static_cast<double>(drawn[i] * drawn[i]);
    }
  }
  const double expected = static_cast<double>(total) / shares;
  for (uint32_t i = 0; i < shares; ++i) {
    const double mean = sum[i] / kRounds;
    const double deviation = std::sqrt(std::max(0.0, squares[i] / kRounds - mean * mean));
    EXPECT_NEAR(mean, expected, 5 * deviation / std::sqrt(kRounds) + 1e-9)
        << "position " << i << " of " << shares << ", " << total << " fen";
  }
}

TEST(DrawShare, TheMeanIsTheSameAtEveryPosition) {
  ExpectEqualMeans(1000, 10, 100);
  ExpectEqualMeans(2000, 20, 101);
  ExpectEqualMeans(7, 2, 102);
  ExpectEqualMeans(10, 3, 103);
  ExpectEqualMeans(309, 3, 104);
  ExpectEqualMeans(51, 50, 105);
}

// 12 fen to 10: the usual web version gives the last 2.0 on average and the others 1, the prototype 0.0 / 0.5 / 7.6.
TEST(DrawShare, TheMeanIsTheSameWhereRoundingIsTheWholeAmount) { ExpectEqualMeans(12, 10, 106); }

// Prototype (DOMAIN 3.1), 3 openers and 10..309 fen: mean shares 16 / 21 / 63 %, a share of 0 in 6 % of the gifts, and
// the last opener always had the largest share.
TEST(DrawShare, DefectSplit_TheLastOpenerIsNotFavouredAndNobodyGetsNothing) {
  Random random = Random::FromSeed(107);
  constexpr int kRounds = 60'000;
  double of_total[3] = {};
  int last_is_best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const int64_t total = random.Between(10, 309);
    const std::vector<int64_t> drawn = Split(total, 3, random);
    for (size_t i = 0; i < 3; ++i) {
      ASSERT_GE(drawn[i], 1);
      of_total[i] += static_cast<double>(drawn[i]) / static_cast<double>(total) / kRounds;
    }
    if (drawn[2] >= drawn[0] && drawn[2] >= drawn[1]) ++last_is_best;
  }
  for (double share : of_total) EXPECT_NEAR(share, 1.0 / 3, 0.005);
  EXPECT_LT(last_is_best, kRounds / 2);
}

// Prototype (DOMAIN 3.1): an amount not above the number of users gave 1 to each, more than there was.
TEST(DrawShareDeathTest, DefectSplit_NeverPaysMoreThanThereIs) {
  Random random = Random::FromSeed(1);
  EXPECT_DEATH(DrawShare(Fen(2), 3, random), "a fen for every share");
  EXPECT_DEATH(DrawShare(Fen(-1), 1, random), "a fen for every share");
  EXPECT_DEATH(DrawShare(Fen(2), 0, random), "a fen for every share");
}

}  // namespace
}  // namespace hongbao::envelope
