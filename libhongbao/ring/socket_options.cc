#include "libhongbao/ring/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <string_view>

namespace hongbao::ring {
namespace {

constexpr std::string_view kSimplestControl = "reno";  // every kernel has it, and lets anybody choose it
constexpr int kProbes = 3;                             // without an answer, unless peer_timeout_ms ends it first

void Set(int descriptor, int level, int name, int value) { setsockopt(descriptor, level, name, &value, sizeof(value)); }

}  // namespace

void Apply(int descriptor, const SocketOptions& options, const SocketAddress& other) {
  Set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.peer_timeout_ms != 0) {
    Set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(options.peer_timeout_ms));
  }
  if (options.send_buffer_bytes != 0) {
    Set(descriptor, SOL_SOCKET, SO_SNDBUF, options.send_buffer_bytes);
  }
  if (other.IsLoopback()) {
    // A million connections with both ends here were asked 18,000 times a second.
    setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, kSimplestControl.data(), kSimplestControl.size());
  } else if (options.keepalive_ms != 0) {
    const int idle_s = static_cast<int>(std::clamp<int64_t>(options.keepalive_ms / 1'000, 1, 32'767));
    Set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    Set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
    Set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, std::clamp(idle_s / 3, 1, 10));
    Set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  }
}

}  // namespace hongbao::ring
