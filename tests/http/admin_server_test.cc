#include "libhongbao/http/admin_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <future>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "nlohmann/json.hpp"
#include "raw_http.h"

namespace hongbao::http {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpAdminTest : public testing::Test {
 protected:
  HttpAdminTest() {
    admin_.Get("/v1/status", [](const Request&) { return JsonResponse({{"role", "test"}}); });
    admin_.Post("/v1/qps", [this](const Request& request) {
      if (const absl::Status names = request.CheckNames({"qps", "at"}); !names.ok()) {
        return ErrorResponse(names);
      }
      const absl::StatusOr<int64_t> qps = request.Count("qps", 0, 100'000'000);
      const absl::StatusOr<int64_t> at = request.Count("at", 1, 4'000'000'000, 7);
      if (!qps.ok() || !at.ok()) {
        return ErrorResponse(qps.ok() ? at.status() : qps.status());
      }
      qps_ = *qps;
      return JsonResponse({{"qps", *qps}, {"at", *at}});
    });
    admin_.Get("/large", [](const Request&) { return Response{.body = std::string(8 << 20, 'x')}; });
    admin_.Post("/slow", [this](const Request&) {
      slow_runs_.set_value();
      slow_may_end_.get_future().wait();
      return Response{.body = "done"};
    });
    admin_.Get("/accept", [](const Request& request) { return Response{.body = "[" + request.Header("accept") + "]"}; });
    admin_.Get("/throws", [](const Request&) -> Response { throw std::runtime_error("a handler's bug"); });
    const absl::Status started = admin_.Start({.limits = {.request_deadline_ms = 400}});
    EXPECT_TRUE(started.ok()) << started;
  }

  int Connect() const {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(admin_.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return socket;
  }

  // Everything the server answers until it closes.
  static std::string ReadAll(int socket) {
    std::string answer;
    char chunk[4096];
    for (ssize_t got; (got = ::recv(socket, chunk, sizeof chunk, 0)) > 0;) {
      answer.append(chunk, static_cast<size_t>(got));
    }
    return answer;
  }

  std::string Raw(const std::string& bytes) const {
    const int socket = Connect();
    ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    ::shutdown(socket, SHUT_WR);
    const std::string answer = ReadAll(socket);
    ::close(socket);
    return answer;
  }

  std::string Ask(const std::string& method, const std::string& target, const std::string& more = "") const {
    return Raw(method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more + "\r\n");
  }

  void ExpectAlive() const { EXPECT_THAT(Ask("GET", "/-/healthy"), StartsWith("HTTP/1.1 200")); }

  int64_t qps_ = -1;
  std::promise<void> slow_runs_;
  std::promise<void> slow_may_end_;
  AdminServer admin_;
};

// Neither idle peers, nor slow ones, nor a command that takes its time stands before a look.
TEST_F(HttpAdminTest, NobodyWaitsForASlowPeerOrForALongCommand) {
  std::thread command([this] { EXPECT_THAT(Ask("POST", "/slow"), HasSubstr("done")); });
  slow_runs_.get_future().wait();
  std::vector<int> peers;
  for (const char* begun : {"", "GET /v1/sta", "POST /v1/qps HTTP/1.1\r\nContent-Length: 100\r\n\r\nqps",
                            "GET /large HTTP/1.1\r\n\r\n", "POST /v1/qps?qps=5 HTTP/1.1\r\n\r\n"}) {
    for (int i = 0; i < 10; ++i) {
      peers.push_back(Connect());
      ::send(peers.back(), begun, std::strlen(begun), MSG_NOSIGNAL);
    }
  }
  for (int i = 0; i < 10; ++i) {
    ExpectAlive();
    EXPECT_THAT(Ask("GET", "/v1/status"), HasSubstr("{\"role\":\"test\"}"));
    EXPECT_THAT(Ask("GET", "/-/ready"), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_EQ(qps_, -1);  // commands take turns: the long one has not ended
  slow_may_end_.set_value();
  command.join();
  for (const int socket : peers) {
    ::close(socket);
  }
}

TEST_F(HttpAdminTest, AThousandIdlePeersMakeRoomTheOldestFirst) {
  std::vector<int> idle;
  for (int i = 0; i < 1'000; ++i) {
    idle.push_back(Connect());
  }
  ExpectAlive();
  EXPECT_EQ(ReadAll(idle.front()), "");  // long before its deadline or not: it has gone
  EXPECT_GE(admin_.counts().dropped_for_room, 1'000u - HttpLimits{}.connections_max);
  for (const int socket : idle) {
    ::close(socket);
  }
  ExpectAlive();
}

TEST_F(HttpAdminTest, ALargeAnswerArrivesWholeAtAPeerThatReadsSlowly) {
  const int socket = Connect();
  const std::string request = "GET /large HTTP/1.1\r\n\r\n";
  ::send(socket, request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  char chunk[65'536];
  for (ssize_t got; (got = ::recv(socket, chunk, sizeof chunk, 0)) > 0;) {
    answer.append(chunk, static_cast<size_t>(got));
    if (answer.size() < 12 * sizeof chunk) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // in all longer than a request may take
    }
  }
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, size_t{8 << 20});
  ::close(socket);
}

TEST_F(HttpAdminTest, ABodyIsAskedForWhereThePeerWaits) {
  const int socket = Connect();
  const std::string head =
      "POST /v1/qps HTTP/1.1\r\nExpect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\n"
      "Content-Length: 5\r\n\r\n";
  ::send(socket, head.data(), head.size(), MSG_NOSIGNAL);
  const std::string wanted = "HTTP/1.1 100 Continue\r\n\r\n";
  std::string got(wanted.size(), '\0');
  EXPECT_EQ(::recv(socket, got.data(), got.size(), MSG_WAITALL), static_cast<ssize_t>(wanted.size()));
  EXPECT_EQ(got, wanted);
  ::send(socket, "qps=5", 5, MSG_NOSIGNAL);
  EXPECT_THAT(ReadAll(socket), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(qps_, 5);
  ::close(socket);
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=6", "Expect: 100-continue\r\n"), HasSubstr(R"("qps":6)"));
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=7", "Expect: 100-continue\r\nContent-Length: 1000000\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=7", "Expect: tea\r\n"), StartsWith("HTTP/1.1 417"));
  EXPECT_EQ(qps_, 6);
}

TEST_F(HttpAdminTest, BodiesInChunksAndInPieces) {
  const std::string head = "POST /v1/qps HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nqp\r\n3\r\ns=9\r\n0\r\nTrailer: 1\r\n\r\n";
  EXPECT_THAT(Raw(chunked), HasSubstr(R"("qps":9)"));
  const int socket = Connect();
  for (const char byte : chunked) {
    ::send(socket, &byte, 1, MSG_NOSIGNAL);
  }
  EXPECT_THAT(ReadAll(socket), HasSubstr(R"("qps":9)"));
  ::close(socket);
  for (const char* wrong : {"zz\r\n", "5\r\nqps=98\r\n0\r\n\r\n", "-1\r\n\r\n"}) {
    EXPECT_THAT(Raw(head + "Transfer-Encoding: chunked\r\n\r\n" + wrong), StartsWith("HTTP/1.1 400")) << wrong;
  }
  EXPECT_THAT(Raw(head + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n"), StartsWith("HTTP/1.1 413"));
}

// A proxy in front and this process must not read two requests out of one.
TEST_F(HttpAdminTest, TwoReadingsOfOneRequestAreRefused) {
  for (const char* more : {"Content-Length: 5\r\nContent-Length: 0\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                           "Content-Length: +5\r\n", "Content-Length : 5\r\n", "X: a\r\n b\r\n", "Host: a\r\n"}) {
    EXPECT_THAT(Ask("POST", "/v1/qps?qps=1", more), StartsWith("HTTP/1.1 400")) << more;
  }
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=1", "Transfer-Encoding: gzip, chunked\r\n"), StartsWith("HTTP/1.1 501"));
  EXPECT_EQ(qps_, -1);
}

TEST_F(HttpAdminTest, OfPipelinedRequestsTheFirstIsAnsweredAndTheConnectionCloses) {
  const std::string one = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string answer = Raw(one + "POST /v1/qps?qps=4 HTTP/1.1\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_EQ(answer.find("HTTP/1.1", 1), std::string::npos);
  EXPECT_EQ(qps_, -1);
}

TEST(AdminServerTest, NamesThatAreGivenMayAskAlsoThroughAProxy) {
  AdminServer admin;
  admin.Get("/page", [](const Request&) { return Response{.body = "page"}; });
  ASSERT_TRUE(admin.Start({.hosts = {"metrics.example.com"}}).ok());
  const auto ask = [&admin](const std::string& headers) {
    return RawAnswer(admin.port(), "GET /page HTTP/1.1\r\n" + headers + "\r\n");
  };
  for (const char* ours : {"Host: metrics.example.com\r\n", "Host: Metrics.Example.com.:8443\r\n",
                           "Host: metrics.example.com\r\nOrigin: https://metrics.example.com\r\n",
                           "Host: 127.0.0.1:8989\r\nOrigin: https://metrics.example.com:8443\r\n", "Host: [::1]:80\r\n",
                           "Host: localhost\r\nOrigin: http://localhost\r\n", ""}) {
    EXPECT_THAT(ask(ours), StartsWith("HTTP/1.1 200")) << ours;
  }
  for (const char* foreign : {"Host: example.com\r\n", "Host: xmetrics.example.com\r\n", "Host: metrics.example.com.evil.org\r\n",
                              "Host: 127.0.0.1.evil.org\r\n", "Host: 127.0.0.1\r\nOrigin: null\r\n",
                              "Host: 127.0.0.1\r\nOrigin: http://evil.org/metrics.example.com\r\n",
                              "Host: localhost:1\r\nOrigin: http://localhost:2\r\n"}) {
    EXPECT_THAT(ask(foreign), StartsWith("HTTP/1.1 403")) << foreign;
  }
}

TEST_F(HttpAdminTest, ServesRoutesHealthAndReadiness) {
  EXPECT_THAT(Ask("GET", "/v1/status"), HasSubstr("\r\n\r\n{\"role\":\"test\"}\n"));
  EXPECT_THAT(Ask("GET", "/-/healthy"), HasSubstr("ok"));
  EXPECT_THAT(Ask("GET", "/-/ready"), StartsWith("HTTP/1.1 200"));
  admin_.SetReady([] { return false; });
  EXPECT_THAT(Ask("GET", "/-/ready"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Ask("HEAD", "/v1/status"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpAdminTest, PostTakesParametersFromQueryAndForm) {
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=60k&at=99"), HasSubstr(R"({"at":99,"qps":60000})"));
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=1", "Content-Length: 0\r\n"), HasSubstr(R"({"at":7,"qps":1})"));
  const std::string form = "qps=5";
  EXPECT_THAT(Raw("POST /v1/qps HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\n" + form),
              HasSubstr(R"("qps":5)"));
}

// curl -X POST sends neither a length nor an end of its side; waiting for a body would end at the deadline with nothing done.
TEST_F(HttpAdminTest, APostWithoutABodyIsAnsweredWhileThePeerStaysOpen) {
  for (const char* more : {"", "Content-Length: 0\r\n"}) {
    const int socket = Connect();
    const std::string request = std::string("POST /v1/qps?qps=8 HTTP/1.1\r\nHost: 127.0.0.1\r\n") + more + "\r\n";
    ::send(socket, request.data(), request.size(), MSG_NOSIGNAL);
    EXPECT_THAT(ReadAll(socket), StartsWith("HTTP/1.1 200")) << more;
    ::close(socket);
  }
}

TEST_F(HttpAdminTest, WrongMethodIs405WithAllow) {
  EXPECT_THAT(Ask("GET", "/v1/qps?qps=5"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask("GET", "/v1/qps?qps=5"), HasSubstr("Allow: POST"));
  EXPECT_THAT(Ask("POST", "/v1/status"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask("DELETE", "/v1/status"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask("OPTIONS", "/v1/status"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask("GET", "/nowhere"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Ask("GET", "/../../etc/passwd"), StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(qps_, -1);
}

// The prototype divided by zero on qps=0 and let second*qps overflow. Zero is a rate like any other; nonsense is
// refused with the reason.
TEST_F(HttpAdminTest, Defect24_RatesOfZeroOverflowAndNonsenseAreAnsweredNotObeyed) {
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=0"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(qps_, 0);
  for (const char* wrong : {"", "?qps=", "?qps=-1", "?qps=4294967297k", "?qps=99999999999999999999", "?qps=1e3", "?qps=0x10",
                            "?qps=abc", "?qps=1&qps=2", "?qps=%00", "?qps=1&speed=2", "?qps=1&at=0", "?qps=1&at=x", "?qps=%zz"}) {
    const std::string answer = Ask("POST", std::string("/v1/qps") + wrong);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400")) << wrong;
    EXPECT_THAT(answer, HasSubstr("{\"error\":\"parameter '")) << wrong;
  }
  EXPECT_EQ(qps_, 0);
}

// The prototype served its money-minting HTTP on 0.0.0.0.
TEST(AdminServerTest, Defect22_AdminServesOnLoopbackOnly) {
  for (const char* host : {"0.0.0.0", "10.0.0.1", "::", "192.168.1.1"}) {
    AdminServer admin;
    const absl::Status status = admin.Start({.host = host});
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << host;
    EXPECT_THAT(std::string(status.message()), HasSubstr("use 127.0.0.1"));
  }
  AdminServer admin;
  ASSERT_TRUE(admin.Start({}).ok());
  EXPECT_THAT(admin.address(), StartsWith("127.0.0.1:"));
  AdminServer remote;
  EXPECT_TRUE(remote.Start({.host = "0.0.0.0", .allow_remote = true}).ok());
}

TEST_F(HttpAdminTest, OtherSitesPagesAreRefused) {
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=9", "Origin: http://evil.example\r\n"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(Raw("GET /v1/status HTTP/1.1\r\nHost: rebound.example:8989\r\n\r\n"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(Raw("GET /v1/status HTTP/1.1\r\nHost: localhost:8989\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(qps_, -1);
}

TEST(AdminServerTest, AnOccupiedPortIsSaidWithTheCure) {
  AdminServer first;
  ASSERT_TRUE(first.Start({}).ok());
  AdminServer second;
  const absl::Status status = second.Start({.port = first.port()});
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Address already in use"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--admin"));
}

TEST(AdminServerTest, APortIsFreeAgainAfterStop) {
  AdminServer first;
  ASSERT_TRUE(first.Start({}).ok());
  const uint16_t port = first.port();
  first.Stop();
  first.Stop();
  AdminServer second;
  const absl::Status again = second.Start({.port = port});
  EXPECT_TRUE(again.ok()) << again;
}

TEST_F(HttpAdminTest, AHandlerReadsHeadersWhateverTheirCase) {
  EXPECT_THAT(Ask("GET", "/accept"), HasSubstr("[]"));
  EXPECT_THAT(Ask("GET", "/accept", "ACCEPT: text/plain\r\n"), HasSubstr("[text/plain]"));
  EXPECT_THAT(Ask("GET", "/accept", "accept: a/b\r\nAccept: c/d\r\n"), HasSubstr("[a/b, c/d]"));
}

TEST_F(HttpAdminTest, AThrowingHandlerIs500) {
  EXPECT_THAT(Ask("GET", "/throws"), StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(Ask("GET", "/throws"), HasSubstr("a handler's bug"));
  ExpectAlive();
}

TEST_F(HttpAdminTest, GarbageDoesNotBringItDown) {
  std::minstd_rand random(1);
  for (int round = 0; round < 200; ++round) {
    std::string bytes(random() % 3000, '\0');
    for (char& byte : bytes) {
      byte = static_cast<char>(random());
    }
    // Half of them look like a request at first.
    Raw(round % 2 == 0 ? bytes + "\r\n\r\n" : "POST /v1/qps?" + bytes + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + bytes + "\r\n\r\n");
  }
  for (const char* line :
       {"", "\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "BREW / HTTP/1.1\r\n\r\n",
        "GET /v1/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "POST /v1/qps HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST /v1/qps HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "POST /v1/qps HTTP/1.1\r\nContent-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc"}) {
    Raw(line);
  }
  ExpectAlive();
}

TEST_F(HttpAdminTest, WhatHttplibHandlesBadlyStaysOutside) {
  EXPECT_THAT(Ask("GET", "/v1/status", "Range: bytes=99999-100000\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask("GET", "/v1/status", "rAnGe: bytes=99999999999999999999-\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=1", "Content-Encoding: br\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(qps_, -1);
  ExpectAlive();
}

TEST_F(HttpAdminTest, HugeHeadsAndBodiesAreCutOff) {
  EXPECT_THAT(Ask("GET", "/" + std::string(1 << 20, 'a')), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(Ask("GET", "/v1/status", "X: " + std::string(20'000, 'x') + "\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(Ask("GET", "/" + std::string(15'000, 'a')), StartsWith("HTTP/1.1 414"));
  EXPECT_THAT(Ask("POST", "/v1/qps?qps=3", "Content-Length: 1000000\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_EQ(qps_, -1);
  ExpectAlive();
}

// A thread is lost to a slow peer for the deadline at most, however it spreads its bytes.
TEST_F(HttpAdminTest, SlowPeersAreLeftAfterTheDeadline) {
  std::vector<int> silent;
  for (int i = 0; i < 8; ++i) {  // twice the threads
    silent.push_back(Connect());
  }
  const int drip = Connect();
  std::thread dripper([drip] {
    while (::send(drip, "G", 1, MSG_NOSIGNAL) == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  EXPECT_EQ(ReadAll(drip), "");
  ExpectAlive();
  dripper.join();
  for (const int socket : silent) {
    EXPECT_EQ(ReadAll(socket), "");
    ::close(socket);
  }
  ::close(drip);
}

TEST_F(HttpAdminTest, StopDoesNotWaitForSilentPeers) {
  std::vector<int> silent;
  for (int i = 0; i < 50; ++i) {
    silent.push_back(Connect());
  }
  admin_.Stop();
  for (const int socket : silent) {
    ::close(socket);
  }
}

TEST(ResponseTest, StatusesBecomeHttpStatuses) {
  EXPECT_EQ(ErrorResponse(absl::InvalidArgumentError("x")).status, 400);
  EXPECT_EQ(ErrorResponse(absl::NotFoundError("x")).status, 404);
  EXPECT_EQ(ErrorResponse(absl::UnavailableError("x")).status, 503);
  EXPECT_EQ(ErrorResponse(absl::InternalError("x")).status, 500);
  EXPECT_EQ(ErrorResponse(absl::InternalError("it said \"no\"")).body, "{\"error\":\"it said \\\"no\\\"\"}\n");
}

}  // namespace
}  // namespace hongbao::http
