#include "libhongbao/time/permutation.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace hongbao::time {
namespace {

TEST(PermutationTest, MeetsEachUserOnceAndInvertsForEverySmallTotal) {
  for (uint64_t total = 1; total <= 600; ++total) {
    const Permutation permutation(total, total * 7 / 3);
    std::vector<int> met(total);
    for (uint64_t i = 0; i < total; ++i) {
      const uint32_t user = permutation.UserAt(i);
      ASSERT_LT(user, total);
      ++met[user];
      ASSERT_EQ(permutation.PositionOf(user), i) << total;
    }
    ASSERT_EQ(met, std::vector<int>(total, 1)) << total;
  }
}

TEST(PermutationTest, InvertsAtEveryScaleWithoutOverflow) {
  for (const uint64_t total : {uint64_t{1'000'000}, uint64_t{999'983}, uint64_t{1} << 31, (uint64_t{1} << 32) - 1,
                               uint64_t{4'294'967'291}, uint64_t{1} << 32}) {
    for (const uint64_t offset : {uint64_t{0}, total - 1, total / 3}) {
      const Permutation permutation(total, offset);
      ASSERT_EQ(std::gcd(permutation.multiplier(), total), 1u);
      for (uint64_t k = 0; k < 1'000; ++k) {
        const uint64_t i = k % 2 == 0 ? k * (total / 1'000) : total - 1 - k;
        ASSERT_EQ(permutation.PositionOf(permutation.UserAt(i)), i) << total;
      }
    }
  }
}

TEST(PermutationTest, MultiplierIsNearTheGoldenRatio) {
  for (const uint64_t total : {uint64_t{1'000}, uint64_t{20'000}, uint64_t{1'000'000}, uint64_t{1} << 32}) {
    const double ratio = static_cast<double>(Permutation(total).multiplier()) / static_cast<double>(total);
    EXPECT_NEAR(ratio, 0.618034, 0.01) << total;
  }
}

// Any contiguous quarter of the users gets close to a quarter of any short run of requests: what keeps workers and
// client machines evenly loaded inside each second.
TEST(PermutationTest, SpreadsEveryShortRunOverTheUserSpace) {
  const uint64_t total = 1'000'000;
  const Permutation permutation(total);
  for (uint64_t start = 0; start < total; start += 98'765) {
    std::vector<int> quarter(4);
    for (uint64_t i = start; i < start + 1'000; ++i) {
      ++quarter[permutation.UserAt(i % total) / (total / 4)];
    }
    for (const int count : quarter) {
      EXPECT_NEAR(count, 250, 10);
    }
  }
}

TEST(PermutationDeathTest, RefusesTotalsOutOfRange) {
  EXPECT_DEATH(Permutation(0), "1..2\\^32");
  EXPECT_DEATH(Permutation((uint64_t{1} << 32) + 1), "1..2\\^32");
}

}  // namespace
}  // namespace hongbao::time
