#include "libhongbao/watch/monitor_link.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <vector>

namespace hongbao::watch {
namespace {

constexpr int kPatienceMs = 20'000;

// A monitor as a bare socket: it listens, takes records, or does not.
class Monitor {
 public:
  explicit Monitor(uint16_t port = 0) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const int small = 4'096;  // inherited: a peer that does not read is full soon
    setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    socklen_t length = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  ~Monitor() {
    Drop();
    close(listener_);
  }

  uint16_t port() const { return port_; }
  HostPort address() const { return {.host = "127.0.0.1", .port = port_}; }
  void Accept() {
    pollfd wanted{.fd = listener_, .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&wanted, 1, kPatienceMs), 1);
    peer_ = accept(listener_, nullptr, nullptr);
  }
  // Closes what it accepted; with unread bytes that is a reset.
  void Drop() {
    if (peer_ >= 0) {
      close(peer_);
      peer_ = -1;
    }
  }
  // Up to `size` bytes of what has come; fewer at the end of the stream.
  std::vector<std::byte> Read(size_t size) {
    std::vector<std::byte> bytes(size);
    size_t got = 0;
    while (got < size) {
      pollfd wanted{.fd = peer_, .events = POLLIN, .revents = 0};
      const ssize_t n = poll(&wanted, 1, kPatienceMs) == 1 ? recv(peer_, bytes.data() + got, size - got, 0) : 0;
      if (n <= 0) {
        break;
      }
      got += static_cast<size_t>(n);
    }
    bytes.resize(got);
    return bytes;
  }
  // The next record's second; -1 at the end of the stream.
  int64_t ReadSecond() {
    wire::CounterRecord record;
    const std::vector<std::byte> bytes = Read(wire::kCounterRecordBytes);
    return bytes.size() == wire::kCounterRecordBytes && wire::DecodeCounterRecord(bytes, record) ? record.unix_s : -1;
  }

 private:
  int listener_ = -1;
  int peer_ = -1;
  uint16_t port_ = 0;
};

wire::CounterRecord Of(int64_t second) { return {.unix_s = second, .role = wire::Role::kServer}; }

class MonitorLinkTest : public testing::Test {
 protected:
  // The kernel takes a moment for a connect or an end to arrive; the link's own clock stands still meanwhile.
  template <typename Condition>
  static bool TickUntil(MonitorLink& link, Condition condition) {
    for (int i = 0; i < kPatienceMs; ++i) {
      link.Tick();
      if (condition()) {
        return true;
      }
      usleep(1'000);
    }
    return false;
  }

  time::FakeClock clock_;
};

TEST_F(MonitorLinkTest, SendsRecordsInOrder) {
  Monitor monitor;
  MonitorLink link(monitor.address(), clock_);
  EXPECT_NE(link.StateText().find("connecting"), std::string::npos);
  for (int second = 1; second <= 5; ++second) {
    link.Add(Of(second));
  }
  ASSERT_TRUE(TickUntil(link, [&] { return link.connected(); }));
  EXPECT_NE(link.StateText().find("connected"), std::string::npos);
  EXPECT_TRUE(link.Flush(kPatienceMs));
  monitor.Accept();
  for (int second = 1; second <= 5; ++second) {
    EXPECT_EQ(monitor.ReadSecond(), second);
  }
  EXPECT_EQ(monitor.ReadSecond(), -1) << "Flush closes";
  EXPECT_EQ(link.sent(), 5u);
  EXPECT_EQ(link.dropped(), 0u);
}

TEST_F(MonitorLinkTest, AnAbsentMonitorCostsTheOldestRecordsAndIsTriedOnceASecond) {
  uint16_t port = 0;
  {
    const Monitor gone;
    port = gone.port();
  }
  MonitorLink link({.host = "127.0.0.1", .port = port}, clock_);
  for (size_t second = 1; second <= MonitorLink::kQueueMax + 3; ++second) {
    link.Add(Of(static_cast<int64_t>(second)));
  }
  link.Tick();
  EXPECT_FALSE(link.connected());
  EXPECT_EQ(link.dropped(), 3u);
  EXPECT_EQ(link.waiting(), MonitorLink::kQueueMax);
  EXPECT_NE(link.StateText().find("ECONNREFUSED"), std::string::npos) << link.StateText();
  EXPECT_NE(link.StateText().find("120 records wait, 3 dropped"), std::string::npos) << link.StateText();

  Monitor monitor(port);  // here it is
  for (int i = 0; i < 50; ++i) {
    link.Tick();
    EXPECT_FALSE(link.connected()) << "not before a second has passed";
  }
  clock_.Advance(time::kNsPerSecond);
  ASSERT_TRUE(TickUntil(link, [&] { return link.connected(); }));
  EXPECT_TRUE(link.Flush(kPatienceMs));
  monitor.Accept();
  EXPECT_EQ(monitor.ReadSecond(), 4) << "the first three gave way";
}

TEST_F(MonitorLinkTest, ARecordThatWasCutOffIsSentAgainWhole) {
  auto monitor = std::make_unique<Monitor>();
  const uint16_t port = monitor->port();
  MonitorLink link(monitor->address(), clock_);
  ASSERT_TRUE(TickUntil(link, [&] { return link.connected(); }));
  monitor->Accept();
  int64_t second = 0;
  for (int i = 0; i < 10'000 && link.dropped() == 0; ++i) {  // until both kernels' buffers are full
    link.Add(Of(++second));
    link.Tick();
  }
  ASSERT_GT(link.dropped(), 0u) << "a monitor that does not read";
  const auto taken = static_cast<int64_t>(link.sent());
  monitor.reset();
  ASSERT_TRUE(TickUntil(link, [&] { return !link.connected(); }));
  EXPECT_EQ(link.sent(), static_cast<uint64_t>(taken));
  Monitor again(port);
  clock_.Advance(time::kNsPerSecond);
  ASSERT_TRUE(TickUntil(link, [&] { return link.connected(); }));
  again.Accept();
  // The one that was under way, whole; then what had not given way.
  EXPECT_EQ(again.ReadSecond(), taken + 1);
  int64_t before = second - static_cast<int64_t>(MonitorLink::kQueueMax);
  for (size_t i = 0; i < MonitorLink::kQueueMax; ++i) {
    link.Tick();
    EXPECT_EQ(again.ReadSecond(), ++before);
  }
  EXPECT_EQ(before, second);
}

TEST_F(MonitorLinkTest, FlushDoesNotWaitForAMonitorThatIsNotThere) {
  uint16_t port = 0;
  {
    const Monitor gone;
    port = gone.port();
  }
  MonitorLink link({.host = "127.0.0.1", .port = port}, clock_);  // whose clock stands still: a wait would never end
  link.Add(Of(1));
  EXPECT_FALSE(link.Flush(kPatienceMs));
}

TEST_F(MonitorLinkTest, FlushEndsWhenPatienceDoes) {
  Monitor monitor;
  const time::RealClock clock;
  MonitorLink link(monitor.address(), clock);
  ASSERT_TRUE(TickUntil(link, [&] { return link.connected(); }));
  for (int second = 0; second < 10'000 && link.dropped() == 0; ++second) {
    link.Add(Of(second));
    link.Tick();
  }
  EXPECT_FALSE(link.Flush(50));
}

TEST_F(MonitorLinkTest, NewsComesOnceAndNotTooOften) {
  auto monitor = std::make_unique<Monitor>();
  const uint16_t port = monitor->port();
  MonitorLink link(monitor->address(), clock_);
  EXPECT_FALSE(link.News().has_value()) << "nothing is known yet";
  ASSERT_TRUE(TickUntil(link, [&] { return link.connected(); }));
  EXPECT_TRUE(link.News().has_value());
  EXPECT_FALSE(link.News().has_value());
  monitor.reset();
  ASSERT_TRUE(TickUntil(link, [&] { return !link.connected(); }));
  EXPECT_FALSE(link.News().has_value()) << "too soon after the last";
  clock_.Advance(10 * time::kNsPerSecond);
  const absl::optional<std::string> gone = link.News();
  ASSERT_TRUE(gone.has_value());
  EXPECT_NE(gone->find("no connection since"), std::string::npos) << *gone;
  // Gone and back within the ten seconds: nobody needs to know.
  Monitor again(port);
  ASSERT_TRUE(TickUntil(link, [&] { return link.connected(); }));
  EXPECT_FALSE(link.News().has_value());
  clock_.Advance(10 * time::kNsPerSecond);
  EXPECT_TRUE(link.News().has_value());
}

TEST_F(MonitorLinkTest, ReachesAMonitorByIpv6) {
  const int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  if (listener < 0 || bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  ASSERT_EQ(listen(listener, 1), 0);
  socklen_t length = sizeof(address);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  MonitorLink link({.host = "::1", .port = ntohs(address.sin6_port)}, clock_);
  EXPECT_TRUE(TickUntil(link, [&] { return link.connected(); }));
  close(listener);
}

TEST_F(MonitorLinkTest, ReachesAMonitorByName) {
  Monitor monitor;
  MonitorLink link({.host = "localhost", .port = monitor.port()}, clock_);
  EXPECT_TRUE(TickUntil(link, [&] { return link.connected(); }));
}

TEST_F(MonitorLinkTest, SaysThatANameStandsForNothing) {
  MonitorLink link({.host = "no-such-host.invalid", .port = 8002}, clock_);
  ASSERT_TRUE(TickUntil(link, [&] { return link.StateText().find("cannot resolve the name") != std::string::npos; }));
  const absl::optional<std::string> news = link.News();
  ASSERT_TRUE(news.has_value());
  EXPECT_NE(news->find("no-such-host.invalid:8002: no connection since"), std::string::npos) << *news;
}

// In a network of its own, where the kernel has two ports to choose from: soon it takes the monitor's own one, and TCP
// connects the socket with itself.
bool FindsOnlyItself(int tries) {
  ifreq loopback{.ifr_ifrn = {.ifrn_name = "lo"}, .ifr_ifru = {.ifru_flags = IFF_UP}};
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool up = ioctl(any, SIOCSIFFLAGS, &loopback) == 0;
  close(any);
  std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "40000 40001" << std::flush;
  const time::RealClock clock;
  bool connected = !up;
  for (int i = 0; i < tries && !connected; ++i) {
    MonitorLink link({.host = "127.0.0.1", .port = static_cast<uint16_t>(40'000 + i % 2)}, clock);
    link.Add({.unix_s = 1});
    link.Tick();
    link.Tick();
    connected = link.connected() || link.sent() > 0;
  }
  return connected;
}

// The real thing needs a day of tries: a monitor that is away, and its port in the range that connects choose from.
TEST(MonitorLink, NeverTakesItselfForTheMonitor) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(unshare(CLONE_NEWNET) != 0 ? 77 : FindsOnlyItself(50) ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) {
    GTEST_SKIP() << "needs root, for a network namespace";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace hongbao::watch
