// Addresses: IPv4 and IPv6 in one value, HOST:PORT as people write it, and what a name stands for.
//
// SocketAddress is what the kernel takes (bind, connect) and gives (accept). HostPort is text from a command line; Resolve
// turns it into addresses. Only Resolve asks anybody (getaddrinfo: the hosts file, a name server); it may take seconds, so it
// is for set-up and for threads that nobody waits for. A leaf beside the rooms: every room and program may use it.
// Thread tag: thread-safe (values and pure functions).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libhongbao/cpp20.h"

namespace hongbao {

class SocketAddress {
 public:
  // No address: as a source "the kernel chooses".
  SocketAddress() { std::memset(&storage_, 0, sizeof(storage_)); }
  static SocketAddress Ipv4(uint32_t address_host_order, uint16_t port = 0);
  // IPv4 inside of IPv6 (::ffff:10.0.0.1, as a dual-stack listener sees IPv4 peers) becomes IPv4.
  static SocketAddress Ipv6(const in6_addr& address, uint16_t port = 0, uint32_t scope = 0);
  // As accept, getpeername and getaddrinfo have it. No address when it is of another family.
  static SocketAddress FromKernel(const sockaddr* address, socklen_t length);

  bool given() const { return family() != AF_UNSPEC; }
  int family() const { return storage_.any.sa_family; }
  uint16_t port() const { return ntohs(family() == AF_INET6 ? storage_.six.sin6_port : storage_.four.sin_port); }
  SocketAddress WithPort(uint16_t port) const;
  bool IsLoopback() const;  // 127.0.0.0/8, ::1
  bool IsAny() const;       // 0.0.0.0, ::
  // The address `n` further on, with the same port; beyond the last one it begins anew.
  SocketAddress Plus(uint32_t n) const;

  const sockaddr* get() const { return &storage_.any; }
  socklen_t size() const;

  std::string HostToString() const;  // "10.0.0.1", "2001:db8::1", "fe80::1%eth0"; "?" for none
  std::string ToString() const;      // "10.0.0.1:80", "[2001:db8::1]:80"

  friend bool operator==(const SocketAddress& a, const SocketAddress& b) { return a.Bytes() == b.Bytes(); }
  friend bool operator<(const SocketAddress& a, const SocketAddress& b) { return a.Bytes() < b.Bytes(); }
  template <typename H>
  friend H AbslHashValue(H state, const SocketAddress& address) {
    return H::combine(std::move(state), address.Bytes());
  }

 private:
  // All of it, zeros included: what is not set is zero.
  std::string_view Bytes() const { return {reinterpret_cast<const char*>(&storage_), sizeof(storage_)}; }

  union {
    sockaddr any;
    sockaddr_in four;
    sockaddr_in6 six;
  } storage_;
};
static_assert(sizeof(SocketAddress) == 28);

struct HostPort {
  std::string host{};  // a number without brackets, or a name
  uint16_t port = 0;   // 0: to listen, let the kernel pick one

  bool IsIpv6() const { return host.find(':') != std::string::npos; }
  // A number, or "localhost": nobody has to be asked what it means.
  bool IsNumeric() const;
  // Whether it is one of those that mean this machine alone: 127.0.0.0/8, ::1, localhost.
  bool IsLoopback() const;
  // "127.0.0.1:80", "[::1]:80", "server.example.com:80".
  std::string ToString() const;
};

// "HOST:PORT", "[IPV6]:PORT", ":PORT" (= 0.0.0.0). The Status shows what was wrong and how to write it.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);
// "10.0.0.1", "::1", "fe80::1%eth0"; port 0. No address when it is no number.
SocketAddress ParseAddress(absl::string_view text);

// Every address of the host, each once, in the order in which they should be tried, with the port. Never empty when ok.
absl::StatusOr<std::vector<SocketAddress>> Resolve(const HostPort& where);
// To connect to: the same, but where a server listens on all addresses (0.0.0.0, ::) this machine is meant; the port must
// not be 0.
absl::StatusOr<std::vector<SocketAddress>> ResolvePeer(const HostPort& where);
// To listen on: the first of them.
absl::StatusOr<SocketAddress> ResolveListen(const HostPort& where);
// The same as text, a number.
absl::StatusOr<HostPort> NumericListen(const HostPort& where);

}  // namespace hongbao
