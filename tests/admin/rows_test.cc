#include "libhongbao/admin/rows.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <string>

namespace hongbao::admin {
namespace {

TEST(RowsTest, NumbersLookAsPeopleWriteThem) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1'000), "1,000");
  EXPECT_EQ(WithCommas(-1'234'567), "-1,234,567");
  EXPECT_EQ(WithCommas(std::numeric_limits<int64_t>::min()), "-9,223,372,036,854,775,808");
  EXPECT_EQ(Short(9'999), "9,999");
  EXPECT_EQ(Short(20'000), "20.0k");
  EXPECT_EQ(Short(500'000), "500k");
  EXPECT_EQ(Short(1'000'000), "1.00M");
  EXPECT_EQ(Short(999'600), "1.00M");
  EXPECT_EQ(Short(14'000'000), "14.0M");
  EXPECT_EQ(Milliseconds(90'000), "0.09");
  EXPECT_EQ(Milliseconds(1'290'000), "1.3");
  EXPECT_EQ(Milliseconds(134'000'000), "134");
  EXPECT_EQ(Yuan(1'036'731), "10,367.31");
  EXPECT_EQ(Yuan(-5), "-0.05");
  EXPECT_EQ(Yuan(0), "0.00");
  EXPECT_EQ(UtcStamp(1'794'998'703), "20261118-104503");
  EXPECT_EQ(ClockTime(0).size(), 8u);
}

class RowPrinterTest : public testing::Test {
 protected:
  ~RowPrinterTest() override { std::fclose(file_); }

  std::string Printed() {
    std::string text(4096, '\0');
    std::rewind(file_);
    text.resize(std::fread(text.data(), 1, text.size(), file_));
    return text;
  }

  std::FILE* file_ = std::tmpfile();
};

TEST_F(RowPrinterTest, OneHeaderInAPipeAndColumnsInPlace) {
  RowPrinter rows(file_, {{"second", 8}, {"sent", 6}, {"won", 5, true}});
  for (int i = 0; i < 30; ++i) {
    rows.Row({"10:00:00", "3,000", "200"});
  }
  const std::string text = Printed();
  const std::string row = "10:00:00  3,000 |   200\n";
  EXPECT_EQ(text.substr(0, 2 * row.size()), "  second   sent |   won\n" + row);
  EXPECT_EQ(text.size(), 31 * row.size());
}

TEST_F(RowPrinterTest, AWideCellKeepsItsDigits) {
  RowPrinter rows(file_, {{"n", 3}, {"m", 3}});
  rows.Row({"123456", "1"});
  EXPECT_EQ(Printed(), "  n   m\n123456   1\n");
}

TEST_F(RowPrinterTest, QuietPrintsNothing) {
  RowPrinter rows(file_, {{"n", 3}}, true);
  rows.Row({"1"});
  EXPECT_EQ(Printed(), "");
}

TEST_F(RowPrinterTest, HeaderComesAgainOnRequest) {
  RowPrinter rows(file_, {{"n", 3}});
  rows.Row({"1"});
  rows.RepeatHeader();
  rows.Row({"2"});
  EXPECT_EQ(Printed(), "  n\n  1\n  n\n  2\n");
}

TEST(RowPrinterDeathTest, RowsHaveACellForEachColumn) {
  RowPrinter rows(stderr, {{"n", 3}, {"m", 3}});
  EXPECT_DEATH(rows.Row({"1"}), "one cell for each column");
}

}  // namespace
}  // namespace hongbao::admin
