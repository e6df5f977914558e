#include "libhongbao/watch/watch.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "tests/http/raw_http.h"

namespace hongbao::watch {
namespace {

TEST(WatchTest, ASecondIsOnEveryPage) {
  const time::RealClock clock;
  Watch watch({.role = "server", .title = "a server", .columns = {{"second", 8}, {"sent", 4}}}, clock);
  http::AdminServer server;
  watch.AddTo(server, [] { return Families{CounterOf("hongbao_tests_total", "Tests.", uint64_t{4})}; });
  ASSERT_TRUE(server.Start({}).ok());
  EXPECT_EQ(watch.LastUnixSecond(), 0);
  SecondRow row(1'486'824'165);
  row[Column::kSent] = 7;
  testing::internal::CaptureStdout();
  watch.Take({.row = row, .document = RowJson(row), .cells = {"22:42:45", "7"}});
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "  second sent\n22:42:45    7\n");
  EXPECT_EQ(watch.LastUnixSecond(), 1'486'824'165);
  const auto get = [&server](const std::string& target) { return http::RawAnswer(server.port(), http::Head("GET", target)); };
  const std::string series = get("/v1/series");
  EXPECT_EQ(nlohmann::json::parse(series.substr(series.find("\r\n\r\n")))["series"][0]["sent"], 7) << series;
  EXPECT_TRUE(absl::StrContains(get("/v1/history"), "[1486824165,null,")) << get("/v1/history");
  EXPECT_TRUE(absl::StrContains(get("/metrics"), "hongbao_tests_total 4"));
  EXPECT_TRUE(absl::StrContains(get("/"), "a server"));
}

TEST(WatchTest, JsonTakesThePlaceOfRowsAndQuietSilencesBoth) {
  const time::RealClock clock;
  const SecondRow row(7);
  const auto shown = [&](bool quiet, bool json) {
    Watch watch({.role = "client", .columns = {{"second", 8}}, .quiet = quiet, .json = json}, clock);
    testing::internal::CaptureStdout();
    watch.Take({.row = row, .document = RowJson(row), .cells = {"7"}});
    return testing::internal::GetCapturedStdout();
  };
  EXPECT_EQ(shown(false, true), "{\"unix_s\":7}\n");
  EXPECT_EQ(shown(true, true), "");
  EXPECT_EQ(shown(true, false), "");
}

}  // namespace
}  // namespace hongbao::watch
