#include "libhongbao/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace hongbao {
namespace {

constexpr char kLocalhost[] = "localhost";

absl::Status Wrong(absl::string_view text, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' ", reason));
}

// What a name may look like (RFC 1123, and the underscore that containers' names have). A name whose last part is a number
// would be a mistyped IPv4 address: getaddrinfo takes 10.1 for 10.0.0.1.
bool IsName(absl::string_view host) {
  absl::ConsumeSuffix(&host, ".");
  if (host.empty() || host.size() > 253) {
    return false;
  }
  const std::vector<absl::string_view> labels = absl::StrSplit(host, '.');
  const auto is_label = [](absl::string_view label) {
    return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
           std::all_of(label.begin(), label.end(),
                       [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_'; });
  };
  return std::all_of(labels.begin(), labels.end(), is_label) &&
         !std::all_of(labels.back().begin(), labels.back().end(), absl::ascii_isdigit);
}

// getaddrinfo's verdict, with what helps.
absl::Status CannotResolve(const HostPort& where, int code, int error) {
  const std::string what = absl::StrCat("cannot resolve the name '", where.host,
                                        "': ", code == EAI_SYSTEM ? std::strerror(error) : gai_strerror(code));
  if (code == EAI_AGAIN) {
    return absl::UnavailableError(absl::StrCat(what,
                                               "; no name server answers: see /etc/resolv.conf, or give the address "
                                               "itself, such as 10.0.0.5:",
                                               where.port));
  }
  return absl::NotFoundError(
      absl::StrCat(what, "; correct it (getent hosts ", where.host,
                   " shows what it stands for), or give the address itself, such as 10.0.0.5:", where.port));
}

}  // namespace

// ---- SocketAddress ----

SocketAddress SocketAddress::Ipv4(uint32_t address_host_order, uint16_t port) {
  SocketAddress result;
  result.storage_.four.sin_family = AF_INET;
  result.storage_.four.sin_addr.s_addr = htonl(address_host_order);
  result.storage_.four.sin_port = htons(port);
  return result;
}

SocketAddress SocketAddress::Ipv6(const in6_addr& address, uint16_t port, uint32_t scope) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    uint32_t four = 0;
    std::memcpy(&four, address.s6_addr + 12, sizeof(four));
    return Ipv4(ntohl(four), port);
  }
  SocketAddress result;
  result.storage_.six.sin6_family = AF_INET6;
  result.storage_.six.sin6_addr = address;
  result.storage_.six.sin6_port = htons(port);
  result.storage_.six.sin6_scope_id = scope;
  return result;
}

SocketAddress SocketAddress::FromKernel(const sockaddr* address, socklen_t length) {
  if (address->sa_family == AF_INET && length >= static_cast<socklen_t>(sizeof(sockaddr_in))) {
    sockaddr_in four;
    std::memcpy(&four, address, sizeof(four));
    return Ipv4(ntohl(four.sin_addr.s_addr), ntohs(four.sin_port));
  }
  if (address->sa_family != AF_INET6 || length < static_cast<socklen_t>(sizeof(sockaddr_in6))) {
    return {};
  }
  sockaddr_in6 six;
  std::memcpy(&six, address, sizeof(six));
  return Ipv6(six.sin6_addr, ntohs(six.sin6_port), six.sin6_scope_id);
}

SocketAddress SocketAddress::WithPort(uint16_t port) const {
  SocketAddress result = *this;
  (family() == AF_INET6 ? result.storage_.six.sin6_port : result.storage_.four.sin_port) = htons(port);
  return result;
}

bool SocketAddress::IsLoopback() const {
  return family() == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&storage_.six.sin6_addr)
                              : family() == AF_INET && ntohl(storage_.four.sin_addr.s_addr) >> 24 == 127;
}

bool SocketAddress::IsAny() const {
  return family() == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&storage_.six.sin6_addr)
                              : family() == AF_INET && storage_.four.sin_addr.s_addr == 0;
}

SocketAddress SocketAddress::Plus(uint32_t n) const {
  SocketAddress result = *this;
  if (family() == AF_INET) {
    result.storage_.four.sin_addr.s_addr = htonl(ntohl(storage_.four.sin_addr.s_addr) + n);
    return result;
  }
  uint64_t carry = n;
  for (int i = 15; i >= 0 && carry > 0; --i) {
    carry += result.storage_.six.sin6_addr.s6_addr[i];
    result.storage_.six.sin6_addr.s6_addr[i] = static_cast<uint8_t>(carry);
    carry >>= 8;
  }
  return result;
}

socklen_t SocketAddress::size() const { return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in); }

std::string SocketAddress::HostToString() const {
  char text[INET6_ADDRSTRLEN] = "?";
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &storage_.four.sin_addr, text, sizeof(text));
  } else if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &storage_.six.sin6_addr, text, sizeof(text));
    if (const uint32_t scope = storage_.six.sin6_scope_id; scope != 0) {
      char name[IF_NAMESIZE];
      return absl::StrCat(text, "%", if_indextoname(scope, name) != nullptr ? std::string(name) : std::to_string(scope));
    }
  }
  return text;
}

std::string SocketAddress::ToString() const { return HostPort{.host = HostToString(), .port = port()}.ToString(); }

// ---- HostPort ----

bool HostPort::IsNumeric() const { return host == kLocalhost || ParseAddress(host).given(); }

bool HostPort::IsLoopback() const { return host == kLocalhost || ParseAddress(host).IsLoopback(); }

std::string HostPort::ToString() const { return IsIpv6() ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port); }

SocketAddress ParseAddress(absl::string_view text) {
  const std::string host(text);
  in_addr four{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) {
    return SocketAddress::Ipv4(ntohl(four.s_addr));
  }
  const size_t percent = host.find('%');
  in6_addr six{};
  if (inet_pton(AF_INET6, host.substr(0, percent).c_str(), &six) != 1) {
    return {};
  }
  uint32_t scope = 0;
  if (percent != std::string::npos) {  // the interface of a link-local address, by name or number
    const std::string zone = host.substr(percent + 1);
    scope = if_nametoindex(zone.c_str());
    if (scope == 0 && !absl::SimpleAtoi(zone, &scope)) {
      return {};
    }
  }
  return SocketAddress::Ipv6(six, 0, scope);
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos) {
    return Wrong(text, "has no port; write it like 127.0.0.1:1025, server.example.com:1025 or [::1]:1025");
  }
  const absl::string_view digits = text.substr(colon + 1);
  if (digits.empty() || digits.size() > 5 || !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return Wrong(text, absl::StrCat("has the wrong port '", digits, "': a port is a number from 0 to 65535"));
  }
  absl::string_view host = text.substr(0, colon);
  HostPort result{.host = std::string(host), .port = static_cast<uint16_t>(port)};
  if (absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]")) {
    result.host = std::string(host);
    if (result.IsIpv6() && ParseAddress(host).given()) {
      return result;
    }
    return Wrong(text, host.find('%') != absl::string_view::npos
                           ? "is no address behind an interface of this machine (see: ip -6 addr); write it like "
                             "[fe80::1%eth0]:1025"
                           : "is not an IPv6 address in brackets; write it like [::1]:1025");
  }
  if (result.IsIpv6()) {
    return Wrong(text, "looks like an IPv6 address without brackets; write it like [::1]:1025");
  }
  if (result.host.empty()) {
    result.host = "0.0.0.0";
  }
  if (!ParseAddress(result.host).given() && !IsName(result.host)) {
    return Wrong(text,
                 "is neither an address nor a name with a port; write it like 127.0.0.1:1025, server.example.com:1025 or "
                 "[::1]:1025");
  }
  return result;
}

// ---- names ----

absl::StatusOr<std::vector<SocketAddress>> Resolve(const HostPort& where) {
  if (where.host == kLocalhost) {  // whatever the hosts file says, or without one (RFC 6761)
    return std::vector<SocketAddress>{SocketAddress::Ipv4(INADDR_LOOPBACK, where.port),
                                      SocketAddress::Ipv6(in6addr_loopback, where.port)};
  }
  if (const SocketAddress number = ParseAddress(where.host); number.given()) {
    return std::vector<SocketAddress>{number.WithPort(where.port)};
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  errno = 0;
  if (const int code = getaddrinfo(where.host.c_str(), nullptr, &hints, &list); code != 0) {
    return CannotResolve(where, code, errno);
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, &freeaddrinfo);
  std::vector<SocketAddress> found;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    const SocketAddress address = SocketAddress::FromKernel(one->ai_addr, one->ai_addrlen).WithPort(where.port);
    if (address.given() && std::find(found.begin(), found.end(), address) == found.end()) {
      found.push_back(address);
    }
  }
  if (found.empty()) {
    return CannotResolve(where, EAI_NONAME, 0);
  }
  return found;
}

absl::StatusOr<std::vector<SocketAddress>> ResolvePeer(const HostPort& where) {
  if (where.port == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(where.ToString(), ": nobody listens on port 0; give the port that is listened on"));
  }
  absl::StatusOr<std::vector<SocketAddress>> found = Resolve(where);
  if (found.ok()) {
    for (SocketAddress& address : *found) {
      if (address.IsAny()) {
        address = address.family() == AF_INET6 ? SocketAddress::Ipv6(in6addr_loopback, where.port)
                                               : SocketAddress::Ipv4(INADDR_LOOPBACK, where.port);
      }
    }
  }
  return found;
}

absl::StatusOr<SocketAddress> ResolveListen(const HostPort& where) {
  const absl::StatusOr<std::vector<SocketAddress>> found = Resolve(where);
  if (!found.ok()) {
    return found.status();
  }
  return found->front();
}

absl::StatusOr<HostPort> NumericListen(const HostPort& where) {
  const absl::StatusOr<SocketAddress> address = ResolveListen(where);
  if (!address.ok()) {
    return address.status();
  }
  return HostPort{.host = address->HostToString(), .port = where.port};
}

}  // namespace hongbao
