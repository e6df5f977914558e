// AdminServer: the HTTP side door of a process, for status, health and the few commands that change something.
//
// Owns: the door (http_door.h: connections, limits of size and time for hostile peers, three threads), method checks (405),
// parameter errors (400), the guard against pages of other sites, health and readiness. Handlers of commands run one at a
// time, those that only look one at a time beside them, with all signals blocked: a handler must be thread-safe.
// Never: runs on a worker's thread, waits for a peer on a handler's thread, listens off loopback unless told to (whoever
// reaches this port can issue money), lets what a peer sends end the process.
// Thread tag: thread-safe after Start; routes are added before it, from one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libhongbao/http/door.h"
#include "nlohmann/json_fwd.hpp"

namespace hongbao::http {

// One request, already complete and within limits. Parameters come from the query string and, for POST, from a form
// body.
class Request {
 public:
  // `headers`: by name in lower case, in the order of the request.
  Request(std::string method, std::string path, std::multimap<std::string, std::string> parameters, std::string body,
          std::vector<std::pair<std::string, std::string>> headers = {})
      : method_(std::move(method)),
        path_(std::move(path)),
        parameters_(std::move(parameters)),
        body_(std::move(body)),
        headers_(std::move(headers)) {}

  const std::string& method() const { return method_; }
  const std::string& path() const { return path_; }
  const std::string& body() const { return body_; }
  bool Has(const std::string& name) const { return parameters_.count(name) > 0; }
  // Of the header `name`, in lower case: what was sent, several of them joined by ", " (RFC 9110, 5.3); empty when absent.
  std::string Header(const std::string& name) const;

  // A count ("60k" works) in min..max, or InvalidArgument naming the parameter, what was given and what is allowed.
  absl::StatusOr<int64_t> Count(const std::string& name, int64_t min, int64_t max) const;
  // The same, `absent` when the parameter is not given. An empty or repeated parameter is an error, not absent.
  absl::StatusOr<int64_t> Count(const std::string& name, int64_t min, int64_t max, int64_t absent) const;
  // InvalidArgument when missing or repeated.
  absl::StatusOr<std::string> Text(const std::string& name) const;

  // InvalidArgument if there is a parameter not in `known`: a misspelt one must not silently do nothing.
  absl::Status CheckNames(std::initializer_list<const char*> known) const;

 private:
  std::string method_;
  std::string path_;
  std::multimap<std::string, std::string> parameters_;
  std::string body_;
  std::vector<std::pair<std::string, std::string>> headers_;
};

struct Response {
  int status = 200;
  std::string body{};
  std::string content_type = "text/plain; charset=utf-8";
};

// 200 with the document and a newline. Invalid UTF-8 in it is replaced, never thrown.
Response JsonResponse(const nlohmann::json& document);
// {"error": "..."} with the status given, or the HTTP status that fits the Status (400, 404, 409, 503, 500).
Response ErrorResponse(int http_status, absl::string_view message);
Response ErrorResponse(const absl::Status& status);

struct AdminOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;                 // 0: the kernel picks one, see port()
  bool allow_remote = false;         // true: may listen off loopback
  std::vector<std::string> hosts{};  // names, in lower case, by which a browser may ask, beside addresses and localhost
  HttpLimits limits{};
};

class AdminServer {
 public:
  using Handler = std::function<Response(const Request&)>;

  AdminServer();
  ~AdminServer();  // stops
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Exact paths. The same path may have a handler for each method; any other method answers 405 with Allow.
  // A handler answers a wrong request with ErrorResponse(status).
  void Get(const std::string& path, Handler handler);
  void Post(const std::string& path, Handler handler);
  void Delete(const std::string& path, Handler handler);
  // A GET that changes something, as the prototype had: it takes its turn among the commands.
  void GetCommand(const std::string& path, Handler handler);
  // GET of `path` hands its connection over to `streams`, which must outlive the server; 503 when they take no more. No thread
  // is held by it. Stop closes them.
  void Events(const std::string& path, EventStreams* streams);

  // GET /-/ready answers 200 "ready" when `ready()` is true, 503 otherwise. GET /-/healthy always answers 200 "ok".
  void SetReady(std::function<bool()> ready);

  // Binds and serves. PermissionDenied off loopback without allow_remote, AlreadyExists when the port is taken,
  // InvalidArgument for a host that is no local address: each with the cure.
  absl::Status Start(const AdminOptions& options);
  // Waits for the handler that is running, if any, and for no peer. Idempotent.
  void Stop();

  HttpCounts counts() const;
  uint16_t port() const;
  // "127.0.0.1:8989", with the real port.
  std::string address() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hongbao::http
