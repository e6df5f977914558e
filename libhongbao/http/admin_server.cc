#include "libhongbao/http/admin_server.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "libhongbao/check.h"
#include "libhongbao/cli/exact_json.h"
#include "libhongbao/cli/flags.h"
#include "libhongbao/http/event_streams.h"
#include "nlohmann/json.hpp"

namespace hongbao::http {
namespace {

constexpr char kHealthy[] = "/-/healthy";

absl::Status WrongParameter(const std::string& name, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("parameter '", name, "' ", reason));
}

// A whole request as httplib reads it, and its answer as httplib writes it: no socket, so httplib waits for nobody.
class MemoryStream : public httplib::Stream {
 public:
  explicit MemoryStream(std::string request) : request_(std::move(request)) {}

  std::string TakeAnswer() { return std::move(answer_); }

  // Not marked override: httplib's releases differ in which of these there are.
  bool is_readable() const { return taken_ < request_.size(); }
  bool is_writable() const { return true; }
  bool wait_readable() const { return is_readable(); }
  bool wait_writable() const { return true; }
  bool is_peer_alive() const { return true; }
  time_t duration() const { return 0; }

  ssize_t read(char* into, size_t size) override {
    const size_t count = std::min(size, request_.size() - taken_);
    std::memcpy(into, request_.data() + taken_, count);
    taken_ += count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* from, size_t size) override {
    answer_.append(from, size);
    return static_cast<ssize_t>(size);
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  socket_t socket() const override { return 0; }

 private:
  std::string request_;
  size_t taken_ = 0;
  std::string answer_;
};

// httplib's server without its sockets: it reads a whole request, routes it and writes the answer, all in memory.
class Codec : public httplib::Server {
 public:
  std::string Answer(std::string request) {
    MemoryStream stream(std::move(request));
    try {
      Process(*this, stream);
    } catch (...) {
      // httplib parses some headers outside its own try block. Whoever sent such a thing gets no answer, no more.
    }
    return stream.TakeAnswer();
  }

 private:
  // A template, because which process_request exists depends on httplib's release.
  template <typename Self>
  static void Process(Self& self, MemoryStream& stream) {
    bool closed = false;
    if constexpr (requires { self.process_request(stream, true, closed, nullptr); }) {
      self.process_request(stream, true, closed, nullptr);
    } else {
      self.process_request(stream, "", 0, "", 0, true, closed, nullptr);
    }
  }
};

// The request that this thread answers: httplib passes on neither the order of its headers nor its connection.
struct Answering {
  const HttpHead* head = nullptr;
  EventStreams* streams = nullptr;
};
thread_local Answering answering;

std::string HeaderOf(const HttpHead& head, absl::string_view wanted) {
  std::string all;
  bool is_first = true;
  for (const auto& [name, value] : head.headers) {
    if (name == wanted) {
      absl::StrAppend(&all, std::exchange(is_first, false) ? "" : ", ", value);
    }
  }
  return all;
}

// "Metrics.Example.com.:443" -> "metrics.example.com", "[::1]:80" -> "::1".
std::string NameOf(absl::string_view authority) {
  if (absl::ConsumePrefix(&authority, "[")) {
    return std::string(authority.substr(0, authority.find(']')));
  }
  std::string name = absl::AsciiStrToLower(authority.substr(0, authority.find(':')));
  if (!name.empty() && name.back() == '.') {
    name.pop_back();
  }
  return name;
}

bool IsAddress(const std::string& name) {
  in6_addr address{};
  return inet_pton(AF_INET, name.c_str(), &address) == 1 || inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

// Whether a page of some other site made the user's browser send this: its name is in Host (a name rebound to
// 127.0.0.1) or Origin. `hosts`: names that are ours, given by --admin-hosts.
bool FromForeignPage(const HttpHead& head, const std::vector<std::string>& hosts) {
  const auto is_given = [&hosts](const std::string& name) { return std::find(hosts.begin(), hosts.end(), name) != hosts.end(); };
  const std::string host = HeaderOf(head, "host");
  const std::string name = NameOf(host);
  if (!host.empty() && name != "localhost" && !IsAddress(name) && !is_given(name)) {
    return true;
  }
  std::string origin = HeaderOf(head, "origin");
  if (origin.empty()) {
    return false;
  }
  absl::string_view authority = origin;
  const bool is_web = absl::ConsumePrefix(&authority, "http://") || absl::ConsumePrefix(&authority, "https://");
  // A proxy may have put its own Host in place of the browser's.
  return !is_web || (!absl::EqualsIgnoreCase(authority, host) && !is_given(NameOf(authority)));
}

void Fill(const Response& from, httplib::Response& to) {
  to.status = from.status;
  to.set_content(from.body, from.content_type.c_str());
}

// A socket that listens at `where`, whose port becomes the real one; -1: errno says why not.
int Listen(HostPort& where) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found) != 0) {
    errno = EADDRNOTAVAIL;
    return -1;
  }
  const int socket = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) {
    freeaddrinfo(found);  // which leaves errno alone
    return -1;
  }
  const int yes = 1;
  const int no = 0;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);  // fails for IPv4, which has no such thing
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::bind(socket, found->ai_addr, found->ai_addrlen) != 0 || ::listen(socket, SOMAXCONN) != 0 ||
      getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    const int error = errno;
    freeaddrinfo(found);
    ::close(socket);
    errno = error;
    return -1;
  }
  freeaddrinfo(found);
  where.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                                 : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return socket;
}

}  // namespace

absl::StatusOr<int64_t> Request::Count(const std::string& name, int64_t min, int64_t max) const {
  const absl::StatusOr<std::string> text = Text(name);
  if (!text.ok()) {
    return text.status();
  }
  const absl::StatusOr<int64_t> count = cli::ParseCount(*text);
  if (!count.ok()) {
    return WrongParameter(name, absl::StrCat(": ", count.status().message()));
  }
  if (*count < min || *count > max) {
    return WrongParameter(name, absl::StrCat("must be from ", min, " to ", max, ", not ", *count));
  }
  return count;
}

absl::StatusOr<int64_t> Request::Count(const std::string& name, int64_t min, int64_t max, int64_t absent) const {
  return Has(name) ? Count(name, min, max) : absl::StatusOr<int64_t>(absent);
}

absl::StatusOr<std::string> Request::Text(const std::string& name) const {
  const auto [begin, end] = parameters_.equal_range(name);
  if (begin == end) {
    return WrongParameter(name, "is missing");
  }
  if (std::next(begin) != end) {
    return WrongParameter(name, "is given more than once");
  }
  return begin->second;
}

std::string Request::Header(const std::string& name) const {
  std::string all;
  bool is_first = true;
  for (const auto& [key, value] : headers_) {
    if (key == name) {
      absl::StrAppend(&all, std::exchange(is_first, false) ? "" : ", ", value);
    }
  }
  return all;
}

absl::Status Request::CheckNames(std::initializer_list<const char*> known) const {
  for (const auto& [name, value] : parameters_) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return WrongParameter(name, absl::StrCat("is unknown here; known are: ", absl::StrJoin(known, ", ")));
    }
  }
  return absl::OkStatus();
}

Response JsonResponse(const nlohmann::json& document) {
  return {.body = cli::Dump(document, -1) + "\n", .content_type = "application/json"};
}

Response ErrorResponse(int http_status, absl::string_view message) {
  Response response = JsonResponse({{"error", std::string(message)}});
  response.status = http_status;
  return response;
}

Response ErrorResponse(const absl::Status& status) {
  const int http_status = [&] {
    switch (status.code()) {
      case absl::StatusCode::kInvalidArgument:
      case absl::StatusCode::kOutOfRange:
        return 400;
      case absl::StatusCode::kPermissionDenied:
        return 403;
      case absl::StatusCode::kNotFound:
        return 404;
      case absl::StatusCode::kFailedPrecondition:
      case absl::StatusCode::kAlreadyExists:
        return 409;
      case absl::StatusCode::kUnavailable:
      case absl::StatusCode::kResourceExhausted:
        return 503;
      default:
        return 500;
    }
  }();
  return ErrorResponse(http_status, status.message());
}

struct AdminServer::Impl {
  HttpDoor::Lane LaneOf(const HttpHead& head) const;
  HttpDoor::Answer Answer(const HttpHead& head, const std::string& body);
  // Finds the handler for a request and runs it. Unhandled: httplib shall read the body and come back through Run.
  httplib::Server::HandlerResponse Route(const httplib::Request& request, httplib::Response& response);
  void Run(const Handler& handler, const httplib::Request& request, httplib::Response& response);

  std::map<std::string, std::map<std::string, Handler>> routes;  // path -> method -> handler
  std::map<std::string, EventStreams*> streams;                  // of these, each with a GET handler for HEAD
  std::set<std::string> get_commands;
  std::function<bool()> ready = [] { return true; };
  std::vector<std::string> hosts;
  Codec codec;
  HostPort where;
  bool started = false;
  HttpDoor door;  // last: its threads end first
};

HttpDoor::Lane AdminServer::Impl::LaneOf(const HttpHead& head) const {
  const std::string path = head.target.substr(0, head.target.find('?'));
  if ((head.method != "GET" && head.method != "HEAD") || get_commands.contains(path)) {
    return HttpDoor::Lane::kCommand;
  }
  return path == kHealthy ? HttpDoor::Lane::kAtOnce : HttpDoor::Lane::kLook;
}

HttpDoor::Answer AdminServer::Impl::Answer(const HttpHead& head, const std::string& body) {
  answering = {.head = &head};
  std::string bytes = codec.Answer(WholeRequest(head, body));
  return {.bytes = std::move(bytes), .streams = std::exchange(answering, {}).streams};
}

httplib::Server::HandlerResponse AdminServer::Impl::Route(const httplib::Request& request, httplib::Response& response) {
  const auto handled = httplib::Server::HandlerResponse::Handled;
  const auto path = routes.find(request.path);
  if (path == routes.end()) {
    Fill(ErrorResponse(404, "no such path"), response);
    return handled;
  }
  if ((where.IsLoopback() || !hosts.empty()) && FromForeignPage(*answering.head, hosts)) {
    Fill(ErrorResponse(403,
                       "requests from web pages of other sites are refused; names by which this process is reached, "
                       "as by a proxy, are given by --admin-hosts"),
         response);
    return handled;
  }
  const auto method = path->second.find(request.method == "HEAD" ? "GET" : request.method);
  if (method == path->second.end()) {
    const std::string allowed =
        absl::StrJoin(path->second, ", ", [](std::string* out, const auto& entry) { *out += entry.first; });
    Fill(ErrorResponse(405, absl::StrCat(request.method, " is not allowed here, but ", allowed)), response);
    response.set_header("Allow", allowed);
    return handled;
  }
  if (method->first == "POST") {
    return httplib::Server::HandlerResponse::Unhandled;
  }
  if (const auto events = streams.find(request.path); events != streams.end() && request.method == "GET") {
    answering.streams = events->second;
    return handled;
  }
  Run(method->second, request, response);
  return handled;
}

void AdminServer::Impl::Run(const Handler& handler, const httplib::Request& request, httplib::Response& response) {
  const Request ours(request.method, request.path, request.params, request.body, answering.head->headers);
  try {
    Fill(handler(ours), response);
  } catch (const std::exception& error) {
    Fill(ErrorResponse(500, error.what()), response);
  }
}

AdminServer::AdminServer() : impl_(std::make_unique<Impl>()) {
  Get(kHealthy, [](const Request&) { return Response{.body = "ok\n"}; });
  Get("/-/ready", [this](const Request&) {
    return impl_->ready() ? Response{.body = "ready\n"} : Response{.status = 503, .body = "not ready\n"};
  });
}

AdminServer::~AdminServer() { Stop(); }

void AdminServer::Get(const std::string& path, Handler handler) { impl_->routes[path]["GET"] = std::move(handler); }

void AdminServer::Post(const std::string& path, Handler handler) { impl_->routes[path]["POST"] = std::move(handler); }

void AdminServer::Delete(const std::string& path, Handler handler) { impl_->routes[path]["DELETE"] = std::move(handler); }

void AdminServer::GetCommand(const std::string& path, Handler handler) {
  impl_->get_commands.insert(path);
  Get(path, std::move(handler));
}

void AdminServer::Events(const std::string& path, EventStreams* streams) {
  impl_->streams[path] = streams;
  Get(path, [](const Request&) { return Response{.content_type = "text/event-stream"}; });
}

void AdminServer::SetReady(std::function<bool()> ready) { impl_->ready = std::move(ready); }

absl::Status AdminServer::Start(const AdminOptions& options) {
  Impl& impl = *impl_;
  Check(!impl.started, "an admin server starts once");
  impl.where = {.host = options.host, .port = options.port};
  impl.hosts = options.hosts;
  if (!impl.where.IsLoopback() && !options.allow_remote) {
    return absl::PermissionDeniedError(absl::StrCat("refusing to serve admin commands on ", impl.where.ToString(),
                                                    ": whoever reaches them can issue money; use 127.0.0.1:", options.port,
                                                    " and reach it through ssh -L"));
  }
  const int listener = Listen(impl.where);
  if (listener < 0) {
    const std::string reason = std::strerror(errno);
    return absl::AlreadyExistsError(absl::StrCat("cannot serve admin commands on ", impl.where.ToString(), ": ", reason,
                                                 "; choose another with --admin HOST:PORT (port 0 picks a free one)"));
  }
  impl.codec.set_payload_max_length(options.limits.body_bytes_max);
  impl.codec.set_pre_routing_handler([&impl](const auto& request, auto& response) { return impl.Route(request, response); });
  impl.codec.Post(".*", [&impl](const auto& request, auto& response) {  // Route has found it
    impl.Run(impl.routes.at(request.path).at("POST"), request, response);
  });
  impl.started = true;
  return impl.door.Start(
      listener, options.limits, [&impl](const HttpHead& head) { return impl.LaneOf(head); },
      [&impl](const HttpHead& head, const std::string& body) { return impl.Answer(head, body); });
}

void AdminServer::Stop() {
  impl_->door.Stop();
  for (const auto& [path, streams] : impl_->streams) {
    streams->Close();
  }
}

HttpCounts AdminServer::counts() const { return impl_->door.counts(); }

uint16_t AdminServer::port() const { return impl_->where.port; }

std::string AdminServer::address() const { return impl_->where.ToString(); }

}  // namespace hongbao::http
