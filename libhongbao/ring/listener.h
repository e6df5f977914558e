// Listener: sockets that accept for a group of rings on one address and port.
//
// Owns the listening descriptors until they are closed. Never accepts by itself.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libhongbao/address.h"
#include "libhongbao/ring/socket_options.h"

namespace hongbao::ring {

class Listeners {
 public:
  // Opens `count` sockets on `address` (port 0: a free one, the same for all), spread by the kernel with SO_REUSEPORT. On ::
  // they take IPv4 too. An occupied port is an error even when its owner would share it.
  static absl::StatusOr<Listeners> Open(const SocketAddress& address, uint32_t count, uint32_t backlog,
                                        const SocketOptions& sockets = {});
  Listeners() = default;
  Listeners(Listeners&& other) noexcept;
  Listeners& operator=(Listeners&& other) noexcept;
  ~Listeners();

  uint16_t port() const { return port_; }
  int descriptor(uint32_t index) const { return descriptors_[index]; }
  // Closes one. Connections that wait in its backlog are reset.
  void Close(uint32_t index);

 private:
  std::vector<int> descriptors_;
  uint16_t port_ = 0;
};

}  // namespace hongbao::ring
