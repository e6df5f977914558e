// Addresses: which (source address, destination address and port) each simulated user connects by.
//
// Owns the plan and its limits. A pure function of its options: never opens a socket, never asks the kernel (but
// ReadLocalPortRange, which reads one file of /proc). Why there is a plan at all: once more than half of the local port
// range of one (source, destination) pair is taken, connect() searches for a free port with a lock held and falls from
// 38,000 connections a second to about 100 (measured with 20 pairs at 630,000 of 1,000,000 connections).
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libhongbao/address.h"

namespace hongbao::load {

// net.ipv4.ip_local_port_range, both ends inclusive.
struct PortRange {
  uint16_t first = 32'768;
  uint16_t last = 60'999;
  uint32_t count() const { return last >= first ? uint32_t{last} - first + 1 : 0; }
};

// Users first..last (inclusive) of a fleet numbered 0..total-1.
struct UserRange {
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t total = 1;
  uint32_t count() const { return last - first + 1; }
  friend bool operator==(const UserRange&, const UserRange&) = default;
};

// `count` addresses from `first` on.
struct SourceRange {
  SocketAddress first{};
  uint32_t count = 0;
};

struct AddressOptions {
  std::vector<SocketAddress> destinations{};  // at least one; all of them reach the same server
  std::vector<SourceRange> sources{};         // addresses of this machine for this client alone; empty = chosen here
  PortRange local_ports{};
  UserRange users{};
};

// What one user connects by. No source: the kernel chooses.
struct AddressPair {
  SocketAddress source{};
  SocketAddress destination{};
};

class AddressPlan {
 public:
  // Enough pairs for all users, none with more than half of the local ports. Destinations on 127.x get the sources
  // 127.0.0.1, 127.0.0.2, ... dealt by the user's number in the whole fleet, so that any number of clients on one machine
  // share them out without knowing of each other. Elsewhere the sources given are this client's own; destinations of
  // another family than theirs are left out. ResourceExhausted with the cure when there are too few.
  static absl::StatusOr<AddressPlan> Make(const AddressOptions& options);

  // `user` is the number in the whole fleet.
  AddressPair PairOf(uint32_t user) const {
    const uint32_t pair = (user - base_) % pairs_;
    return {sources_[pair % sources_.size()], destinations_[pair / sources_.size()]};
  }

  uint32_t pairs() const { return pairs_; }
  size_t sources() const { return sources_.size(); }

 private:
  std::vector<SocketAddress> sources_;  // pair p uses sources_[p % size] and destinations_[p / size]
  std::vector<SocketAddress> destinations_;
  uint32_t pairs_ = 1;
  uint32_t base_ = 0;
};

// The kernel's range; `path` for tests. The kernel's default when the file cannot be read.
PortRange ReadLocalPortRange(const char* path = "/proc/sys/net/ipv4/ip_local_port_range");

}  // namespace hongbao::load
