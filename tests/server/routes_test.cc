// The server's admin endpoints over HTTP, on a server that really serves.

#include "server/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>

namespace hongbao::server {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class RoutesTest : public testing::Test {
 protected:
  void Start(bool compat) {
    absl::StatusOr<std::unique_ptr<serve::Server>> started =
        serve::Server::Start({.listen_address = SocketAddress::Ipv4(INADDR_LOOPBACK),
                              .users_max = 100,
                              .connections_max = 10,
                              .workers = 1,
                              .gifts_max = 256},
                             &clock_);
    ASSERT_TRUE(started.ok()) << started.status().message();
    server_ = *std::move(started);
    AddRoutes(admin_, *server_, {.listen = "127.0.0.1:1", .started_unix_s = 1}, clock_, compat);
    ASSERT_TRUE(admin_.Start({}).ok());
    http_ = std::make_unique<httplib::Client>("127.0.0.1", admin_.port());
  }
  void TearDown() override { admin_.Stop(); }

  json PostOk(const std::string& path) {
    const httplib::Result result = http_->Post(path);
    EXPECT_TRUE(result && result->status == 200) << path << (result ? result->body : " no answer");
    return result ? json::parse(result->body) : json();
  }
  // The reason of a 400.
  std::string PostWrong(const std::string& path) {
    const httplib::Result result = http_->Post(path);
    EXPECT_TRUE(result && result->status == 400) << path << (result ? result->body : " no answer");
    return result ? json::parse(result->body)["error"].get<std::string>() : "";
  }
  int GetStatus(const std::string& path) {
    const httplib::Result result = http_->Get(path);
    return result ? result->status : 0;
  }

  time::RealClock clock_;
  std::unique_ptr<serve::Server> server_;
  admin::AdminServer admin_;
  std::unique_ptr<httplib::Client> http_;
};

TEST_F(RoutesTest, OrdersAnswerWithTheirIdsAndTheirSecond) {
  Start(false);
  const int64_t now_s = time::UnixSecond(clock_.WallNs());
  const json shake = PostOk("/v1/envelopes/shake?rate=200&count=6000");
  EXPECT_EQ(shake["first_id"], serve::kFirstShakeId);
  EXPECT_EQ(shake["count"], 6000);
  EXPECT_GT(shake["at"], now_s);
  const json gift =
      PostOk("/v1/envelopes/gift?rate=2k&count=10&users=5&first_user=10&last_user=20&min_fen=5&max_fen=50&at=" +
             std::to_string(now_s + 3600) + "&seed=7");
  EXPECT_EQ(gift["first_id"], serve::kFirstMintedGiftId);
  EXPECT_EQ(gift["at"], now_s + 3600);
  EXPECT_GE(server_->Look().mint_waiting, 10);
}

TEST_F(RoutesTest, Defect24_WrongOrdersAreRefusedWithTheirReason) {
  Start(false);
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?rate=0&count=5"), HasSubstr("rate"));
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?rate=-1&count=5"), HasSubstr("rate"));
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?count=5"), HasSubstr("rate"));
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?rate=5&count=99999999999999999999"), HasSubstr("count"));
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?rate=5&count=5&cuont=5"), HasSubstr("cuont"));
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?rate=5&count=5&at=1"), HasSubstr("at"));
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?rate=5&count=5&min_fen=9&max_fen=8"), HasSubstr("fen"));
  EXPECT_THAT(PostWrong("/v1/envelopes/gift?rate=5&count=5&users=51"), HasSubstr("users"));
  EXPECT_THAT(PostWrong("/v1/envelopes/gift?rate=5&count=5&last_user=100"), HasSubstr("last_user"));
  EXPECT_EQ(server_->Look().mint_waiting, 0) << "nothing was ordered";
}

TEST_F(RoutesTest, Defect22_NobodyMintsMoneyByFollowingALink) {
  Start(false);
  EXPECT_EQ(GetStatus("/v1/envelopes/shake?rate=5&count=5"), 405);
  EXPECT_EQ(GetStatus("/v1/envelopes/gift?rate=5&count=5"), 405);
  EXPECT_EQ(GetStatus("/yaohongbao?qps=5&sum=5"), 404);
  EXPECT_EQ(GetStatus("/fahongbao?qps=5&sum=5&min=0&max=50"), 404);
  EXPECT_EQ(server_->Look().mint_waiting, 0);
}

TEST_F(RoutesTest, ThePrototypesLinksWorkWhenAskedFor) {
  Start(true);
  EXPECT_EQ(GetStatus("/yaohongbao?qps=5&sum=5000"), 200);
  EXPECT_EQ(GetStatus("/fahongbao?qps=5&sum=5000&min=0&max=50"), 200);
  EXPECT_EQ(GetStatus("/fahongbao?qps=5&sum=5&min=7&max=7"), 400) << "min = max: the prototype crashed";
  EXPECT_EQ(GetStatus("/fahongbao?qps=5&sum=5&min=0&max=101"), 400);
  EXPECT_EQ(GetStatus("/yaohongbao?qps=0&sum=5"), 400);
  EXPECT_GE(server_->Look().mint_waiting, 9'900);
}

TEST_F(RoutesTest, ReadyUntilItDrains) {
  Start(false);
  EXPECT_EQ(GetStatus("/-/healthy"), 200);
  EXPECT_EQ(GetStatus("/-/ready"), 200);
  server_->Drain(1'000);
  EXPECT_EQ(GetStatus("/-/ready"), 503);
  EXPECT_EQ(GetStatus("/-/healthy"), 200);
  const httplib::Result refused = http_->Post("/v1/envelopes/shake?rate=5&count=5");
  ASSERT_TRUE(refused);
  EXPECT_GE(refused->status, 400);
}

TEST_F(RoutesTest, TheStatusPageHasTheFieldsThatScriptsRead) {
  Start(false);
  const httplib::Result result = http_->Get("/v1/status");
  ASSERT_TRUE(result);
  const json status = json::parse(result->body);
  for (const char* field : {"/role",
                            "/version",
                            "/pid",
                            "/unix_s",
                            "/uptime_s",
                            "/listen",
                            "/draining",
                            "/ready",
                            "/connections/live",
                            "/connections/accepted",
                            "/connections/closed",
                            "/connections/closed_by/malformed",
                            "/users/online",
                            "/users/max",
                            "/requests/received",
                            "/requests/replied",
                            "/requests/refused",
                            "/requests/dropped",
                            "/requests_by_type/login",
                            "/requests_by_type/shake",
                            "/requests_by_type/open",
                            "/requests_by_type/send",
                            "/requests_by_type/statement",
                            "/replies/won",
                            "/replies/nothing",
                            "/replies/cap",
                            "/replies/overload",
                            "/shake/issued",
                            "/shake/issued_fen",
                            "/shake/won",
                            "/shake/won_fen",
                            "/shake/left",
                            "/shake/left_fen",
                            "/gifts/sent",
                            "/gifts/sent_fen",
                            "/gifts/shares",
                            "/gifts/opened",
                            "/gifts/opened_fen",
                            "/gifts/left_shares",
                            "/gifts/left_fen",
                            "/gifts/refunded_shares",
                            "/gifts/refunded_fen",
                            "/gifts/notices",
                            "/gifts/refused",
                            "/memory/rss_bytes",
                            "/cpu/user_s",
                            "/cpu/system_s",
                            "/rings"}) {
    EXPECT_TRUE(status.contains(json::json_pointer(field))) << field;
  }
  EXPECT_EQ(status["role"], "server");
  EXPECT_EQ(status["users"]["max"], 100);
}

}  // namespace
}  // namespace hongbao::server
