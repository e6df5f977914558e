#include "libhongbao/cli/numbers.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace hongbao::cli {
namespace {

TEST(NumbersTest, NumbersLookAsPeopleWriteThem) {
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
  EXPECT_EQ(ClockTime(0).size(), 8u);
}

}  // namespace
}  // namespace hongbao::cli
