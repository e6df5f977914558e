// Big-endian loads and stores: how integers look on the wire.
//
// Owns nothing, never checks bounds (its callers have), never allocates. Any alignment.
// Thread tag: thread-safe.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "libhongbao/cpp20.h"

namespace hongbao::wire {

static_assert(std::endian::native == std::endian::little || std::endian::native == std::endian::big);

inline uint16_t LoadU16(const std::byte* from) {
  uint16_t value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::little ? __builtin_bswap16(value) : value;
}

inline uint32_t LoadU32(const std::byte* from) {
  uint32_t value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
}

inline uint64_t LoadU64(const std::byte* from) {
  uint64_t value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
}

inline void StoreU32(std::byte* to, uint32_t value) {
  if (std::endian::native == std::endian::little) value = __builtin_bswap32(value);
  std::memcpy(to, &value, sizeof value);
}

inline void StoreU64(std::byte* to, uint64_t value) {
  if (std::endian::native == std::endian::little) value = __builtin_bswap64(value);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace hongbao::wire
