#include "libhongbao/ring/socket_options.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace hongbao::ring {
namespace {

int Get(int descriptor, int level, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  EXPECT_EQ(getsockopt(descriptor, level, name, &value, &length), 0);
  return value;
}

std::string ControlOf(int descriptor) {
  char name[16] = {};
  socklen_t length = sizeof(name);
  EXPECT_EQ(getsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
  return name;
}

const SocketAddress kElsewhere = SocketAddress::Ipv4(0xc000'0201, 1);  // 192.0.2.1

TEST(SocketOptions, AreInheritedByWhatAListenerAccepts) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Apply(listener, {.peer_timeout_ms = 4'321, .keepalive_ms = 30'000, .send_buffer_bytes = 8'192}, kElsewhere);
  ASSERT_EQ(listen(listener, 1), 0);
  sockaddr_in address = {};
  socklen_t length = sizeof(address);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const int accepted = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  ASSERT_GE(accepted, 0);
  EXPECT_EQ(Get(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), 4'321);
  EXPECT_EQ(Get(accepted, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(Get(accepted, IPPROTO_TCP, TCP_KEEPIDLE), 30);
  EXPECT_EQ(Get(accepted, IPPROTO_TCP, TCP_KEEPINTVL), 10);
  EXPECT_EQ(Get(accepted, SOL_SOCKET, SO_SNDBUF), 2 * 8'192);
  EXPECT_NE(Get(accepted, IPPROTO_TCP, TCP_NODELAY), 0);
  for (const int descriptor : {listener, client, accepted}) {
    close(descriptor);
  }
}

TEST(SocketOptions, NoneLeavesTheKernels) {
  const int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const std::string control = ControlOf(one);
  Apply(one, {}, kElsewhere);
  EXPECT_EQ(ControlOf(one), control);
  EXPECT_EQ(Get(one, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
  EXPECT_EQ(Get(one, SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_NE(Get(one, IPPROTO_TCP, TCP_NODELAY), 0);
  Apply(one, {.keepalive_ms = 1}, kElsewhere);  // the kernel counts in seconds
  EXPECT_EQ(Get(one, IPPROTO_TCP, TCP_KEEPIDLE), 1);
  close(one);
}

TEST(SocketOptions, OnThisMachineNobodyIsAskedAndNothingIsPaced) {
  const int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Apply(one, {.peer_timeout_ms = 4'321, .keepalive_ms = 30'000}, SocketAddress::Ipv4(INADDR_LOOPBACK, 1));
  EXPECT_EQ(Get(one, SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_EQ(Get(one, IPPROTO_TCP, TCP_USER_TIMEOUT), 4'321) << "it also bounds who reads nothing";
  EXPECT_EQ(ControlOf(one), "reno");
  close(one);
}

}  // namespace
}  // namespace hongbao::ring
