// Receiver: the monitor's application on libhongbao's net/: connections in, records out to the inlet.
//
// Owns a RecordStream for each connection. Consumes every byte at once, as a record is longer than a frame of net/'s. Ends
// a connection that sends no records, or too slowly, or far too many. Never decides what a record means.
// Thread tag: worker-local.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "libhongbao/net/application.h"
#include "libhongbao/net/worker_context.h"
#include "libhongbao/time/clock.h"
#include "tools/monitor/inlet.h"
#include "tools/monitor/record_stream.h"

namespace hongbao::monitor {

inline constexpr int64_t kRecordDeadlineNs = 5 * time::kNsPerSecond;
// What a source may send at once: two minutes of waiting records, twice; and then a few a second.
inline constexpr int64_t kRecordsAtOnce = 240;
inline constexpr int64_t kRecordsPerSecond = 8;

class Receiver {
 public:
  using Context = net::WorkerContext<net::NoMessage>;

  Receiver(Context& context, Inlet& inlet) : context_(context), inlet_(inlet) {}

  void OnOpen(net::Port& port, net::Connection& connection) {
    peers_[KeyOf(port, connection)] = {.number = ++connections_,
                                       .address = PeerOf(connection),
                                       .credit = kRecordsAtOnce,
                                       .credit_ns = context_.clock().MonotonicNs(),
                                       .id = net::Port::IdOf(connection)};
  }

  size_t OnBytes(net::Port& port, net::Connection& connection, absl::Span<const std::byte> in, net::Replies&) {
    Peer& peer = peers_[KeyOf(port, connection)];
    const int64_t now_ns = context_.clock().MonotonicNs();
    bool flood = false;
    const bool sound = peer.stream.Take(in, now_ns, [&](const wire::CounterRecord& record) {
      flood = flood || !Spend(peer, now_ns);
      if (!flood) {
        inlet_.Put({.connection = peer.number, .peer = peer.address, .record = record});
      }
    });
    if (!sound || flood) {
      inlet_.Refuse(sound ? Refusal::kFlood : Refusal::kMalformed);
      peer.judged = true;
      return net::kMalformed;
    }
    return in.size();
  }

  void OnClose(net::Port& port, net::Connection& connection, net::CloseReason) {
    const auto found = peers_.find(KeyOf(port, connection));
    if (!found->second.judged && found->second.stream.began_ns() != 0) {
      inlet_.Refuse(Refusal::kShort);
    }
    inlet_.Put({.connection = found->second.number, .peer = found->second.address, .ended = true});
    peers_.erase(found);
  }

  // Once a second: whose record has been long in coming?
  int64_t OnTurn(int64_t now_ns) {
    if (now_ns >= look_ns_) {
      look_ns_ = now_ns + time::kNsPerSecond;
      EndSlow(now_ns);
    }
    return look_ns_;
  }

 private:
  struct Peer {
    uint64_t number = 0;
    SocketAddress address;
    int64_t credit = 0;
    int64_t credit_ns = 0;
    net::ConnectionId id;
    bool judged = false;  // it has been counted why it ends
    RecordStream stream{};
  };

  static uint64_t KeyOf(const net::Port& port, const net::Connection& connection) {
    return uint64_t{port.index()} << 32 | connection.slot;
  }
  // Slots are descriptors (ServiceOptions::regular_descriptors).
  static SocketAddress PeerOf(const net::Connection& connection) {
    sockaddr_storage storage{};
    auto* const address = reinterpret_cast<sockaddr*>(&storage);
    socklen_t length = sizeof(storage);
    return getpeername(static_cast<int>(connection.slot), address, &length) == 0
               ? SocketAddress::FromKernel(address, length).WithPort(0)
               : SocketAddress();
  }
  static bool Spend(Peer& peer, int64_t now_ns) {
    const int64_t seconds = (now_ns - peer.credit_ns) / time::kNsPerSecond;
    if (seconds > 0) {
      peer.credit = std::min(kRecordsAtOnce, peer.credit + seconds * kRecordsPerSecond);
      peer.credit_ns += seconds * time::kNsPerSecond;
    }
    return peer.credit-- > 0;
  }
  void EndSlow(int64_t now_ns) {
    slow_.clear();
    for (const auto& [key, peer] : peers_) {
      const int64_t began_ns = peer.stream.began_ns();
      if (began_ns != 0 && now_ns - began_ns > kRecordDeadlineNs) {
        slow_.push_back(key);
      }
    }
    for (const uint64_t key : slow_) {  // Close calls OnClose, now or later, which changes the map
      net::Port& port = *context_.ports()[key >> 32];
      if (net::Connection* const connection = port.Find(peers_[key].id)) {
        port.Close(*connection, net::CloseReason::kFrameDeadline);
      }
    }
  }
  Context& context_;
  Inlet& inlet_;
  uint64_t connections_ = 0;
  int64_t look_ns_ = 0;
  absl::flat_hash_map<uint64_t, Peer> peers_;
  std::vector<uint64_t> slow_;
};

}  // namespace hongbao::monitor
