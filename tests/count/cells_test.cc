#include "libhongbao/count/cells.h"

#include <gtest/gtest.h>

#include <string>

namespace hongbao::count {
namespace {

enum class Counter { kRequests, kReceived, kLive, kCount };

TEST(CellsTest, EachCellCountsByItself) {
  Cells<Counter> cells;
  cells.Add(Counter::kRequests, 10'000'000'000);
  cells.Add(Counter::kRequests);
  cells.Add(Counter::kLive, 3);
  cells.Subtract(Counter::kLive);
  EXPECT_EQ(cells.Get(Counter::kRequests), 10'000'000'001u);  // ten billion is more than 32 bits
  EXPECT_EQ(cells.Get(Counter::kReceived), 0u);
  EXPECT_EQ(cells.Get(Counter::kLive), 2u);
  cells.Set(Counter::kLive, 7);
  EXPECT_EQ(cells.Snapshot()[Counter::kLive], 7u);
}

TEST(CellsTest, TwoWorkersCellsNeverShareALine) {
  Cells<Counter> workers[2];
  EXPECT_EQ(reinterpret_cast<uintptr_t>(&workers[0]) % 64, 0u);
  EXPECT_EQ(sizeof(workers[0]) % 64, 0u);
}

TEST(ValuesTest, AddAndSubtractCellByCell) {
  Values<Counter> a, b;
  a[Counter::kRequests] = 5;
  b[Counter::kRequests] = 3;
  b[Counter::kLive] = 1;
  a += b;
  EXPECT_EQ(a[Counter::kRequests], 8u);
  EXPECT_EQ((a - b)[Counter::kRequests], 5u);
  EXPECT_EQ((a - b)[Counter::kLive], 0u);
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace hongbao::count
