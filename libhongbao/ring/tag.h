// Tag: what a completion says about itself, packed in the 64 bits of user_data.
//
//   63        56 55                    32 31                              0
//   +-----------+------------------------+---------------------------------+
//   | operation |       generation       |              slot               |
//   +-----------+------------------------+---------------------------------+
//
// Never a descriptor alone: descriptors are reused, and a completion that arrives late must not reach the next owner.
// Owns nothing. Thread tag: thread-safe (values).
#pragma once

#include <cstdint>

#include "libhongbao/cpp20.h"

namespace hongbao::ring {

enum class Operation : uint8_t {
  kNone,
  kAccept,  // slot and generation unused
  kReceive,
  kReceiveBulk,  // its buffer is of the bulk group
  kSend,
  kConnect,
  kCancel,  // carries the slot and generation of the connection whose operation it cancels
  kClose,
  kTakeOut,  // its result is a regular descriptor of the same socket
  kWake,     // the worker's eventfd became readable
  kTakeIn,   // slot: what its caller named it; result 1 when a slot was found
  kAlarm,    // a time has come; slot and generation unused
};

inline constexpr uint32_t kGenerationMax = (1u << 24) - 1;

struct Tag {
  Operation operation = Operation::kNone;
  uint32_t generation = 0;  // 1..kGenerationMax; 0 = none
  uint32_t slot = 0;
  friend bool operator==(const Tag&, const Tag&) = default;
};

constexpr uint64_t Pack(Tag tag) {
  return (uint64_t{static_cast<uint8_t>(tag.operation)} << 56) | (uint64_t{tag.generation & kGenerationMax} << 32) | tag.slot;
}

constexpr Tag Unpack(uint64_t user_data) {
  return {static_cast<Operation>(user_data >> 56), static_cast<uint32_t>(user_data >> 32) & kGenerationMax,
          static_cast<uint32_t>(user_data)};
}

// The generation after `generation`: wraps, and never is 0.
constexpr uint32_t NextGeneration(uint32_t generation) { return generation >= kGenerationMax ? 1 : generation + 1; }

static_assert(Unpack(Pack({Operation::kWake, kGenerationMax, 0xfffffffe})) == Tag{Operation::kWake, kGenerationMax, 0xfffffffe});

}  // namespace hongbao::ring
