#include "libhongbao/watch/row_printer.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace hongbao::watch {
namespace {

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

TEST(RowPrinterDeathTest, RowsHaveACellForEachColumn) {
  RowPrinter rows(stderr, {{"n", 3}, {"m", 3}});
  EXPECT_DEATH(rows.Row({"1"}), "one cell for each column");
}

}  // namespace
}  // namespace hongbao::watch
