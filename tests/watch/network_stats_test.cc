#include "libhongbao/watch/network_stats.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/http/raw_http.h"

namespace hongbao::watch {
namespace {

constexpr const char* kDevices =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|"
    "bytes    packets errs drop fifo colls carrier compressed\n"
    "    lo: 1000      10    0    1    0     0          0         0     1000      10    0    2    0     0       0          0\n"
    "  eth0:500000 3000    0    5    0     0          0         0   117567    1612    0    7    0     0       0          0\n"
    "broken: 1 2 3\n";
constexpr const char* kSnmp =
    "Ip: Forwarding DefaultTTL\nIp: 1 64\n"
    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs "
    "RetransSegs\n"
    "Tcp: 1 200 120000 -1 8522 7813 694 867 0 303764 301764 18\n"
    "Udp: InDatagrams\nUdp: 3\n";

TEST(NetworkStatsTest, AddsUpAllInterfaces) {
  const NetworkStats stats = ParseNetworkStats(kDevices, kSnmp);
  EXPECT_EQ(stats, (NetworkStats{.rx_packets = 3'010,
                                 .rx_bytes = 501'000,
                                 .tx_packets = 1'622,
                                 .tx_bytes = 118'567,
                                 .dropped = 15,
                                 .retransmitted = 18}));
}

TEST(NetworkStatsTest, WhatCannotBeReadIsUnknown) {
  for (const char* text : {"", "\n\n", "Tcp:\nTcp:\n", "a:b:c", "Tcp: RetransSegs\nTcp:\n", "Tcp: RetransSegs\nTcp: many\n",
                           "x: 99999999999999999999999 a b c d e f g h i j k\n"}) {
    EXPECT_EQ(ParseNetworkStats(text, text), NetworkStats{}) << text;
  }
}

TEST(NetworkStatsTest, ADifferenceIsUnknownWhereACounterWentBack) {
  const NetworkStats before{.rx_packets = 10, .rx_bytes = 100, .tx_packets = 1, .tx_bytes = 5, .retransmitted = 2};
  const NetworkStats after{.rx_packets = 15, .rx_bytes = 90, .tx_packets = 1, .tx_bytes = 6, .dropped = 3, .retransmitted = 2};
  const NetworkStats between = after.Since(before);
  EXPECT_EQ(between, (NetworkStats{.rx_packets = 5, .tx_packets = 0, .tx_bytes = 1, .retransmitted = 0}));
  SecondRow row(7);
  between.AddTo(&row);
  EXPECT_EQ(row[Column::kRxPackets], 5);
  EXPECT_FALSE(row.Knows(Column::kRxBytes));
  EXPECT_EQ(row[Column::kTxPackets], 0);
  EXPECT_FALSE(row.Knows(Column::kDropped));
  EXPECT_EQ(row[Column::kRetransmitted], 0);
}

TEST(NetworkStatsTest, SeesWhatGoesOverTheLoopback) {
  const NetworkStats before = ReadNetworkStats();
  ASSERT_GE(before.rx_bytes, 0);
  const int listener = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string datagram(1'000, 'x');
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(::sendto(listener, datagram.data(), datagram.size(), 0, reinterpret_cast<const sockaddr*>(&address), size), 1'000);
  }
  ::close(listener);
  const NetworkStats between = ReadNetworkStats().Since(before);
  EXPECT_GE(between.tx_packets, 20);
  EXPECT_GE(between.tx_bytes, 20'000);
  EXPECT_GE(between.rx_packets, 20);
}

}  // namespace
}  // namespace hongbao::watch
