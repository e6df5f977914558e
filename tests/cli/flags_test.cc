#include "libhongbao/cli/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace hongbao::cli {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(ParseCountTest, ReadsUnitsOfThousand) {
  EXPECT_EQ(ParseCount("0").value(), 0);
  EXPECT_EQ(ParseCount("20000").value(), 20'000);
  EXPECT_EQ(ParseCount("20,000").value(), 20'000);
  EXPECT_EQ(ParseCount("60k").value(), 60'000);
  EXPECT_EQ(ParseCount("1M").value(), 1'000'000);
  EXPECT_EQ(ParseCount("1.5M").value(), 1'500'000);
  EXPECT_EQ(ParseCount("10G").value(), 10'000'000'000);
  EXPECT_EQ(ParseCount("9223372036854775807").value(), std::numeric_limits<int64_t>::max());
}

TEST(ParseCountTest, RefusesWithTheReasonAndAnExample) {
  for (const char* wrong :
       {"", "k", "-1", "+1", " 1", "1 ", "1x", "1kk", "0x10", "1e6", ".5k", "1.", "2,00", "1,2,3", ",100", "nan"}) {
    const absl::StatusOr<int64_t> count = ParseCount(wrong);
    ASSERT_FALSE(count.ok()) << wrong;
    EXPECT_THAT(Message(count.status()), HasSubstr("60k")) << wrong;
    EXPECT_THAT(Message(count.status()), HasSubstr(std::string("'") + wrong + "'"));
  }
  EXPECT_THAT(Message(ParseCount("9223372036854775808").status()), HasSubstr("is not a count"));
  EXPECT_THAT(Message(ParseCount("10000000000G").status()), HasSubstr("too large"));
  EXPECT_THAT(Message(ParseCount("1.0001k").status()), HasSubstr("whole"));
  EXPECT_FALSE(ParseCount(absl::string_view("5\0k", 3)).ok());
}

TEST(ParseDurationTest, ReadsEveryUnit) {
  EXPECT_EQ(ParseDurationNs("100us").value(), 100'000);
  EXPECT_EQ(ParseDurationNs("250ns").value(), 250);
  EXPECT_EQ(ParseDurationNs("30ms").value(), 30'000'000);
  EXPECT_EQ(ParseDurationNs("1.5s").value(), 1'500'000'000);
  EXPECT_EQ(ParseDurationNs("240s").value(), 240'000'000'000);
  EXPECT_EQ(ParseDurationNs("2m").value(), 120'000'000'000);
  EXPECT_EQ(ParseDurationNs("24h").value(), 86'400'000'000'000);
  EXPECT_EQ(ParseDurationNs("0").value(), 0);
  EXPECT_EQ(ParseDurationMs("5s").value(), 5'000);
}

TEST(ParseDurationTest, RefusesABareNumberAndRounding) {
  EXPECT_THAT(Message(ParseDurationNs("5").status()), HasSubstr("has no unit"));
  EXPECT_THAT(Message(ParseDurationNs("5d").status()), HasSubstr("unknown unit 'd'"));
  EXPECT_THAT(Message(ParseDurationMs("100us").status()), HasSubstr("whole number of milliseconds"));
  EXPECT_FALSE(ParseDurationNs("-5s").ok());
  EXPECT_THAT(Message(ParseDurationNs("9999999999h").status()), HasSubstr("too large"));
}

TEST(ParseUsersTest, ReadsRanges) {
  const UserRange half = ParseUsers("0-499999/1M").value();
  EXPECT_EQ(half.first, 0u);
  EXPECT_EQ(half.last, 499'999u);
  EXPECT_EQ(half.total, 1'000'000u);
  EXPECT_EQ(half.Count(), 500'000u);
  EXPECT_EQ(ParseUsers("20k").value().last, 19'999u);
  EXPECT_EQ(ParseUsers("7-7/8").value().Count(), 1u);
}

TEST(ParseUsersTest, RefusesEmptyReversedAndOutside) {
  EXPECT_THAT(Message(ParseUsers("0-1M/1M").status()), HasSubstr("the last of 1000000 users is 999999"));
  EXPECT_THAT(Message(ParseUsers("9-3/10").status()), HasSubstr("comes after"));
  for (const char* wrong : {"", "0", "0-0/0", "1-2", "1/2", "-", "/", "1-/2", "-1/2", "1-2/", "a-b/c", "5/1-2", "0-1/5G"}) {
    EXPECT_FALSE(ParseUsers(wrong).ok()) << wrong;
  }
}

TEST(ParseSourcesTest, ReadsAddressesRangesAndBlocks) {
  const Sources sources = ParseSources("10.0.0.9,10.0.1.1-10.0.1.3,127.0.0.0/8").value();
  EXPECT_EQ(sources.Count(), 1u + 3u + 16'777'214u);
  EXPECT_EQ(sources.At(0).HostToString(), "10.0.0.9");
  EXPECT_EQ(sources.At(3).HostToString(), "10.0.1.3");
  EXPECT_EQ(sources.At(4).HostToString(), "127.0.0.1");
  EXPECT_EQ(sources.At(sources.Count() - 1).HostToString(), "127.255.255.254");
  EXPECT_EQ(ParseSources("10.0.0.7/32").value().Count(), 1u);
  EXPECT_EQ(ParseSources("10.0.0.7/31").value().Count(), 2u);
  EXPECT_EQ(ParseSources("10.0.0.7/24").value().At(0).HostToString(), "10.0.0.1");
}

TEST(ParseSourcesTest, ReadsIpv6) {
  const Sources sources = ParseSources("2001:db8::9,2001:db8::ff-2001:db8::101,2001:db8:1::7/120").value();
  EXPECT_EQ(sources.Count(), 1u + 3u + 255u);
  EXPECT_EQ(sources.At(0).HostToString(), "2001:db8::9");
  EXPECT_EQ(sources.At(2).HostToString(), "2001:db8::100");
  EXPECT_EQ(sources.At(4).HostToString(), "2001:db8:1::1");
  EXPECT_EQ(sources.At(258).HostToString(), "2001:db8:1::ff");
  EXPECT_EQ(ParseSources("::1").value().At(0).HostToString(), "::1");
  EXPECT_EQ(ParseSources("2001:db8::/64").value().Count(), 4'294'967'294u) << "more than anybody needs";
  EXPECT_EQ(ParseSources("2001:db8::7/128").value().At(0).HostToString(), "2001:db8::7");
}

TEST(ParseSourcesTest, Refuses) {
  for (const char* wrong :
       {"", ",", "10.0.0.1,", "10.0.0", "::1::", "10.0.0.9-10.0.0.1", "10.0.0.0/33", "10.0.0.0/0", "10.0.0.0/",
        "0.0.0.0-255.255.255.255", "::1-10.0.0.1", "2001:db8::2-2001:db8::1", "::/129", "name", "[::1]"}) {
    EXPECT_FALSE(ParseSources(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace hongbao::cli
