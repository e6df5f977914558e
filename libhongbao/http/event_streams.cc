#include "libhongbao/http/event_streams.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace hongbao::http {
namespace {

// Comes back after a second: that is how often there is something new.
constexpr absl::string_view kHead =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/event-stream\r\n"
    "Cache-Control: no-store\r\n"
    "X-Accel-Buffering: no\r\n"
    "Connection: close\r\n"
    "\r\n"
    "retry: 1000\n\n";

bool SendAll(int socket, absl::string_view bytes) {
  return ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(bytes.size());
}

// Reads and forgets what the peer says, for it has asked already; one that does not stop talking counts as gone.
bool Gone(int socket) {
  char chunk[4096];
  const ssize_t got = ::recv(socket, chunk, sizeof chunk, MSG_DONTWAIT);
  return got == 0 || got == sizeof chunk || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

}  // namespace

bool EventStreams::Take(int socket) {
  const std::lock_guard lock(mutex_);
  DropGone();
  if (closed_ || sockets_.size() >= kStreamsMax) {
    return false;
  }
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kSilenceMs, sizeof kSilenceMs);
  if (SendAll(socket, kHead)) {
    sockets_.push_back(socket);
  } else {
    ::close(socket);
  }
  return true;
}

void EventStreams::Publish(absl::string_view event) {
  const std::lock_guard lock(mutex_);
  DropGone();
  std::erase_if(sockets_, [event](int socket) { return !SendAll(socket, event) && ::close(socket) <= 0; });
}

void EventStreams::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (const int socket : sockets_) {
    ::close(socket);
  }
  sockets_.clear();
}

size_t EventStreams::size() const {
  const std::lock_guard lock(mutex_);
  return sockets_.size();
}

void EventStreams::DropGone() {
  std::erase_if(sockets_, [](int socket) { return Gone(socket) && ::close(socket) <= 0; });
}

}  // namespace hongbao::http
