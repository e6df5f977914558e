// NetworkStats: what went over the network interfaces of this machine, read from /proc.
//
// Owns nothing. Never fails a run: what cannot be read is -1. All interfaces of the network namespace together, the loopback
// among them: on one machine a packet between client and server counts once as sent and once as received.
// Thread tag: thread-safe (each call reads the files anew, some ten microseconds; for once a second).
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "libhongbao/watch/second_row.h"

namespace hongbao::watch {

struct NetworkStats {
  int64_t rx_packets = -1;
  int64_t rx_bytes = -1;
  int64_t tx_packets = -1;
  int64_t tx_bytes = -1;
  int64_t dropped = -1;        // both ways
  int64_t retransmitted = -1;  // TCP segments

  // Of the time between `earlier` and this. Unknown (-1) where one of them is, or where a counter went back: an interface left.
  NetworkStats Since(const NetworkStats& earlier) const;
  // Into the columns of the network cards, what is known.
  void AddTo(SecondRow* row) const;

  friend bool operator==(const NetworkStats&, const NetworkStats&) = default;
};

// Since the machine began.
NetworkStats ReadNetworkStats();

// The same from the text of /proc/net/dev and /proc/net/snmp; lines that are not as expected are passed over.
NetworkStats ParseNetworkStats(absl::string_view devices, absl::string_view snmp);

}  // namespace hongbao::watch
