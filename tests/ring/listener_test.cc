#include "libhongbao/ring/listener.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <string>

namespace hongbao::ring {
namespace {

constexpr uint32_t kLoopback = 0x7f000001;

int Client(uint16_t port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(kLoopback);
  address.sin_port = htons(port);
  if (connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    close(descriptor);
    return -1;
  }
  return descriptor;
}

// Somebody else's socket on `port` (0: a free one), listening; returns it.
int Occupy(uint16_t port, bool reuse_port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (reuse_port) {
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(kLoopback);
  address.sin_port = htons(port);
  EXPECT_EQ(bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(listen(descriptor, 16), 0);
  return descriptor;
}

uint16_t PortOf(int descriptor) {
  sockaddr_in address = {};
  socklen_t length = sizeof(address);
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

TEST(Listeners, PortZeroGivesTheWholeGroupOneFreePort) {
  absl::StatusOr<Listeners> listeners = Listeners::Open(SocketAddress::Ipv4(kLoopback), 4, 16);
  ASSERT_TRUE(listeners.ok()) << listeners.status();
  EXPECT_NE(listeners->port(), 0);
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(PortOf(listeners->descriptor(i)), listeners->port());
  }
}

TEST(Listeners, KernelSpreadsConnectionsOverTheGroup) {
  absl::StatusOr<Listeners> listeners = Listeners::Open(SocketAddress::Ipv4(kLoopback), 4, 128);
  ASSERT_TRUE(listeners.ok()) << listeners.status();
  std::set<int> clients;
  for (int i = 0; i < 64; ++i) {
    clients.insert(Client(listeners->port()));
  }
  EXPECT_FALSE(clients.contains(-1));
  for (uint32_t i = 0; i < 4; ++i) {  // none has gone without any: 64 in 4 by hash
    const int accepted = accept4(listeners->descriptor(i), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    ASSERT_GE(accepted, 0);
    int no_delay = 0;
    socklen_t length = sizeof(no_delay);
    getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length);
    EXPECT_EQ(no_delay, 1) << "is to be inherited";
    close(accepted);
  }
  for (const int client : clients) {
    close(client);
  }
}

TEST(Listeners, OccupiedPortIsRefusedWhateverItsOwnerAllows) {
  for (const bool reuse_port : {false, true}) {
    const int owner = Occupy(0, reuse_port);
    const uint16_t port = PortOf(owner);
    for (const uint32_t address : {kLoopback, 0u}) {
      const absl::StatusOr<Listeners> listeners = Listeners::Open(SocketAddress::Ipv4(address, port), 2, 16);
      ASSERT_FALSE(listeners.ok()) << "shared a port with its owner, SO_REUSEPORT " << reuse_port;
      EXPECT_EQ(listeners.status().code(), absl::StatusCode::kAlreadyExists);
      EXPECT_THAT(std::string(listeners.status().message()), testing::HasSubstr(std::to_string(port)));
      EXPECT_THAT(std::string(listeners.status().message()), testing::HasSubstr("ss -ltnp"));
    }
    close(owner);
  }
}

TEST(Listeners, SecondGroupOfOurOwnIsRefused) {
  absl::StatusOr<Listeners> first = Listeners::Open(SocketAddress::Ipv4(kLoopback), 2, 16);
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(Listeners::Open(SocketAddress::Ipv4(kLoopback, first->port()), 2, 16).ok());
}

TEST(Listeners, PortIsFreeAgainAfterwardsThoughConnectionsLinger) {
  uint16_t port = 0;
  {
    absl::StatusOr<Listeners> listeners = Listeners::Open(SocketAddress::Ipv4(kLoopback), 1, 16);
    ASSERT_TRUE(listeners.ok());
    port = listeners->port();
    const int client = Client(port);
    ASSERT_GE(client, 0);
    const int accepted = accept4(listeners->descriptor(0), nullptr, nullptr, SOCK_CLOEXEC);
    close(accepted);  // this side closes first: TIME_WAIT is ours
    close(client);
  }
  const absl::StatusOr<Listeners> again = Listeners::Open(SocketAddress::Ipv4(kLoopback, port), 1, 16);
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST(Listeners, ErrorsSayWhatToDo) {
  const absl::StatusOr<Listeners> foreign = Listeners::Open(SocketAddress::Ipv4(0x08080808), 1, 16);
  ASSERT_FALSE(foreign.ok());
  EXPECT_EQ(foreign.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(foreign.status().message()), testing::HasSubstr("ip addr"));
}

TEST(Listeners, ClosedOneRefusesAndMoveKeepsTheSockets) {
  absl::StatusOr<Listeners> opened = Listeners::Open(SocketAddress::Ipv4(kLoopback), 1, 16);
  ASSERT_TRUE(opened.ok());
  Listeners listeners;
  listeners = *std::move(opened);
  const int client = Client(listeners.port());
  EXPECT_GE(client, 0);
  close(client);
  listeners.Close(0);
  listeners.Close(0);
  EXPECT_EQ(Client(listeners.port()), -1);
}

}  // namespace
}  // namespace hongbao::ring
