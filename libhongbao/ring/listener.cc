#include "libhongbao/ring/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hongbao::ring {
namespace {

absl::Status BindError(const SocketAddress& address, int error) {
  const std::string what = absl::StrCat("cannot listen on ", address.ToString(), ": ", strerror(error));
  if (error == EADDRINUSE) {
    return absl::AlreadyExistsError(
        absl::StrCat(what, "; another program has it (see: ss -ltnp), choose another port or 0 for a free one"));
  }
  if (error == EACCES) {
    return absl::PermissionDeniedError(absl::StrCat(what, "; ports below 1024 need root, choose a higher one"));
  }
  if (error == EAFNOSUPPORT || (error == EADDRNOTAVAIL && address.family() == AF_INET6 && address.IsLoopback())) {
    return absl::InvalidArgumentError(absl::StrCat(what, "; this machine has no IPv6 (see: ip -6 addr), listen on ",
                                                   address.IsLoopback() ? "127.0.0.1:" : "0.0.0.0:", address.port()));
  }
  if (error == EADDRNOTAVAIL) {
    return absl::InvalidArgumentError(absl::StrCat(what, "; this machine does not have the address (see: ip addr)"));
  }
  return absl::UnavailableError(what);
}

// One bound socket, or -errno. `shared`: others of this group may bind the same port.
int BindSocket(const SocketAddress& address, bool shared) {
  const int descriptor = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    return -errno;
  }
  const int on = 1;
  // A restart must not wait for connections of the previous run to leave TIME_WAIT.
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (shared) {
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  }
  if (address.family() == AF_INET6) {
    const int off = 0;
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));  // whatever sysctl net.ipv6.bindv6only says
  }
  if (bind(descriptor, address.get(), address.size()) != 0) {
    const int error = errno;
    close(descriptor);
    return -error;
  }
  return descriptor;
}

// SO_REUSEPORT lets a second server of the same user bind silently and take half of the connections. A socket without it
// finds out; it has to listen, as two SO_REUSEADDR sockets may be bound alike.
absl::Status CheckNotOccupied(const SocketAddress& address) {
  const int descriptor = BindSocket(address, /*shared=*/false);
  if (descriptor < 0) {
    return BindError(address, -descriptor);
  }
  const bool free = listen(descriptor, 1) == 0;
  const int error = errno;
  close(descriptor);
  return free ? absl::OkStatus() : BindError(address, error);
}

}  // namespace

absl::StatusOr<Listeners> Listeners::Open(const SocketAddress& address, uint32_t count, uint32_t backlog,
                                          const SocketOptions& sockets) {
  if (address.port() != 0) {
    if (absl::Status status = CheckNotOccupied(address); !status.ok()) {
      return status;
    }
  }
  Listeners listeners;
  listeners.port_ = address.port();
  for (uint32_t i = 0; i < count; ++i) {
    const int descriptor = BindSocket(address.WithPort(listeners.port_), /*shared=*/true);
    if (descriptor < 0) {
      return BindError(address.WithPort(listeners.port_), -descriptor);
    }
    listeners.descriptors_.push_back(descriptor);
    if (listeners.port_ == 0) {
      sockaddr_storage bound = {};
      socklen_t length = sizeof(bound);
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &length);
      listeners.port_ = SocketAddress::FromKernel(reinterpret_cast<const sockaddr*>(&bound), length).port();
    }
  }
  // All are bound before the first listens: the kernel's spreading never sees a half-made group.
  for (const int descriptor : listeners.descriptors_) {
    Apply(descriptor, sockets, address);  // inherited by accepted sockets
    if (listen(descriptor, static_cast<int>(backlog)) != 0) {
      return BindError(address.WithPort(listeners.port_), errno);
    }
  }
  return listeners;
}

Listeners::Listeners(Listeners&& other) noexcept : descriptors_(std::exchange(other.descriptors_, {})), port_(other.port_) {}

Listeners& Listeners::operator=(Listeners&& other) noexcept {
  std::swap(descriptors_, other.descriptors_);
  std::swap(port_, other.port_);
  return *this;
}

Listeners::~Listeners() {
  for (uint32_t i = 0; i < descriptors_.size(); ++i) {
    Close(i);
  }
}

void Listeners::Close(uint32_t index) {
  if (descriptors_[index] >= 0) {
    close(descriptors_[index]);
    descriptors_[index] = -1;
  }
}

}  // namespace hongbao::ring
