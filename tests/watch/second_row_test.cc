#include "libhongbao/watch/second_row.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "nlohmann/json.hpp"

namespace hongbao::watch {
namespace {

TEST(SecondRow, KnowsOnlyWhatWasFilledIn) {
  SecondRow row(1'486'824'165);
  row.Set(Column::kSent, 60'000);
  row[Column::kDifferenceFen] = -5;
  EXPECT_TRUE(row.Knows(Column::kSent));
  EXPECT_FALSE(row.Knows(Column::kAnswered));
  row.Set(Column::kAnswered, std::numeric_limits<uint64_t>::max());
  EXPECT_FALSE(row.Knows(Column::kAnswered)) << "no count of this world";
}

TEST(SecondRow, AddsWhatIsKnown) {
  SecondRow row(1);
  row.Add(Column::kSent, SecondRow::kUnknown);
  EXPECT_FALSE(row.Knows(Column::kSent));
  row.Add(Column::kSent, 3);
  row.Add(Column::kSent, SecondRow::kUnknown);
  row.Add(Column::kSent, 4);
  EXPECT_EQ(row[Column::kSent], 7);
  row.Add(Column::kSent, std::numeric_limits<int64_t>::max());
  EXPECT_FALSE(row.Knows(Column::kSent));
}

TEST(SecondRow, HasOneOrderForJsonAndCsv) {
  SecondRow row(7);
  row[Column::kHosts] = 2;
  row[static_cast<Column>(static_cast<uint32_t>(Column::kCount) - 1)] = 9;  // the last
  const nlohmann::json names = ColumnNames();
  const nlohmann::json values = RowValues(row);
  ASSERT_EQ(names.size(), values.size());
  EXPECT_EQ(names[0], "unix_s");
  EXPECT_EQ(values[0], 7);
  EXPECT_EQ(values[1], 2);
  EXPECT_TRUE(values[2].is_null());
  EXPECT_EQ(values.back(), 9);
  const std::string header = CsvHeader();
  const std::string line = CsvLine(row);
  EXPECT_EQ(header.rfind("unix_s,hosts,silent,users,", 0), 0u);
  EXPECT_EQ(line.rfind("7,2,,", 0), 0u);
  EXPECT_EQ(std::count(header.begin(), header.end(), ','), std::count(line.begin(), line.end(), ','));
  EXPECT_EQ(line.substr(line.size() - 2), ",9");
}

TEST(SecondRow, ByNameWithOrWithoutWhatIsNotKnown) {
  SecondRow row(7);
  row[Column::kSent] = 3;
  EXPECT_EQ(RowJson(row), (nlohmann::json{{"unix_s", 7}, {"sent", 3}}));
  const nlohmann::json all = RowJson(row, /*unknown=*/true);
  EXPECT_EQ(all.size(), ColumnNames().size());
  EXPECT_TRUE(all["answered"].is_null());
}

TEST(SecondRow, ANumberThatDoublesRoundIsText) {
  constexpr int64_t kExact = 9'007'199'254'740'991;
  SecondRow row(1'700'000'000);
  row[Column::kGivenTotalFen] = kExact + 2;
  row[Column::kGotTotalFen] = kExact;
  const nlohmann::json values = RowValues(row);
  EXPECT_NE(std::find(values.begin(), values.end(), nlohmann::json("9007199254740993")), values.end());
  EXPECT_NE(std::find(values.begin(), values.end(), nlohmann::json(kExact)), values.end());
}

}  // namespace
}  // namespace hongbao::watch
