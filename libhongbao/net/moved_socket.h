// MovedSocket: a connection's socket on its way from one port to another, with what was received of it and not read.
//
// Owns the descriptor (a regular one), and closes it if nobody takes it: the peer then sees the end of the connection.
// Thread tag: thread-compatible; it goes from one worker to another.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/cpp20.h"

namespace hongbao::net {

class MovedSocket {
 public:
  MovedSocket() = default;
  // Below 0 there is none.
  explicit MovedSocket(int descriptor) : descriptor_(descriptor) {}
  MovedSocket(MovedSocket&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), unread_(std::move(other.unread_)) {}
  MovedSocket& operator=(MovedSocket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(unread_, other.unread_);
    return *this;
  }
  ~MovedSocket() {
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
  }

  int descriptor() const { return descriptor_; }
  // It is the caller's from now on.
  int Release() { return std::exchange(descriptor_, -1); }

  // In the order in which it came.
  const std::vector<std::byte>& unread() const { return unread_; }
  void KeepUnread(absl::Span<const std::byte> bytes) { unread_.insert(unread_.end(), bytes.begin(), bytes.end()); }

  // The first bytes to its peer, and the last if nobody takes it: never waits, as an empty send buffer has room for a frame.
  void Say(absl::Span<const std::byte> frame) const {
    [[maybe_unused]] const ssize_t sent =
        send(descriptor_, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);  // a peer that is gone needs no answer
  }

 private:
  int descriptor_ = -1;
  std::vector<std::byte> unread_;
};

// One that waits for its place in a port.
struct Arrival {
  MovedSocket socket{};
  uint64_t ticket = 0;  // the application's name for it
  uint32_t id = 0;      // names its operation
  int place = -1;       // the kernel reads the descriptor here and puts the slot in its stead
};

}  // namespace hongbao::net
