#include "libhongbao/load/addresses.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace hongbao::load {
namespace {

constexpr uint32_t kLoopbackSourcesMax = 65'000;  // 127.0.0.1 .. 127.0.253.232: never the broadcast address

uint64_t DivideUp(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

absl::Status TooFew(const AddressOptions& options, uint64_t needed, uint64_t have, uint32_t per_pair, bool loopback6) {
  return absl::ResourceExhaustedError(
      absl::StrCat(options.users.count(), " users need ", needed, " (source, destination) pairs at ", per_pair,
                   " connections each (half of the local ports ", options.local_ports.first, "-", options.local_ports.last,
                   "; beyond half, connecting slows down a hundredfold), but there are ", have, ". ",
                   loopback6 ? "IPv6 has one loopback address: connect to 127.0.0.1, which has as many as are needed"
                             : "Give more sources (--source 10.0.0.0/24, addresses of this machine)",
                   ", or widen the range: sysctl -w net.ipv4.ip_local_port_range='1024 65535'"));
}

// Those that a socket bound to one of the sources can connect to; all of them without sources.
std::vector<SocketAddress> OfFamily(const std::vector<SocketAddress>& destinations, const std::vector<SourceRange>& sources) {
  std::vector<SocketAddress> reachable;
  std::copy_if(destinations.begin(), destinations.end(), std::back_inserter(reachable),
               [&](const SocketAddress& one) { return sources.empty() || one.family() == sources.front().first.family(); });
  return reachable;
}

}  // namespace

absl::StatusOr<AddressPlan> AddressPlan::Make(const AddressOptions& options) {
  if (options.destinations.empty()) return absl::InvalidArgumentError("no server address given");
  AddressPlan plan;
  plan.destinations_ = OfFamily(options.destinations, options.sources);
  const bool one_family = std::all_of(options.sources.begin(), options.sources.end(), [&](const SourceRange& range) {
    return range.first.family() == options.sources.front().first.family();
  });
  if (plan.destinations_.empty() || !one_family) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--source: the server is reached at ", options.destinations.front().HostToString(), ", so give IPv",
        options.destinations.front().family() == AF_INET6 ? "6" : "4", " addresses of this machine, and only those"));
  }
  const uint32_t per_pair = options.local_ports.count() / 2;
  if (per_pair == 0) {
    return absl::InvalidArgumentError("net.ipv4.ip_local_port_range is empty; set it with sysctl, e.g. '32768 60999'");
  }
  const auto all = [&plan](auto holds) { return std::all_of(plan.destinations_.begin(), plan.destinations_.end(), holds); };
  const bool loopback = all([](const SocketAddress& one) { return one.family() == AF_INET && one.IsLoopback(); });
  // On loopback the whole fleet may share this machine's addresses; elsewhere, and with --source, they are ours alone.
  const bool shared = options.sources.empty() && loopback;
  const uint64_t users = shared ? options.users.total : options.users.count();
  plan.base_ = shared ? 0 : options.users.first;
  // Where addresses cost nothing half of that is taken: connect() tries ports of one parity first, and finds one at once
  // while few of those are in use.
  const uint64_t needed = DivideUp(users, shared ? std::max(per_pair / 2, 1u) : per_pair);
  const uint64_t sources_needed = DivideUp(needed, plan.destinations_.size());
  if (!options.sources.empty()) {
    for (const SourceRange& range : options.sources) {
      for (uint64_t i = 0; i < range.count && plan.sources_.size() < sources_needed; ++i) {
        plan.sources_.push_back(range.first.Plus(static_cast<uint32_t>(i)));
      }
    }
  } else if (loopback) {
    for (uint32_t i = 1; i <= std::min<uint64_t>(sources_needed, kLoopbackSourcesMax); ++i) {
      plan.sources_.push_back(SocketAddress::Ipv4(INADDR_LOOPBACK + i - 1));
    }
  } else {
    plan.sources_.push_back({});
  }
  const uint64_t have = plan.sources_.size() * plan.destinations_.size();
  if (have < needed) {
    const bool loopback6 = options.sources.empty() && all([](const SocketAddress& one) { return one.IsLoopback(); });
    return TooFew(options, needed, have, per_pair, loopback6);
  }
  plan.pairs_ = static_cast<uint32_t>(needed);
  return plan;
}

PortRange ReadLocalPortRange(const char* path) {
  PortRange range;
  if (std::FILE* file = std::fopen(path, "re")) {
    unsigned first = 0, last = 0;
    if (std::fscanf(file, "%u %u", &first, &last) == 2 && first > 0 && first <= last && last <= 65'535) {
      range = {static_cast<uint16_t>(first), static_cast<uint16_t>(last)};
    }
    std::fclose(file);
  }
  return range;
}

}  // namespace hongbao::load
