// GatewayOrder: the gateways of the process that are logged in or logging in, in the order in which they came, and their workers.
//
// A gateway's login takes many turns, so two for the same users may be under way on two workers: this says which is the newer one
// and keeps the users, and which worker has fewest. Never asked per message. Thread tag: thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "libhongbao/serve/session_address.h"

namespace hongbao::serve {

class GatewayOrder {
 public:
  // Addresses as the directory names gateways (packed, with kGatewayBit).
  void Add(uint64_t address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    live_.push_back(address);
  }
  // It is closed, or about to be. False: somebody has said so before.
  bool Remove(uint64_t address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = std::find(live_.begin(), live_.end(), address);
    const bool lived = it != live_.end();
    if (lived) {
      live_.erase(it);
    }
    return lived;
  }
  // False: its users are being logged out, or will be in a moment.
  bool Lives(uint64_t address) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::find(live_.begin(), live_.end(), address) != live_.end();
  }
  // Whether `address` lives, and came after `than` or survives it.
  bool IsNewer(uint64_t address, uint64_t than) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto other = std::find(live_.begin(), live_.end(), than);
    return std::find(other == live_.end() ? live_.begin() : other, live_.end(), address) != live_.end();
  }

  // Of one worker each, those on their way to it included.
  using Counts = std::array<uint32_t, 256>;
  Counts ByWorker() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return Count({});
  }
  // When another worker has fewer gateways than that of `address`, it goes to the one with fewest: the ticket is its name until
  // it has arrived, and says which worker that is. Not counted: itself, and `formers`, whose users it is about to take over.
  std::optional<uint64_t> Leave(uint64_t address, uint32_t workers, const std::array<uint64_t, 2>& formers) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Counts others = Count({address, formers[0], formers[1]});
    const auto fewest = std::min_element(others.begin(), others.begin() + workers);
    if (others[Unpack(address).worker] == *fewest) {
      return std::nullopt;
    }
    tickets_ = tickets_ % Address::kSlotMax + 1;
    // No connection has generation 0.
    const Address name{.worker = static_cast<uint8_t>(fewest - others.begin()), .slot = tickets_, .gateway = true};
    std::replace(live_.begin(), live_.end(), address, Pack(name));
    return Pack(name);
  }
  // It has arrived, or stays after all; it keeps its place in the order.
  void Rename(uint64_t ticket, uint64_t address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::replace(live_.begin(), live_.end(), ticket, address);
  }

 private:
  Counts Count(const std::array<uint64_t, 3>& without) const {
    Counts counts{};
    for (const uint64_t address : live_) {
      counts[Unpack(address).worker] += std::find(without.begin(), without.end(), address) == without.end() ? 1U : 0U;
    }
    return counts;
  }

  mutable std::mutex mutex_;
  uint32_t tickets_ = 0;
  std::vector<uint64_t> live_;
};

}  // namespace hongbao::serve
