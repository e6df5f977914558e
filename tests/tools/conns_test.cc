#include "tools/conns_program/diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tools/conns_program/dump.h"
#include "tools/conns_program/show.h"
#include "tools/conns_program/tally.h"

namespace hongbao::conns {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Verdict = Parsed::Verdict;

Address Ipv4(uint8_t last) { return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, last}; }

// Datagrams as the kernel makes them.
class Datagram {
 public:
  Datagram& Add(uint16_t type, const std::string& body, uint16_t flags = NLM_F_MULTI, uint32_t sequence = 7) {
    const nlmsghdr header{.nlmsg_len = static_cast<uint32_t>(sizeof(nlmsghdr) + body.size()),
                          .nlmsg_type = type,
                          .nlmsg_flags = flags,
                          .nlmsg_seq = sequence,
                          .nlmsg_pid = 0};
    bytes_.append(reinterpret_cast<const char*>(&header), sizeof(header)).append(body);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0');
    return *this;
  }
  Datagram& AddSocket(int family, uint16_t port, const Address& peer, uint16_t flags = NLM_F_MULTI, uint32_t sequence = 7) {
    inet_diag_msg message{};
    message.idiag_family = static_cast<uint8_t>(family);
    message.idiag_state = 1;
    message.id.idiag_sport = htons(port);
    message.id.idiag_dport = htons(40'000);
    std::memcpy(message.id.idiag_dst, family == AF_INET ? peer.data() + 12 : peer.data(), family == AF_INET ? 4 : 16);
    std::string body(reinterpret_cast<const char*>(&message), sizeof(message));
    body += "\x05";  // attributes follow, which nobody reads
    return Add(SOCK_DIAG_BY_FAMILY, body, flags, sequence);
  }
  Datagram& AddNumber(uint16_t type, int32_t number) {
    return Add(type, {reinterpret_cast<const char*>(&number), sizeof(number)});
  }

  Parsed Parse(std::vector<Connection>& found) const { return ParseFirst(bytes_.size(), found); }
  Parsed ParseFirst(size_t size, std::vector<Connection>& found) const {
    const std::vector<char> exactly(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(size));
    return ParseDatagram(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(exactly.data()), exactly.size()), 7,
                         [&found](const Connection& connection) { found.push_back(connection); });
  }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

TEST(Diag, FindsSocketsOfBothFamilies) {
  Datagram datagram;
  Address six{0xfe, 0x80};
  six[15] = 9;
  datagram.AddSocket(AF_INET, 1025, Ipv4(2)).AddSocket(AF_INET6, 1026, six).AddSocket(AF_INET6, 1027, Ipv4(3));
  std::vector<Connection> found;
  EXPECT_EQ(datagram.Parse(found).verdict, Verdict::kMore);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].local_port, 1025);
  EXPECT_EQ(found[0].peer_port, 40'000);
  EXPECT_EQ(found[0].state, 1);
  EXPECT_EQ(AddressToString(found[0].peer), "127.0.0.2");
  EXPECT_EQ(AddressToString(found[1].peer), "fe80::9");
  EXPECT_EQ(AddressToString(found[2].peer), "127.0.0.3") << "a dual-stack socket's IPv4 peer is that address";
}

TEST(Diag, EndsWithDoneOrWithTheKernelsError) {
  std::vector<Connection> found;
  EXPECT_EQ(Datagram().AddSocket(AF_INET, 1, Ipv4(1)).AddNumber(NLMSG_DONE, 0).Parse(found).verdict, Verdict::kDone);
  EXPECT_EQ(found.size(), 1U);
  const Parsed refused = Datagram().AddNumber(NLMSG_ERROR, -ENOENT).Parse(found);
  EXPECT_EQ(refused.verdict, Verdict::kError);
  EXPECT_EQ(refused.error, ENOENT);
  EXPECT_EQ(Datagram().AddNumber(NLMSG_DONE, -ENOMEM).Parse(found).error, ENOMEM) << "a dump that failed on the way";
  EXPECT_EQ(Datagram().Add(NLMSG_ERROR, "x").Parse(found).verdict, Verdict::kMalformed);
  EXPECT_EQ(Datagram().AddNumber(NLMSG_ERROR, -100'000).Parse(found).verdict, Verdict::kMalformed);
}

TEST(Diag, SaysThatTheTableChanged) {
  std::vector<Connection> found;
  EXPECT_FALSE(Datagram().AddSocket(AF_INET, 1, Ipv4(1)).Parse(found).interrupted);
  EXPECT_TRUE(Datagram().AddSocket(AF_INET, 1, Ipv4(1), NLM_F_MULTI | NLM_F_DUMP_INTR).Parse(found).interrupted);
}

TEST(Diag, SkipsOtherRequestsAnswersAndOtherTypes) {
  std::vector<Connection> found;
  EXPECT_EQ(Datagram().AddSocket(AF_INET, 1, Ipv4(1), NLM_F_MULTI, 6).Add(NLMSG_NOOP, "").Parse(found).verdict, Verdict::kMore);
  EXPECT_TRUE(found.empty());
}

TEST(Diag, EveryCutOfADatagramIsMalformedOrShorter) {
  Datagram datagram;
  datagram.AddSocket(AF_INET, 1, Ipv4(1)).AddSocket(AF_INET, 2, Ipv4(1)).AddNumber(NLMSG_DONE, 0);
  for (size_t size = 0; size < datagram.bytes().size(); ++size) {
    std::vector<Connection> found;
    EXPECT_NE(datagram.ParseFirst(size, found).verdict, Verdict::kDone) << size;
    EXPECT_LE(found.size(), 2U);
  }
  Datagram impossible;
  impossible.AddSocket(AF_INET, 1, Ipv4(1));
  impossible.bytes()[0] = 3;  // a length below a header's: an endless loop for the careless
  std::vector<Connection> found;
  EXPECT_EQ(impossible.Parse(found).verdict, Verdict::kMalformed);
}

TEST(Diag, ReadsStatesAndPorts) {
  EXPECT_EQ(*ParseStates("established"), kEstablished);
  EXPECT_EQ(StatesToString(*ParseStates("listen,established")), "established,listen");
  EXPECT_THAT(StatesToString(*ParseStates("all")), HasSubstr("closing"));
  for (const char* wrong : {"", "open", "established,", "ESTABLISHED"}) EXPECT_FALSE(ParseStates(wrong).ok()) << wrong;
  const auto ports = ParsePorts("1025-1028,80");
  ASSERT_TRUE(ports.ok());
  EXPECT_EQ(ports->size(), 2U);
  EXPECT_EQ((*ports)[0].last, 1028);
  for (const char* wrong : {"", "0", "65536", "2-1", "1-2-3", "x", "-1", "1-", " 1", "+1", "1,"})
    EXPECT_FALSE(ParsePorts(wrong).ok()) << wrong;
  std::string many = "1";
  for (size_t i = 0; i < kPortRangesMax; ++i) many += ",1";
  EXPECT_FALSE(ParsePorts(many).ok());
}

// What the kernel does with a program (net/ipv4/inet_diag.c, inet_diag_bc_run), and what it demands of one before.
bool Accepts(const std::vector<std::byte>& program, uint16_t local, uint16_t peer) {
  const auto size = static_cast<int>(program.size());
  int at = 0;
  while (at < size) {
    inet_diag_bc_op op{};
    inet_diag_bc_op value{};
    std::memcpy(&op, program.data() + at, sizeof(op));
    if (at + 8 <= size) std::memcpy(&value, program.data() + at + 4, sizeof(value));
    const bool holds = op.code == INET_DIAG_BC_S_GE   ? local >= value.no
                       : op.code == INET_DIAG_BC_S_LE ? local <= value.no
                       : op.code == INET_DIAG_BC_D_GE ? peer >= value.no
                       : op.code == INET_DIAG_BC_D_LE ? peer <= value.no
                                                      : false;  // a jump
    const int step = holds ? op.yes : op.no;
    EXPECT_GE(step, 4);
    EXPECT_LE(step, size - at + 4);
    if (step < 4) return false;
    at += step;
  }
  return at == size;
}

TEST(PortFilter, AcceptsThePortsThatWereAsked) {
  EXPECT_TRUE(PortFilter({}).empty());
  const std::vector<PortRange> ports = {{1025, 1028}, {80, 80}, {9000, 9999}};
  const std::vector<std::byte> program = PortFilter(ports);
  for (uint32_t port = 1; port <= 65'535; ++port) {
    const bool asked = (port >= 1025 && port <= 1028) || port == 80 || (port >= 9000 && port <= 9999);
    EXPECT_EQ(Accepts(program, static_cast<uint16_t>(port), 5), asked) << port;
  }
}

Tally Example() {
  Tally tally;
  for (int i = 0; i < 1'500; ++i) tally.Add({.local_port = 1025, .peer = Ipv4(static_cast<uint8_t>(2 + i % 16))});
  tally.Add({.local_port = 22, .peer = Ipv4(2)});
  tally.Add({.local_port = 21, .peer = Ipv4(2)});
  return tally;
}

TEST(Tally, TellsFamiliesApart) {
  Tally tally;
  Address six{};  // the same last bytes as an IPv4 address, and not mapped
  six[12] = 127;
  six[15] = 2;
  for (const Address& peer : {Ipv4(2), six, Ipv4(2), AddressOfIpv4(0x7f000002)}) tally.Add({.local_port = 9, .peer = peer});
  const std::vector<TallyRow> rows = tally.Rows(By::kPeer);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(AddressToString(rows[0].peer), "127.0.0.2");
  EXPECT_EQ(rows[0].connections, 3U);
  EXPECT_EQ(rows[1].peer, six);
  tally.Clear();
  EXPECT_TRUE(tally.Rows(By::kPeer).empty());
}

TEST(Tally, GroupsByPortByPeerAndByBoth) {
  const Tally tally = Example();
  EXPECT_EQ(tally.total(), 1'502U);
  const std::vector<TallyRow> by_port = tally.Rows(By::kPort);
  ASSERT_EQ(by_port.size(), 3U);
  EXPECT_EQ(by_port[0].port, 1025);
  EXPECT_EQ(by_port[0].connections, 1'500U);
  EXPECT_EQ(by_port[0].others, 16U);
  EXPECT_EQ(by_port[1].port, 21) << "of equals the lower port";
  const std::vector<TallyRow> by_peer = tally.Rows(By::kPeer);
  EXPECT_EQ(by_peer.size(), 16U);
  EXPECT_EQ(AddressToString(by_peer[0].peer), "127.0.0.2");
  EXPECT_EQ(by_peer[0].connections, 96U);
  EXPECT_EQ(by_peer[0].others, 3U);
  EXPECT_EQ(tally.Rows(By::kBoth).size(), 18U);
}

TEST(Show, LinesAndJson) {
  const Tally tally = Example();
  Shown shown{.by = By::kPort, .top = 2, .unix_s = 5, .took_us = 17};
  EXPECT_EQ(ShowLines(tally, shown, ""),
            "port 1025       1,500 established from 16 peers\n"
            "port 21             1 established from 1 peer\n"
            "others              1 established on 1 port more\n"
            "total           1,502 established on 3 ports\n");
  const nlohmann::json document = nlohmann::json::parse(ShowJson(tally, {.retries = 1, .interrupted = true}, shown));
  EXPECT_EQ(document["connections"], 1'502);
  EXPECT_EQ(document["groups"], 3);
  EXPECT_EQ(document["interrupted"], true);
  EXPECT_EQ(document["rows"].size(), 2U);
  EXPECT_EQ(document["rows"][0]["peers"], 16);
  shown.by = By::kPeer;
  shown.top = 1;
  EXPECT_THAT(ShowLines(tally, shown, "22:30:01  "), HasSubstr("22:30:01  peer 127.0.0.2         96 established on 3 ports\n"));
  EXPECT_EQ(ShowLines(Tally(), shown, ""), "total               0 established on 0 peers\n");
}

// Connections of this process, and what the kernel's filter makes of them.
class Sockets {
 public:
  explicit Sockets(int family) : family_(family), listener_(socket(family, SOCK_STREAM, 0)) {
    EXPECT_EQ(bind(listener_, Loopback(0), Size()), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    sockaddr_storage name{};
    socklen_t size = sizeof(name);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&name), &size), 0);
    port_ = ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in*>(&name)->sin_port
                                    : reinterpret_cast<sockaddr_in6*>(&name)->sin6_port);
  }
  ~Sockets() {
    for (const int each : open_) close(each);
    close(listener_);
  }
  void Connect(int count) {
    for (int i = 0; i < count; ++i) {
      open_.push_back(socket(family_, SOCK_STREAM, 0));
      EXPECT_EQ(connect(open_.back(), Loopback(port_), Size()), 0);
      open_.push_back(accept(listener_, nullptr, nullptr));
    }
  }
  uint16_t port() const { return port_; }

 private:
  const sockaddr* Loopback(uint16_t port) {
    address_ = {};
    address6_ = {};
    address_.sin_family = AF_INET;
    address_.sin_port = address6_.sin6_port = htons(port);
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address6_.sin6_family = AF_INET6;
    address6_.sin6_addr = in6addr_loopback;
    return family_ == AF_INET ? reinterpret_cast<const sockaddr*>(&address_) : reinterpret_cast<const sockaddr*>(&address6_);
  }
  socklen_t Size() const { return family_ == AF_INET ? sizeof(address_) : sizeof(address6_); }

  int family_;
  int listener_;
  uint16_t port_ = 0;
  sockaddr_in address_{};
  sockaddr_in6 address6_{};
  std::vector<int> open_;
};

uint64_t CountOf(Dump& dump, const Wanted& wanted) {
  Tally tally;
  const absl::StatusOr<DumpTold> told = dump.Count(wanted, tally);
  EXPECT_TRUE(told.ok()) << told.status().message();
  return tally.total();
}

TEST(Dump, CountsThisProcesssConnectionsByPortStateAndFamily) {
  auto dump = Dump::Open("");
  ASSERT_TRUE(dump.ok()) << dump.status().message();
  Sockets four(AF_INET);
  four.Connect(40);
  const PortRange port{.first = four.port(), .last = four.port()};
  EXPECT_EQ(CountOf(*dump, {.ports = {port}}), 40U);
  EXPECT_EQ(CountOf(*dump, {.ports = {port}, .ipv6 = false}), 40U);
  EXPECT_EQ(CountOf(*dump, {.ports = {port}, .ipv4 = false}), 0U);
  EXPECT_EQ(CountOf(*dump, {.states = *ParseStates("listen"), .ports = {port}}), 1U);
  EXPECT_GE(CountOf(*dump, {}), 80U) << "both ends, without a filter";
  // Each way through the filter's jumps: below, within and above ranges before and behind.
  const auto around = static_cast<uint16_t>(four.port() - 1);
  const auto behind = static_cast<uint16_t>(four.port() + 1);
  EXPECT_EQ(CountOf(*dump, {.states = *ParseStates("listen"), .ports = {{1, 1}, port, {1, 2}}}), 1U);
  EXPECT_EQ(CountOf(*dump, {.states = *ParseStates("listen"), .ports = {port, {1, 1}, {2, 2}}}), 1U);
  EXPECT_EQ(CountOf(*dump, {.states = *ParseStates("listen"), .ports = {{1, 1}, {2, 3}, {around, behind}}}),
            CountOf(*dump, {.states = *ParseStates("listen"), .ports = {{around, behind}}}));
  EXPECT_EQ(CountOf(*dump, {.states = *ParseStates("listen"), .ports = {{1, 1}, {2, 2}}}), 0U);
  std::vector<PortRange> most(kPortRangesMax, PortRange{1, 1});
  most.back() = port;
  EXPECT_EQ(CountOf(*dump, {.ports = most}), 40U);
  most.front() = port;
  EXPECT_EQ(CountOf(*dump, {.ports = most}), 40U);
}

TEST(Dump, CountsIpv6) {
  const int probe = socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 loopback{};
  loopback.sin6_family = AF_INET6;
  loopback.sin6_addr = in6addr_loopback;
  const bool has_ipv6 = probe >= 0 && bind(probe, reinterpret_cast<const sockaddr*>(&loopback), sizeof(loopback)) == 0;
  if (probe >= 0) close(probe);
  if (!has_ipv6) GTEST_SKIP() << "this machine has no IPv6 loopback";
  auto dump = Dump::Open("");
  ASSERT_TRUE(dump.ok());
  Sockets six(AF_INET6);
  six.Connect(7);
  const PortRange port{.first = six.port(), .last = six.port()};
  EXPECT_EQ(CountOf(*dump, {.ports = {port}, .ipv4 = false}), 7U);
  Tally tally;
  ASSERT_TRUE(dump->Count({.ports = {port}}, tally).ok());
  ASSERT_EQ(tally.Rows(By::kBoth).size(), 1U);
  EXPECT_EQ(AddressToString(tally.Rows(By::kBoth)[0].peer), "::1");
}

TEST(Dump, SaysWhyItCannotEnterANamespace) {
  const auto dump = Dump::Open("/proc/self/no/such");
  ASSERT_FALSE(dump.ok());
  EXPECT_THAT(std::string(dump.status().message()), HasSubstr("/proc/self/no/such: No such file"));
}

}  // namespace
}  // namespace hongbao::conns
