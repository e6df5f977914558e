#include "libhongbao/ledger/row_sum.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

#include "libhongbao/ledger/sqlite.h"

namespace hongbao::ledger {
namespace {

TEST(RowSum, SqlComputesWhatCppDoes) {
  Sqlite db;
  ASSERT_TRUE(db.Create(":memory:").ok());
  RowSum sum;
  sum.AddNumber(-7);
  sum.AddNull();
  sum.AddBytes(reinterpret_cast<const unsigned char*>("epoch-and-more"), 14);
  EXPECT_EQ(db.Number("SELECT row_sum(-7, NULL, 'epoch-and-more')"), sum.value());
  EXPECT_TRUE(db.ok()) << db.status();
}

// A file outlives its program: these may never change.
TEST(RowSum, StaysWhatItIs) {
  RowSum sum;
  sum.AddNumber(1);
  sum.AddNumber(2);
  sum.AddNumber(3);
  EXPECT_EQ(sum.value(), 86247563);
  sum.AddBytes(reinterpret_cast<const unsigned char*>("epoch"), 5);
  EXPECT_EQ(sum.value(), 595194283);
}

TEST(RowSum, EveryBitOfEveryColumnAndTheirOrderMatter) {
  std::set<int64_t> sums;
  const auto of = [](int64_t first, int64_t second) {
    RowSum sum;
    sum.AddNumber(first);
    sum.AddNumber(second);
    EXPECT_LE(sum.value(), std::numeric_limits<int32_t>::max());
    EXPECT_GE(sum.value(), std::numeric_limits<int32_t>::min());
    return sum.value();
  };
  sums.insert(of(0, 0));
  for (int bit = 0; bit < 64; ++bit) {
    sums.insert(of(static_cast<int64_t>(uint64_t{1} << bit), 0));
    sums.insert(of(0, static_cast<int64_t>(uint64_t{1} << bit)));
  }
  EXPECT_EQ(sums.size(), 129u);
}

TEST(RowSum, NullIsNotZeroAndBytesHaveALength) {
  Sqlite db;
  ASSERT_TRUE(db.Create(":memory:").ok());
  EXPECT_EQ(db.Number("SELECT row_sum(0) <> row_sum(NULL) AND row_sum('a') <> row_sum('a' || x'00')"
                      " AND row_sum('') <> row_sum(NULL) AND row_sum() <> row_sum(0)"),
            1);
}

}  // namespace
}  // namespace hongbao::ledger
