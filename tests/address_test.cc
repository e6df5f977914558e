#include "libhongbao/address.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace hongbao {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(ParseHostPort, ReadsNumbersAndNames) {
  EXPECT_EQ(ParseHostPort("0.0.0.0:1025").value().ToString(), "0.0.0.0:1025");
  EXPECT_EQ(ParseHostPort(":1025").value().host, "0.0.0.0");
  EXPECT_EQ(ParseHostPort("[::1]:80").value().host, "::1");
  EXPECT_EQ(ParseHostPort("[::1]:80").value().ToString(), "[::1]:80");
  for (const char* name : {"localhost:0", "server:1025", "a.b-c.example.com:1", "my_service.ns.svc.cluster.local.:1025",
                           "8ball:9", "1.2.3.4.in-addr:5"}) {
    EXPECT_EQ(ParseHostPort(name).value().ToString(), name);
  }
}

TEST(ParseHostPort, Refuses) {
  for (const char* wrong : {"",
                            "1025",
                            "127.0.0.1",
                            "127.0.0.1:",
                            "127.0.0.1:65536",
                            "127.0.0.1:-1",
                            "127.0.0.1:1k",
                            "127.0.0.1: 1",
                            "127.0.0.1:000001",
                            "[::1]",
                            "[::g]:80",
                            "[::1:80",
                            "[127.0.0.1]:80",
                            "[]:80",
                            "1.2.3:80",
                            "1.2.3.4.5:80",
                            "256.0.0.1:80",
                            "10.1:80",
                            "a..b:80",
                            "-a:80",
                            "a-:80",
                            "a b:80",
                            "http://a:80",
                            "a/b:80",
                            "\xc3\xa4:80",
                            "[fe80::1%nosuchcard]:80"}) {
    EXPECT_FALSE(ParseHostPort(wrong).ok()) << wrong;
  }
  EXPECT_THAT(Message(ParseHostPort("::1:80").status()), HasSubstr("[::1]:1025"));
  EXPECT_FALSE(ParseHostPort(std::string(300, 'a') + ":80").ok());
}

TEST(HostPort, KnowsWhatIsLoopbackWithoutAskingAnybody) {
  for (const char* own : {"127.0.0.1:1", "127.8.0.1:80", "[::1]:80", "localhost:80", "[::ffff:127.0.0.1]:80"}) {
    EXPECT_TRUE(ParseHostPort(own).value().IsLoopback()) << own;
    EXPECT_TRUE(ParseHostPort(own).value().IsNumeric()) << own;
  }
  for (const char* other : {"0.0.0.0:80", "10.0.0.1:80", "[::]:80", "[2001:db8::1]:80", "localhost.example.com:80"}) {
    EXPECT_FALSE(ParseHostPort(other).value().IsLoopback()) << other;
  }
  EXPECT_FALSE(ParseHostPort("localhost.example.com:80").value().IsNumeric());
}

TEST(SocketAddress, IsTheSameHoweverItCame) {
  const SocketAddress four = SocketAddress::Ipv4(0x0a00'0005, 80);
  EXPECT_EQ(four.ToString(), "10.0.0.5:80");
  EXPECT_EQ(SocketAddress::FromKernel(four.get(), four.size()), four);
  EXPECT_EQ(ParseAddress("10.0.0.5").WithPort(80), four);
  EXPECT_EQ(ParseAddress("::ffff:10.0.0.5").WithPort(80), four) << "as a dual-stack listener sees it";
  const SocketAddress six = ParseAddress("2001:DB8:0::1").WithPort(80);
  EXPECT_EQ(six.ToString(), "[2001:db8::1]:80");
  EXPECT_EQ(SocketAddress::FromKernel(six.get(), six.size()), six);
  EXPECT_EQ(std::set<SocketAddress>({four, six, four, six.WithPort(81)}).size(), 3u);
  EXPECT_EQ(ParseAddress("fe80::1%lo").HostToString(), "fe80::1%lo");
  EXPECT_FALSE(ParseAddress("name").given());
  EXPECT_EQ(SocketAddress().HostToString(), "?");
}

TEST(SocketAddress, CountsOn) {
  EXPECT_EQ(ParseAddress("10.0.0.255").Plus(1).HostToString(), "10.0.1.0");
  EXPECT_EQ(ParseAddress("2001:db8::ffff:ffff").Plus(2).HostToString(), "2001:db8::1:0:1");
}

TEST(Resolve, NumbersAndLocalhostNeedNobody) {
  EXPECT_EQ(Resolve({"10.0.0.5", 80}).value(), std::vector<SocketAddress>{SocketAddress::Ipv4(0x0a00'0005, 80)});
  const std::vector<SocketAddress> local = Resolve({"localhost", 80}).value();
  ASSERT_EQ(local.size(), 2u);
  EXPECT_EQ(local[0].ToString(), "127.0.0.1:80");
  EXPECT_EQ(local[1].ToString(), "[::1]:80");
  EXPECT_EQ(ResolveListen({"localhost", 0}).value().ToString(), "127.0.0.1:0");
}

TEST(Resolve, APeerIsThisMachineWhereItListensOnAllAddresses) {
  EXPECT_EQ(ResolvePeer({"0.0.0.0", 80}).value().front().ToString(), "127.0.0.1:80");
  EXPECT_EQ(ResolvePeer({"::", 80}).value().front().ToString(), "[::1]:80");
  EXPECT_THAT(Message(ResolvePeer({"10.0.0.5", 0}).status()), HasSubstr("port 0"));
}

// .invalid never is a name (RFC 6761). Without a name server nobody says so, and that is an answer as well.
TEST(Resolve, ANameThatNobodyKnowsHasACauseAndACure) {
  const absl::StatusOr<std::vector<SocketAddress>> nothing = Resolve({"no-such-host.invalid", 1025});
  ASSERT_FALSE(nothing.ok());
  EXPECT_THAT(Message(nothing.status()), HasSubstr("'no-such-host.invalid'"));
  EXPECT_THAT(Message(nothing.status()), HasSubstr("give the address itself"));
}

}  // namespace
}  // namespace hongbao
