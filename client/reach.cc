#include "client/reach.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libhongbao/time/clock.h"

namespace hongbao::client {
namespace {

constexpr int64_t kPauseNs = 250 * time::kNsPerMs;
constexpr int kTryMs = 1'000;  // an address that says nothing for so long gives way to the next

// errno of a connect that is closed again at once; 0 when it came about.
int TryConnect(const SocketAddress& address) {
  const int socket = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) {
    return errno;
  }
  int error = ::connect(socket, address.get(), address.size()) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd wanted{.fd = socket, .events = POLLOUT, .revents = 0};
    socklen_t length = sizeof(error);
    if (poll(&wanted, 1, kTryMs) <= 0) {
      error = ETIMEDOUT;
    } else if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
      error = errno;
    }
  }
  close(socket);
  return error;
}

absl::StatusOr<SocketAddress> FirstThatAnswers(const HostPort& server, const std::vector<SocketAddress>& addresses) {
  if (addresses.size() == 1) {
    return addresses.front();
  }
  std::string tried;
  for (const SocketAddress& address : addresses) {
    const int error = TryConnect(address);
    if (error == 0) {
      return address;
    }
    absl::StrAppend(&tried, tried.empty() ? "" : ", ", address.ToString(), " ", std::strerror(error));
  }
  return absl::UnavailableError(absl::StrCat("cannot reach the server at ", server.ToString(), " (", tried,
                                             "): start hongbao-server there, or correct --server"));
}

}  // namespace

absl::StatusOr<SocketAddress> FindServer(const HostPort& server, int64_t patience_ns, const std::function<bool(int64_t)>& pause) {
  const time::RealClock clock;
  const int64_t until_ns = clock.MonotonicNs() + patience_ns;
  for (;;) {
    const absl::StatusOr<std::vector<SocketAddress>> addresses = ResolvePeer(server);
    const absl::StatusOr<SocketAddress> found = addresses.ok() ? FirstThatAnswers(server, *addresses) : addresses.status();
    if (found.ok() || clock.MonotonicNs() >= until_ns) {
      return found;
    }
    if (!pause(kPauseNs)) {
      return absl::CancelledError("interrupted while waiting for the server");
    }
  }
}

}  // namespace hongbao::client
