#include "libhongbao/watch/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "nlohmann/json.hpp"
#include "tests/http/raw_http.h"

namespace hongbao::watch {
namespace {

using nlohmann::json;
using ::testing::StartsWith;

SecondRow RowAt(int64_t unix_s) {
  SecondRow row(unix_s);
  row.Set(Column::kSent, static_cast<uint64_t>(unix_s) * 10);
  row[Column::kDifferenceFen] = -unix_s;
  return row;
}

class PageTest : public testing::Test {
 protected:
  PageTest() {
    page_.AddTo(admin_);
    const absl::Status started = admin_.Start({});
    EXPECT_TRUE(started.ok()) << started;
  }

  std::string Get(const std::string& target) const { return http::RawAnswer(admin_.port(), http::Head("GET", target)); }
  json History(const std::string& query = "") const {
    const std::string answer = Get("/v1/history" + query);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
    return json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
  }

  Page page_{"server", "a \"title\" </script>\xff"};  // outlives the server
  http::AdminServer admin_;
};

TEST_F(PageTest, BeforeAnyDataThereIsAPageAndAnEmptyHistory) {
  const std::string page = Get("/");
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(absl::StrContains(page, "text/html; charset=utf-8"));
  EXPECT_TRUE(absl::EndsWith(page, "</html>\n")) << page.substr(page.size() - 80);
  EXPECT_TRUE(absl::StrContains(page, R"(const PAGE = {"role":"server","title":"a \"title\" \u003c/script>)"));
  const json history = History();
  EXPECT_EQ(history["role"], "server");
  EXPECT_EQ(history["columns"], ColumnNames());
  EXPECT_EQ(history["rows"], json::array());
  EXPECT_THAT(history["title"].get<std::string>(), StartsWith("a \"title\" </script>"));
}

TEST_F(PageTest, TheHistoryHasTheRowsAfterASecond) {
  for (int64_t unix_s = 100; unix_s < 110; ++unix_s) {
    page_.Publish(RowAt(unix_s));
  }
  const json history = History();
  ASSERT_EQ(history["rows"].size(), 10u);
  EXPECT_EQ(history["rows"][0], RowValues(RowAt(100)));
  EXPECT_EQ(history["rows"][9], RowValues(RowAt(109)));
  EXPECT_EQ(History("?after=107")["rows"].size(), 2u);
  EXPECT_EQ(History("?after=109")["rows"].size(), 0u);
  for (const char* wrong : {"?after=x", "?after=-1", "?after=", "?after=1&after=2", "?before=1"}) {
    EXPECT_THAT(Get(std::string("/v1/history") + wrong), StartsWith("HTTP/1.1 400")) << wrong;
  }
}

TEST_F(PageTest, AnHourIsKept) {
  for (int64_t unix_s = 1; unix_s <= 4'000; ++unix_s) {
    page_.Publish(RowAt(unix_s));
  }
  const json rows = History()["rows"];
  ASSERT_EQ(rows.size(), Page::kSecondsMax);
  EXPECT_EQ(rows.front(), RowValues(RowAt(401)));
  EXPECT_EQ(rows.back(), RowValues(RowAt(4'000)));
}

TEST_F(PageTest, ASecondThatHasBeenIsLeftOut) {
  page_.Publish(RowAt(5));
  page_.Publish(RowAt(5));
  page_.Publish(RowAt(4));
  page_.Publish(RowAt(6));
  const json rows = History()["rows"];
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1], RowValues(RowAt(6)));
}

TEST_F(PageTest, AnEventIsTheHistorysRow) {
  http::RawPeer peer(admin_.port());
  peer.Send(http::Head("GET", "/events"));
  peer.ReadTo("\n\n");
  page_.Publish(RowAt(1'486'824'165));
  EXPECT_EQ(peer.ReadTo("\n\n"), "id: 1486824165\ndata: " + History()["rows"][0].dump() + "\n\n");
}

TEST_F(PageTest, EveryValueOfARowSurvives) {
  SecondRow row(7);
  int64_t value = 0;
  for (const auto& column : kColumns) {
    row[column.id] = column.id == Column::kUnixS ? 7 : value % 3 == 0 ? SecondRow::kUnknown : value * 4'000'000'000'007;
    ++value;
  }
  page_.Publish(row);
  EXPECT_EQ(History()["rows"][0], RowValues(row));
}

}  // namespace
}  // namespace hongbao::watch
