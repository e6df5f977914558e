#include "libhongbao/admin/http_admin.h"

#include <httplib.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libhongbao/admin/event_streams.h"
#include "libhongbao/admin/flags.h"
#include "libhongbao/check.h"
#include "nlohmann/json.hpp"

namespace hongbao::admin {
namespace {

using SteadyClock = std::chrono::steady_clock;

absl::Status WrongParameter(const std::string& name, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("parameter '", name, "' ", reason));
}

// A connection as httplib reads it, with what httplib 0.11 lacks: one deadline for the whole request (not for each
// read, which a byte every few seconds outlives for ever), a bound on everything the peer may send, and an end when the
// server stops.
class BoundedStream : public httplib::Stream {
 public:
  BoundedStream(int socket, const AdminOptions& options, const std::atomic<bool>& stopping)
      : socket_(socket),
        stopping_(stopping),
        budget_bytes_(options.head_bytes_max + options.body_bytes_max),
        deadline_ms_(options.request_deadline_ms),
        read_deadline_(SteadyClock::now() + std::chrono::milliseconds(deadline_ms_)) {}

  enum class Head { kComplete, kTooLarge, kGone };

  // Takes in everything up to the empty line, before httplib sees a byte of it.
  Head ReadHead(size_t bytes_max) {
    while (pending_.find("\r\n\r\n") == std::string::npos && pending_.find("\n\n") == std::string::npos) {
      if (pending_.size() >= bytes_max) {
        return Head::kTooLarge;
      }
      char chunk[4096];
      const ssize_t got = Receive(chunk, std::min(sizeof chunk, bytes_max - pending_.size()));
      if (got <= 0) {
        return Head::kGone;
      }
      pending_.append(chunk, static_cast<size_t>(got));
    }
    return Head::kComplete;
  }

  const std::string& pending() const { return pending_; }

  // A POST without a body says so by leaving out its length (curl -X POST); httplib would wait for one.
  void DeclareNoBody() { pending_.insert(pending_.find('\n') + 1, "Content-Length: 0\r\n"); }

  // Reads and forgets what the peer still sends, for a moment, so that closing does not reset the connection before the
  // peer has read the answer.
  void Linger() {
    ::shutdown(socket_, SHUT_WR);
    read_deadline_ = SteadyClock::now() + std::chrono::milliseconds(std::min<int64_t>(deadline_ms_, 200));
    char chunk[4096];
    while (Receive(chunk, sizeof chunk) > 0) {
    }
  }

  // The answer is somebody else's to give: what httplib writes from here on vanishes.
  void HandOverTo(EventStreams* streams) { streams_ = streams; }
  EventStreams* TakeStreams() { return std::exchange(streams_, nullptr); }

  // Not marked override: httplib's releases differ in which of these four exist.
  bool is_readable() const { return true; }
  bool is_writable() const { return true; }
  bool wait_readable() const { return true; }
  bool wait_writable() const { return true; }
  time_t duration() const { return 0; }

  ssize_t read(char* into, size_t size) override {
    if (taken_ < pending_.size()) {
      const size_t count = std::min(size, pending_.size() - taken_);
      std::memcpy(into, pending_.data() + taken_, count);
      taken_ += count;
      return static_cast<ssize_t>(count);
    }
    return Receive(into, size);
  }

  ssize_t write(const char* from, size_t size) override {
    if (streams_ != nullptr) {
      return static_cast<ssize_t>(size);
    }
    if (!writing_) {
      writing_ = true;
      write_deadline_ = SteadyClock::now() + std::chrono::milliseconds(deadline_ms_);
    }
    if (!WaitFor(POLLOUT, write_deadline_)) {
      return -1;
    }
    return ::send(socket_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  socket_t socket() const override { return socket_; }

 private:
  ssize_t Receive(char* into, size_t size) {
    size = std::min(size, budget_bytes_);
    if (size == 0 || !WaitFor(POLLIN, read_deadline_)) {
      return -1;
    }
    const ssize_t got = ::recv(socket_, into, size, MSG_DONTWAIT);
    budget_bytes_ -= got > 0 ? static_cast<size_t>(got) : 0;
    return got;
  }

  bool WaitFor(short events, SteadyClock::time_point deadline) const {
    while (!stopping_.load(std::memory_order_relaxed)) {  // a flag that guards no data; late by one slice at most
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now()).count();
      if (left <= 0) {
        return false;
      }
      pollfd poll_socket{.fd = socket_, .events = events, .revents = 0};
      const int ready = ::poll(&poll_socket, 1, static_cast<int>(std::min<int64_t>(left, 100)));
      if (ready > 0) {
        return true;
      }
      if (ready < 0 && errno != EINTR) {
        return false;
      }
    }
    return false;
  }

  int socket_;
  const std::atomic<bool>& stopping_;
  size_t budget_bytes_;
  int64_t deadline_ms_;
  SteadyClock::time_point read_deadline_;
  SteadyClock::time_point write_deadline_;
  bool writing_ = false;
  EventStreams* streams_ = nullptr;
  std::string pending_;
  size_t taken_ = 0;
};

// The connection that a thread of httplib's is answering: httplib's handlers see the request, but not where it came from.
thread_local BoundedStream* answering = nullptr;

// httplib's server with a door of our own in front of it: heads are complete, bounded and free of what the status pages
// never need and httplib 0.11 handles badly (ranges, compressed bodies that unfold to gigabytes).
class GuardedServer : public httplib::Server {
 public:
  AdminOptions options;
  std::atomic<bool> stopping{false};

 private:
  // Overrides httplib's private virtual: the one place where a connection's life can be bounded.
  bool process_and_close_socket(socket_t socket) override {
    BoundedStream stream(socket, options, stopping);
    bool ok = false;
    answering = &stream;
    try {
      ok = Answer(*this, stream);
      if (EventStreams* const streams = stream.TakeStreams()) {
        if (streams->Take(socket)) {
          return true;
        }
        ok = Refuse(stream, "503 Service Unavailable", "so many look on already that there is no room for another");
      }
    } catch (...) {
      // httplib parses some headers outside its own try block. The peer that sent such a thing loses its connection, no
      // more.
    }
    stream.Linger();
    ::close(socket);
    return ok;
  }

  // A template, because which process_request exists depends on httplib's release.
  template <typename Self>
  static bool Answer(Self& self, BoundedStream& stream) {
    switch (stream.ReadHead(self.options.head_bytes_max)) {
      case BoundedStream::Head::kGone:
        return false;
      case BoundedStream::Head::kTooLarge:
        return Refuse(stream, "431 Request Header Fields Too Large", "the request's head is too large");
      case BoundedStream::Head::kComplete:
        break;
    }
    const std::string head = absl::AsciiStrToLower(stream.pending());
    if (absl::StrContains(head, "\nrange:") || absl::StrContains(head, "\ncontent-encoding:") ||
        absl::StrContains(head, "\nexpect:")) {
      return Refuse(stream, "400 Bad Request", "Range, Content-Encoding and Expect are not understood here");
    }
    if (!absl::StrContains(head, "\ncontent-length:") && !absl::StrContains(head, "\ntransfer-encoding:")) {
      stream.DeclareNoBody();
    }
    bool closed = false;
    if constexpr (requires { self.process_request(stream, true, closed, nullptr); }) {
      return self.process_request(stream, true, closed, nullptr);
    } else {
      return self.process_request(stream, "", 0, "", 0, true, closed, nullptr);
    }
  }

  static bool Refuse(BoundedStream& stream, absl::string_view status, absl::string_view reason) {
    const std::string body = ErrorResponse(400, reason).body;
    const std::string answer = absl::StrCat(
        "HTTP/1.1 ", status, "\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ", body.size(),
        "\r\n\r\n", body);
    return stream.httplib::Stream::write(answer) > 0;
  }
};

// Whether a page of some other site made the user's browser send this: its name is in Host (a name rebound to
// 127.0.0.1) or Origin.
bool FromForeignPage(const httplib::Request& request) {
  const std::string host = request.get_header_value("Host");
  const auto is_number = [](const absl::StatusOr<HostPort>& where) { return where.ok() && where->IsNumeric(); };
  if (!host.empty() && !is_number(ParseHostPort(host)) && !is_number(ParseHostPort(host + ":80"))) {
    return true;
  }
  const std::string origin = request.get_header_value("Origin");
  return !origin.empty() && origin != "http://" + host;
}

void Fill(const Response& from, httplib::Response& to) {
  to.status = from.status;
  to.set_content(from.body, from.content_type.c_str());
}

// Only for the message: what the kernel says about listening there.
std::string BindErrno(const HostPort& where) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found) != 0) {
    return "not a numeric address";
  }
  const int probe = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const bool bound = probe >= 0 && ::bind(probe, found->ai_addr, found->ai_addrlen) == 0 && ::listen(probe, 1) == 0;
  const std::string reason = bound ? "it failed once and would work now" : std::strerror(errno);
  if (probe >= 0) {
    ::close(probe);
  }
  freeaddrinfo(found);
  return reason;
}

}  // namespace

absl::StatusOr<int64_t> Request::Count(const std::string& name, int64_t min, int64_t max) const {
  const absl::StatusOr<std::string> text = Text(name);
  if (!text.ok()) {
    return text.status();
  }
  const absl::StatusOr<int64_t> count = ParseCount(*text);
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
  const auto [begin, end] = headers_.equal_range(name);
  std::string all;
  for (auto header = begin; header != end; ++header) {
    absl::StrAppend(&all, header == begin ? "" : ", ", header->second);
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
  return {.body = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
          .content_type = "application/json"};
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
  // Finds the handler for a request and runs it. Unhandled: httplib shall read the body and come back through RunPost.
  httplib::Server::HandlerResponse Route(const httplib::Request& request, httplib::Response& response);
  void Run(const Handler& handler, const httplib::Request& request, httplib::Response& response);

  std::map<std::string, std::map<std::string, Handler>> routes;  // path -> method -> handler
  std::map<std::string, EventStreams*> streams;                  // of these, each with a GET handler for HEAD
  std::function<bool()> ready = [] { return true; };
  std::mutex handlers_mutex;  // one handler at a time, so that they need not be thread-safe among themselves
  GuardedServer server;
  std::thread listener;
  HostPort where;
};

httplib::Server::HandlerResponse AdminServer::Impl::Route(const httplib::Request& request,
                                                          httplib::Response& response) {
  const auto handled = httplib::Server::HandlerResponse::Handled;
  const auto path = routes.find(request.path);
  if (path == routes.end()) {
    Fill(ErrorResponse(404, "no such path"), response);
    return handled;
  }
  if (where.IsLoopback() && FromForeignPage(request)) {
    Fill(ErrorResponse(403, "requests from web pages of other sites are refused"), response);
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
    answering->HandOverTo(events->second);
    return handled;
  }
  Run(method->second, request, response);
  return handled;
}

void AdminServer::Impl::Run(const Handler& handler, const httplib::Request& request, httplib::Response& response) {
  std::multimap<std::string, std::string> headers;
  for (const auto& [name, value] : request.headers) {
    headers.emplace(absl::AsciiStrToLower(name), value);
  }
  const Request ours(request.method, request.path, request.params, request.body, std::move(headers));
  try {
    const std::lock_guard lock(handlers_mutex);
    Fill(handler(ours), response);
  } catch (const std::exception& error) {
    Fill(ErrorResponse(500, error.what()), response);
  }
}

AdminServer::AdminServer() : impl_(std::make_unique<Impl>()) {
  Get("/-/healthy", [](const Request&) { return Response{.body = "ok\n"}; });
  Get("/-/ready", [this](const Request&) {
    return impl_->ready() ? Response{.body = "ready\n"} : Response{.status = 503, .body = "not ready\n"};
  });
}

AdminServer::~AdminServer() { Stop(); }

void AdminServer::Get(const std::string& path, Handler handler) { impl_->routes[path]["GET"] = std::move(handler); }

void AdminServer::Post(const std::string& path, Handler handler) { impl_->routes[path]["POST"] = std::move(handler); }

void AdminServer::Events(const std::string& path, EventStreams* streams) {
  impl_->streams[path] = streams;
  Get(path, [](const Request&) { return Response{.content_type = "text/event-stream"}; });
}

void AdminServer::SetReady(std::function<bool()> ready) { impl_->ready = std::move(ready); }

absl::Status AdminServer::Start(const AdminOptions& options) {
  Impl& impl = *impl_;
  Check(!impl.listener.joinable(), "an admin server starts once");
  impl.where = {.host = options.host, .port = options.port};
  if (!impl.where.IsLoopback() && !options.allow_remote) {
    return absl::PermissionDeniedError(absl::StrCat(
        "refusing to serve admin commands on ", impl.where.ToString(),
        ": whoever reaches them can issue money; use 127.0.0.1:", options.port, " and reach it through ssh -L"));
  }
  GuardedServer& server = impl.server;
  server.options = options;
  server.set_payload_max_length(options.body_bytes_max);
  server.set_pre_routing_handler(
      [&impl](const auto& request, auto& response) { return impl.Route(request, response); });
  for (const auto& [path, methods] : impl.routes) {
    if (const auto post = methods.find("POST"); post != methods.end()) {
      // httplib's paths are patterns; only the dot and the like could occur in ours.
      Check(path.find_first_of("[](){}*+?^$|\\:") == std::string::npos, "admin paths hold no pattern characters");
      server.Post(path, [&impl, handler = post->second](const auto& request, auto& response) {
        impl.Run(handler, request, response);
      });
    }
  }
  server.new_task_queue = [threads = static_cast<size_t>(options.threads)] { return new httplib::ThreadPool(threads); };
  // httplib would set SO_REUSEPORT, and a second process would silently share the port.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  const int port = options.port == 0 ? server.bind_to_any_port(options.host)
                                     : (server.bind_to_port(options.host, options.port) ? options.port : -1);
  if (port <= 0) {
    return absl::AlreadyExistsError(absl::StrCat("cannot serve admin commands on ", impl.where.ToString(), ": ",
                                                 BindErrno(impl.where),
                                                 "; choose another with --admin HOST:PORT (port 0 picks a free one)"));
  }
  impl.where.port = static_cast<uint16_t>(port);

  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // httplib's threads inherit it: signals belong to main
  impl.listener = std::thread([&server] { server.listen_after_bind(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  while (!server.is_running()) {  // Stop before this moment would not be heard
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return absl::OkStatus();
}

void AdminServer::Stop() {
  if (!impl_->listener.joinable()) {
    return;
  }
  impl_->server.stopping.store(true, std::memory_order_relaxed);  // a flag that guards no data
  impl_->server.stop();
  impl_->listener.join();  // with all of httplib's threads
  for (const auto& [path, streams] : impl_->streams) {
    streams->Close();
  }
}

uint16_t AdminServer::port() const { return impl_->where.port; }

std::string AdminServer::address() const { return impl_->where.ToString(); }

}  // namespace hongbao::admin
