#include "libhongbao/count/history.h"

#include <gtest/gtest.h>

namespace hongbao::count {
namespace {

enum class Counter { kShakes, kWins, kCount };
constexpr int64_t kT = 1'800'000'000;

TEST(HistoryTest, FilesTheTotalsAtTheEndOfEachSecond) {
  Cells<Counter> cells;
  History<Counter> history;
  Values<Counter> values;
  EXPECT_FALSE(history.Read(kT, values));
  history.Roll(kT, cells);
  cells.Add(Counter::kShakes, 5);
  history.Roll(kT, cells);
  EXPECT_FALSE(history.Read(kT, values));  // not finished
  history.Roll(kT + 1, cells);
  cells.Add(Counter::kShakes, 7);
  cells.Add(Counter::kWins);
  history.Roll(kT + 2, cells);
  ASSERT_TRUE(history.Read(kT, values));
  EXPECT_EQ(values[Counter::kShakes], 5u);
  ASSERT_TRUE(history.Read(kT + 1, values));
  EXPECT_EQ(values[Counter::kShakes], 12u);
  EXPECT_EQ(values[Counter::kWins], 1u);
  EXPECT_FALSE(history.Read(kT + 2, values));
  EXPECT_EQ(history.finished(), kT + 1);
  EXPECT_EQ(history.began(), kT);
  ASSERT_TRUE(history.Read(kT - 100, values));  // before it began nothing had happened
  EXPECT_EQ(values, Values<Counter>{});
}

TEST(HistoryTest, SecondsSleptThroughStandAsTheyWere) {
  Cells<Counter> cells;
  History<Counter> history;
  Values<Counter> values;
  history.Roll(kT, cells);
  cells.Add(Counter::kShakes, 5);
  history.Roll(kT + 4, cells);
  for (int64_t second = kT; second < kT + 4; ++second) {
    ASSERT_TRUE(history.Read(second, values));
    EXPECT_EQ(values[Counter::kShakes], 5u);
  }
}

TEST(HistoryTest, TheRingHoldsTheLastSecondsAndSaysWhenOneIsGone) {
  Cells<Counter> cells;
  History<Counter, 8> history;
  Values<Counter> values;
  for (int64_t second = kT; second <= kT + 20; ++second) {
    history.Roll(second, cells);
    cells.Add(Counter::kShakes);
  }
  EXPECT_FALSE(history.Read(kT + 11, values));
  for (int64_t second = kT + 12; second < kT + 20; ++second) {
    ASSERT_TRUE(history.Read(second, values));
    EXPECT_EQ(values[Counter::kShakes], static_cast<uint64_t>(second - kT + 1));
  }
  history.Roll(kT + 1'000'000'000, cells);  // a step of thirty years costs no more than the ring
  ASSERT_TRUE(history.Read(kT + 999'999'999, values));
  EXPECT_EQ(values[Counter::kShakes], 21u);
}

TEST(HistoryTest, AClockSteppedBackLosesNothing) {
  Cells<Counter> cells;
  History<Counter> history;
  Values<Counter> values;
  history.Roll(kT, cells);
  history.Roll(kT + 1, cells);
  cells.Add(Counter::kShakes);
  history.Roll(kT - 50, cells);
  cells.Add(Counter::kShakes);
  history.Roll(kT + 2, cells);
  ASSERT_TRUE(history.Read(kT, values));
  EXPECT_EQ(values[Counter::kShakes], 0u);
  ASSERT_TRUE(history.Read(kT + 1, values));
  EXPECT_EQ(values[Counter::kShakes], 2u);
}

TEST(HistoryTest, ClosedItAnswersForEverySecondToCome) {
  Cells<Counter> cells;
  History<Counter> history;
  Values<Counter> values;
  history.Roll(kT, cells);
  cells.Add(Counter::kWins, 9);
  history.Close(cells);
  for (const int64_t second : {kT, kT + 1, kT + 1'000}) {
    ASSERT_TRUE(history.Read(second, values));
    EXPECT_EQ(values[Counter::kWins], 9u);
  }
}

}  // namespace
}  // namespace hongbao::count
