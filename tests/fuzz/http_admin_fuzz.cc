// Any bytes, in any pieces, to the HTTP side of a process, over a real connection: what comes back is one whole HTTP
// answer or the end of the connection, within the deadlines, and the next good request is answered.
//
// The input starts from a real request (its first byte says which) or from nothing, is told where to change it and
// where to cut it, and whether its sender then ends or waits.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "libhongbao/check.h"
#include "libhongbao/http/admin_server.h"
#include "libhongbao/watch/metrics.h"
#include "libhongbao/watch/page.h"
#include "libhongbao/watch/recent_rows.h"
#include "nlohmann/json.hpp"

namespace hongbao::watch {
namespace {

constexpr timeval kPatience{.tv_sec = 60, .tv_usec = 0};  // a hundred deadlines: only a hang takes so long
constexpr std::array<const char*, 16> kSeeds = {
    "",
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:8989\r\nAccept: text/html\r\n\r\n",
    "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    "GET /v1/series?after=1700000000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /v1/history?after=1700000000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: 1700000000\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5\r\n\r\n",
    "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /v1/qps?qps=60k&at=1700000000&name=peak HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /v1/qps HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "
    "20\r\n\r\nqps=60k&name=a%20b&at",
    "POST /v1/qps HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nqps=60k\r\n0\r\n\r\n",
    "POST /v1/qps HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=xx\r\nContent-Length: "
    "70\r\n\r\n--xx\r\nContent-Disposition: form-data; name=\"qps\"\r\n\r\n60k\r\n--xx--\r\n",
    "GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\nGET /-/healthy HTTP/1.1\r\n\r\n",
    "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1,2-3\r\nExpect: 100-continue\r\n\r\n",
    "GET /v1/status HTTP/1.1\r\nHost: rebound.example\r\nOrigin: http://rebound.example\r\n\r\n",
    "OPTIONS * HTTP/1.0\n\n",
};

// The input as numbers; zeros when it has ended.
class Script {
 public:
  Script(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool ended() const { return left_ == 0; }
  uint8_t Take() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::string Rest() { return {reinterpret_cast<const char*>(data_), std::exchange(left_, 0)}; }

 private:
  const uint8_t* data_;
  size_t left_;
};

class Door {
 public:
  Door() : rows_(), page_("server", "fuzz"), metrics_("server") {
    page_.AddTo(admin_);
    metrics_.AddTo(admin_);
    admin_.Get("/v1/status", [](const http::Request&) { return http::JsonResponse({{"role", "server"}}); });
    admin_.Get("/v1/series", [this](const http::Request& request) { return rows_.Answer(request); });
    admin_.Post("/v1/qps", [](const http::Request& request) {
      const absl::StatusOr<int64_t> qps = request.Count("qps", 0, 1'000'000);
      const absl::StatusOr<int64_t> at = request.Count("at", 0, int64_t{1} << 40, 0);
      const absl::StatusOr<std::string> name = request.Text("name");
      for (const absl::Status& status : {request.CheckNames({"qps", "at", "name"}), qps.status(), at.status()}) {
        if (!status.ok()) return http::ErrorResponse(status);
      }
      return http::JsonResponse({{"qps", *qps}, {"name", name.value_or("")}, {"body", request.body()}});
    });
    Check(admin_.Start({.limits = {.head_bytes_max = 2'048, .body_bytes_max = 4'096, .request_deadline_ms = 400}}).ok(),
          "it listens");
  }

  int Connect() const {
    const int peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(admin_.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    Check(::connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "it takes connections");
    return peer;
  }

  // A second passes: a row, and those who look on and are gone are noticed.
  void Tick() { page_.Publish(SecondRow(++second_)); }

 private:
  RecentRows rows_;
  Page page_;
  MetricsPage metrics_;
  http::AdminServer admin_;
  int64_t second_ = 1'700'000'000;
};

void Send(int peer, absl::string_view bytes) {
  // The other side may have answered and closed already: then the rest has nobody to go to.
  [[maybe_unused]] const ssize_t sent = ::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

// What comes until the other side closes, or until a stream of events begins, which has no end. Closes the peer.
std::string ReadAll(int peer) {
  std::string all;
  char chunk[4096];
  ssize_t got = 0;
  while (!absl::StrContains(all, "text/event-stream") && (got = ::recv(peer, chunk, sizeof chunk, 0)) > 0) {
    all.append(chunk, static_cast<size_t>(got));
  }
  Check(got >= 0 || errno == ECONNRESET, "a connection comes to its end by itself");
  ::close(peer);
  return all;
}

// One answer, whole: "HTTP/1.1 200 OK", headers, as much body as they say.
void CheckAnswer(const std::string& answer, bool no_body) {
  if (answer.empty()) return;  // closed without a word
  Check(answer.size() > 13 && absl::StartsWith(answer, "HTTP/1.1 ") && answer[12] == ' ', "an answer begins with a status");
  const size_t head_end = answer.find("\r\n\r\n");
  const bool events = absl::StrContains(answer, "text/event-stream");
  Check(head_end != std::string::npos || events, "a head has an end");
  const std::string kLength = "\r\nContent-Length: ";
  const size_t length_at = answer.find(kLength);
  if (events || no_body || length_at >= head_end) return;
  const size_t digits = length_at + kLength.size();
  uint64_t length = 0;
  Check(absl::SimpleAtoi(answer.substr(digits, answer.find("\r\n", digits) - digits), &length), "a length is a number");
  const bool continues = absl::StartsWith(answer, "HTTP/1.1 100");
  Check(continues || answer.size() - head_end - 4 == length, "a body is as long as the head says");
}

std::string RequestOf(Script& script) {
  std::string request = kSeeds[script.Take() % kSeeds.size()];
  for (int changes = script.Take() % 4; changes > 0 && !request.empty(); --changes) {
    const size_t at = (script.Take() * size_t{256} + script.Take()) % request.size();
    switch (script.Take() % 4) {
      case 0:
        request[at] = static_cast<char>(script.Take());
        break;
      case 1:
        request.insert(at, 1, static_cast<char>(script.Take()));
        break;
      case 2:
        request.erase(at, 1 + script.Take() % 8);
        break;
      default:  // longer than a head or a body may be, now and then
        request.insert(at, request.substr(at, 64));
        if (script.Take() % 4 == 0) request.insert(at, std::string(5'000, 'a'));
        break;
    }
  }
  return request;
}

void RunOnce(const Door& door, Script& script) {
  const uint8_t manner = script.Take();
  std::string request = RequestOf(script);
  const size_t cut = request.empty() ? 0 : script.Take() % request.size();
  request += script.Rest();
  const int peer = door.Connect();
  Send(peer, absl::string_view(request).substr(0, cut));
  Send(peer, absl::string_view(request).substr(cut));
  if (manner % 64 != 0) ::shutdown(peer, SHUT_WR);  // otherwise it is for the deadline to end what is not whole
  CheckAnswer(ReadAll(peer), absl::StartsWith(request, "HEAD"));
}

}  // namespace
}  // namespace hongbao::watch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hongbao::watch::Door;
  static Door& door = *new Door;  // for as long as the process lives: its threads are busy with it
  hongbao::watch::Script script(data, size);
  hongbao::watch::RunOnce(door, script);
  const int peer = door.Connect();
  hongbao::watch::Send(peer, "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string healthy = hongbao::watch::ReadAll(peer);
  hongbao::Check(absl::StartsWith(healthy, "HTTP/1.1 200") && absl::EndsWith(healthy, "\r\n\r\nok\n"),
                 "a good request is answered");
  door.Tick();
  return 0;
}
