#include "libhongbao/load/addresses.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"

namespace hongbao::load {
namespace {

constexpr uint32_t kLoopbackNetwork = 0x7f00'0000;  // 127.0.0.0/8
constexpr uint32_t kLoopbackSourcesMax = 65'000;    // 127.0.0.1 .. 127.0.253.232: never the broadcast address

bool IsLoopback(uint32_t ipv4) { return (ipv4 & 0xff00'0000) == kLoopbackNetwork; }

uint64_t DivideUp(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

absl::Status TooFew(const AddressOptions& options, uint64_t needed, uint64_t have, uint32_t per_pair) {
  return absl::ResourceExhaustedError(absl::StrCat(
      options.users.count(), " users need ", needed, " (source, destination) pairs at ", per_pair,
      " connections each (half of the local ports ", options.local_ports.first, "-", options.local_ports.last,
      "; beyond half, connecting slows down a hundredfold), but there are ", have,
      ". Give more sources (--source 10.0.0.0/24, addresses of this machine), let the server listen on more ports, or widen "
      "the range: sysctl -w net.ipv4.ip_local_port_range='1024 65535'"));
}

}  // namespace

absl::StatusOr<AddressPlan> AddressPlan::Make(const AddressOptions& options) {
  if (options.destinations.empty()) return absl::InvalidArgumentError("no server address given");
  const uint32_t per_pair = options.local_ports.count() / 2;
  if (per_pair == 0) {
    return absl::InvalidArgumentError("net.ipv4.ip_local_port_range is empty; set it with sysctl, e.g. '32768 60999'");
  }
  const bool loopback = std::all_of(options.destinations.begin(), options.destinations.end(),
                                    [](const Endpoint& destination) { return IsLoopback(destination.ipv4); });
  AddressPlan plan;
  plan.destinations_ = options.destinations;
  // On loopback the whole fleet may share this machine's addresses; elsewhere, and with --source, they are ours alone.
  const bool shared = options.sources.empty() && loopback;
  const uint64_t users = shared ? options.users.total : options.users.count();
  plan.base_ = shared ? 0 : options.users.first;
  // Where addresses cost nothing half of that is taken: connect() tries ports of one parity first, and finds one at once
  // while few of those are in use.
  const uint64_t needed = DivideUp(users, shared ? std::max(per_pair / 2, 1u) : per_pair);
  const uint64_t sources_needed = DivideUp(needed, options.destinations.size());
  if (!options.sources.empty()) {
    for (const SourceRange& range : options.sources) {
      for (uint64_t i = 0; i < range.count && plan.sources_.size() < sources_needed; ++i) {
        plan.sources_.push_back(static_cast<uint32_t>(range.first + i));
      }
    }
  } else if (loopback) {
    for (uint32_t i = 1; i <= std::min<uint64_t>(sources_needed, kLoopbackSourcesMax); ++i) {
      plan.sources_.push_back(kLoopbackNetwork + i);
    }
  } else {
    plan.sources_.push_back(0);
  }
  const uint64_t have = plan.sources_.size() * plan.destinations_.size();
  if (have < needed) return TooFew(options, needed, have, per_pair);
  plan.pairs_ = static_cast<uint32_t>(needed);
  plan.users_per_pair_max_ = static_cast<uint32_t>(DivideUp(users, needed));
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
