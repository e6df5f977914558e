// GatewayOrder: the gateways of the process that are logged in or logging in, in the order in which they came.
//
// A gateway's login takes many turns, so two for the same users may be under way on two workers: this says which is the newer one
// and keeps the users. Never asked per message. Thread tag: thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <vector>

#include "libhongbao/cpp20.h"

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

 private:
  mutable std::mutex mutex_;
  std::vector<uint64_t> live_;
};

}  // namespace hongbao::serve
