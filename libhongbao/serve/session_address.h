// SessionAddress: names one connection of the process, so that another worker can send it a message.
//
// Never holds the connection: the slot may be another one's by the time the name is used, and then the generation is another.
// Thread tag: thread-safe (plain values).
#pragma once

#include <cstdint>

#include "libhongbao/cpp20.h"

namespace hongbao::serve {

// One connection of the process. Packs into 64 bits: worker 8, port 8, generation 24, gateway 1, slot 23.
struct Address {
  static constexpr uint32_t kGenerationMax = (1U << 24) - 1;
  static constexpr uint32_t kSlotMax = (1U << 23) - 1;

  uint8_t worker = 0;
  uint8_t port = 0;
  uint32_t generation = 0;  // 1..kGenerationMax: a packed address is never 0, which means offline
  uint32_t slot = 0;
  bool gateway = false;  // it has logged in as one

  friend bool operator==(const Address&, const Address&) = default;
};

inline constexpr uint64_t kOffline = 0;
inline constexpr uint64_t kGatewayBit = 1U << 23;

constexpr uint64_t Pack(const Address& address) {
  return uint64_t{address.worker} << 56 | uint64_t{address.port} << 48 | uint64_t{address.generation} << 24 |
         (address.gateway ? kGatewayBit : 0) | address.slot;
}

constexpr Address Unpack(uint64_t packed) {
  return {.worker = static_cast<uint8_t>(packed >> 56),
          .port = static_cast<uint8_t>(packed >> 48),
          .generation = static_cast<uint32_t>(packed >> 24) & Address::kGenerationMax,
          .slot = static_cast<uint32_t>(packed) & Address::kSlotMax,
          .gateway = (packed & kGatewayBit) != 0};
}

constexpr bool IsGateway(uint64_t packed) { return (packed & kGatewayBit) != 0; }

}  // namespace hongbao::serve
