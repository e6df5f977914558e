#include "libhongbao/time/reciprocal.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <random>

namespace hongbao::time {
namespace {

void ExpectExact(uint64_t dividend, uint64_t divisor) {
  const Reciprocal::Division division = Reciprocal(divisor).Divide(dividend);
  ASSERT_EQ(division.quotient, dividend / divisor) << dividend << " / " << divisor;
  ASSERT_EQ(division.remainder, dividend % divisor) << dividend << " / " << divisor;
}

TEST(Reciprocal, ExactAtEveryEdge) {
  constexpr uint64_t kMax = ~uint64_t{0};
  const uint64_t edges[] = {1,
                            2,
                            3,
                            5,
                            7,
                            10,
                            641,
                            1'000'000'000,
                            (uint64_t{1} << 32) - 1,
                            uint64_t{1} << 32,
                            (uint64_t{1} << 32) + 1,
                            (uint64_t{1} << 63) - 1,
                            uint64_t{1} << 63};
  for (const uint64_t divisor : edges) {
    for (const uint64_t near : {uint64_t{0}, divisor, divisor * 2, divisor * 3, kMax / divisor * divisor, kMax, kMax / 2}) {
      for (const uint64_t dividend : {near - 2, near - 1, near, near + 1, near + 2}) ExpectExact(dividend, divisor);
    }
  }
}

TEST(Reciprocal, ExactForAnyPair) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 1'000'000; ++i) {
    const uint64_t divisor = (random() >> (1 + random() % 62)) + 1;
    ExpectExact(random() >> (random() % 64), divisor);
  }
}

TEST(Reciprocal, IsMadeWhenCompiling) {
  static_assert(Reciprocal(7).Quotient(1'000) == 142);
  static_assert(Reciprocal(7).Remainder(1'000) == 6);
  static_assert(Reciprocal(1).Quotient(~uint64_t{0}) == ~uint64_t{0});
  static_assert(Reciprocal().Divide(9).quotient == 9);
}

}  // namespace
}  // namespace hongbao::time
