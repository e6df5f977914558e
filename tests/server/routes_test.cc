// The server's admin endpoints over HTTP, on a server that really serves.

#include "server/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>

#include <chrono>
#include <thread>

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
    AddRoutes(admin_, *server_, {.listen = "127.0.0.1:1", .started_ns = 1}, clock_, compat);
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
  http::AdminServer admin_;
  std::unique_ptr<httplib::Client> http_;
};

TEST_F(RoutesTest, OrdersAnswerWithTheirIdsAndTheirSecond) {
  Start(false);
  const int64_t now_s = time::UnixSecond(clock_.WallNs());
  const json shake = PostOk("/v1/envelopes/shake?rate=200&count=6000");
  EXPECT_EQ(shake["first_id"], serve::kFirstShakeId);
  EXPECT_EQ(shake["count"], 6000);
  EXPECT_GT(shake["at"], now_s);
  const json gift = PostOk("/v1/envelopes/gift?rate=2k&count=10&users=5&first_user=10&last_user=20&min_fen=5&max_fen=50&at=" +
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
                            "/replies/refused",
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

// ---- orders: keys, lists, ends ----

TEST_F(RoutesTest, AKeyMakesAnOrderOneHoweverOftenItIsPlaced) {
  Start(false);
  const std::string path = "/v1/envelopes/shake?rate=200&count=6k&key=monday";
  const httplib::Result first = http_->Post(path);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->status, 201);
  for (const std::string& again : {path, std::string("/v1/envelopes/shake?count=6000&key=monday&rate=200&min_fen=10")}) {
    const httplib::Result repeated = http_->Post(again);
    ASSERT_TRUE(repeated);
    EXPECT_EQ(repeated->status, 200);
    EXPECT_EQ(repeated->body, first->body);
  }
  const httplib::Result by_header = http_->Post("/v1/envelopes/shake?rate=200&count=6k", {{"Idempotency-Key", "\"monday\""}}, "",
                                                "application/x-www-form-urlencoded");
  ASSERT_TRUE(by_header);
  EXPECT_EQ(by_header->body, first->body);
  const httplib::Result other = http_->Post("/v1/envelopes/shake?rate=201&count=6k&key=monday");
  ASSERT_TRUE(other);
  EXPECT_EQ(other->status, 409);
  EXPECT_THAT(other->body, HasSubstr("rate=200"));
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?rate=200&count=6k&key="), HasSubstr("key"));
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?rate=200&count=6k&key=" + std::string(129, 'k')), HasSubstr("1..128"));
  EXPECT_THAT(PostWrong("/v1/envelopes/shake?rate=200&count=6k&key=two%20words"), HasSubstr("blanks"));
  EXPECT_EQ(server_->orders(), 1U);
}

TEST_F(RoutesTest, OrdersAreListedShownAndCancelled) {
  Start(false);
  const int64_t later = time::UnixSecond(clock_.WallNs()) + 3'600;
  for (int i = 0; i < 3; ++i) {
    PostOk("/v1/envelopes/shake?rate=200&count=10&min_fen=7&max_fen=7&at=" + std::to_string(later));
  }
  PostOk("/v1/envelopes/gift?rate=2&count=5&users=5&at=" + std::to_string(later));
  const auto get = [&](const std::string& path) { return json::parse(http_->Get(path)->body); };
  json page = get("/v1/envelopes/orders?limit=3");
  EXPECT_EQ(page["count"], 4);
  ASSERT_EQ(page["orders"].size(), 3U);
  page = get("/v1/envelopes/orders?limit=3&after=" + std::to_string(page["next_after"].get<int64_t>()));
  ASSERT_EQ(page["orders"].size(), 1U);
  EXPECT_FALSE(page.contains("next_after"));
  EXPECT_EQ(page["orders"][0]["kind"], "gift");
  EXPECT_EQ(page["orders"][0]["last_user"], 99) << "the last there is";
  const std::string one = "/v1/envelopes/orders?id=" + std::to_string(serve::kFirstShakeId + 10);
  json order = get(one);
  EXPECT_EQ(order["state"], "waiting");
  EXPECT_EQ(order["total_yuan"], "0.70");
  EXPECT_EQ(order["at"], later);
  for (int i = 0; i < 2; ++i) {  // twice is once
    const httplib::Result cancelled = http_->Delete(one);
    ASSERT_TRUE(cancelled);
    EXPECT_EQ(cancelled->status, 200) << cancelled->body;
    order = json::parse(cancelled->body);
    EXPECT_EQ(order["state"], "cancelled");
    EXPECT_EQ(order["issued"].get<int>() + order["cancelled"].get<int>(), 10);
    EXPECT_EQ(order["cancelled_yuan"], "0.70");
  }
  EXPECT_EQ(get(one)["state"], "cancelled");
  EXPECT_EQ(get("/v1/status")["orders"]["cancelled_shakes"], 10);
  EXPECT_EQ(http_->Delete("/v1/envelopes/orders?id=5")->status, 404);
  EXPECT_EQ(http_->Delete("/v1/envelopes/orders?key=nobodys")->status, 404);
  EXPECT_EQ(http_->Delete("/v1/envelopes/orders")->status, 400) << "not all of them by a slip";
  EXPECT_EQ(http_->Delete("/v1/envelopes/orders?id=5&key=k")->status, 400);
  EXPECT_EQ(http_->Delete("/v1/envelopes/orders?di=5")->status, 400);
  EXPECT_EQ(GetStatus("/v1/envelopes/orders?id=5"), 404);
  EXPECT_EQ(GetStatus("/v1/envelopes/orders?limit=0"), 400);
  EXPECT_EQ(GetStatus("/v1/envelopes/orders?limit=1001"), 400);
}

TEST_F(RoutesTest, AnOrderThatHasBeenIssuedIsNotCancelled) {
  Start(false);
  const httplib::Result placed = http_->Post("/v1/envelopes/shake?rate=1000&count=5&key=small");
  ASSERT_TRUE(placed && placed->status == 201);
  while (server_->Look().mint_waiting > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const httplib::Result refused = http_->Delete("/v1/envelopes/orders?key=small");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 409);
  EXPECT_THAT(refused->body, HasSubstr("finished"));
}

TEST_F(RoutesTest, AnOrderThatWouldTakeTheLastIdsIsToldHowManyAreLeft) {
  Start(false);
  const int64_t all = int64_t{serve::kLastShakeId} - serve::kFirstShakeId + 1;
  PostOk("/v1/envelopes/shake?rate=1&count=" + std::to_string(all - 3) +
         "&at=" + std::to_string(time::UnixSecond(clock_.WallNs()) + 3'600));
  const httplib::Result refused = http_->Post("/v1/envelopes/shake?rate=1&count=4");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_THAT(refused->body, HasSubstr("only 3 envelope ids are left"));
}

}  // namespace
}  // namespace hongbao::server
