#include "libhongbao/envelope/fen.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <type_traits>

namespace hongbao::envelope {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

static_assert(!std::is_convertible_v<int64_t, Fen> && !std::is_convertible_v<Fen, int64_t>);
static_assert(!std::is_constructible_v<Fen, double> && !std::is_constructible_v<Fen, float>);
static_assert(!std::is_constructible_v<Fen, bool>);

TEST(Fen, AddsSubtractsCompares) {
  EXPECT_EQ(Fen(257) + Fen(43), Fen(300));
  EXPECT_EQ(Fen(1) - Fen(3), Fen(-2));
  EXPECT_LT(Fen(-1), Fen());
  Fen sum;
  for (int i = 1; i <= 100; ++i) sum += Fen(i);
  EXPECT_EQ(sum, Fen(5050));
  sum -= Fen(5050);
  EXPECT_EQ(sum.value(), 0);
}

TEST(Fen, WritesYuan) {
  EXPECT_EQ(ToYuan(Fen(1234)), "12.34");
  EXPECT_EQ(ToYuan(Fen(5)), "0.05");
  EXPECT_EQ(ToYuan(Fen(0)), "0.00");
  EXPECT_EQ(ToYuan(Fen(10)), "0.10");
  EXPECT_EQ(ToYuan(Fen(-100)), "-1.00");
  EXPECT_EQ(ToYuan(Fen(-7)), "-0.07");
  EXPECT_EQ(ToYuan(Fen(kMax)), "92233720368547758.07");
  EXPECT_EQ(ToYuan(Fen(kMin)), "-92233720368547758.08");
}

TEST(Fen, GoesToTheWireWhenItFits) {
  EXPECT_EQ(Fen(0).ToWire(), 0u);
  EXPECT_EQ(Fen(0xffffffff).ToWire(), 0xffffffffu);
}

TEST(FenDeathTest, OverflowAborts) {
  EXPECT_DEATH(Fen(kMax) + Fen(1), "sum of money");
  EXPECT_DEATH(Fen(kMin) + Fen(-1), "sum of money");
  EXPECT_DEATH(Fen(kMin) - Fen(1), "difference of money");
  EXPECT_DEATH(Fen(std::numeric_limits<uint64_t>::max()), "63 bits");
}

// Prototype (DOMAIN 3.1): a remainder below zero went on the wire as uint32(-1), 4,294,967,295 fen.
TEST(FenDeathTest, DefectSplit_NothingNegativeGoesToTheWire) {
  EXPECT_DEATH((Fen(1) - Fen(2)).ToWire(), "0..2\\^32-1");
  EXPECT_DEATH(Fen(0x100000000).ToWire(), "0..2\\^32-1");
}

}  // namespace
}  // namespace hongbao::envelope
