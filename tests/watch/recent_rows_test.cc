#include "libhongbao/watch/recent_rows.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace hongbao::watch {
namespace {

// The seconds that GET /v1/series with these parameters answers.
std::vector<int64_t> Seconds(const RecentRows& rows, std::multimap<std::string, std::string> parameters) {
  std::vector<int64_t> seconds;
  const nlohmann::json answer =
      nlohmann::json::parse(rows.Answer(http::Request("GET", "/v1/series", std::move(parameters), "")).body);
  for (const nlohmann::json& row : answer.at("series")) {
    seconds.push_back(row.at("unix_s"));
  }
  return seconds;
}

TEST(RecentRowsTest, TellsWhatIsNew) {
  RecentRows rows;
  EXPECT_TRUE(Seconds(rows, {}).empty());
  for (int64_t second = 100; second < 105; ++second) {
    rows.Add({{"unix_s", second}, {"sent", 7}});
  }
  EXPECT_EQ(Seconds(rows, {}), (std::vector<int64_t>{100, 101, 102, 103, 104}));
  EXPECT_EQ(Seconds(rows, {{"after", "102"}}), (std::vector<int64_t>{103, 104}));
  EXPECT_TRUE(Seconds(rows, {{"after", "104"}}).empty());
}

TEST(RecentRowsTest, KeepsTheLastTwoMinutes) {
  RecentRows rows;
  for (int64_t second = 1; second <= 500; ++second) {
    rows.Add({{"unix_s", second}});
  }
  const std::vector<int64_t> seconds = Seconds(rows, {});
  EXPECT_EQ(seconds.size(), RecentRows::kSecondsMax);
  EXPECT_EQ(seconds.back(), 500);
  EXPECT_EQ(rows.LastUnixSecond(), 500);
  EXPECT_EQ(RecentRows().LastUnixSecond(), 0);
}

TEST(RecentRowsTest, WrongParametersAre400) {
  const RecentRows rows;
  EXPECT_EQ(rows.Answer(http::Request("GET", "/v1/series", {{"after", "x"}}, "")).status, 400);
  EXPECT_EQ(rows.Answer(http::Request("GET", "/v1/series", {{"since", "1"}}, "")).status, 400);
}

}  // namespace
}  // namespace hongbao::watch
