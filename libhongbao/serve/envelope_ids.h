// Envelope ids: three ranges that cannot meet, and which worker owns a gift.
//
//   won by shaking         0x00100001 up to 0x7fffffff
//   gifts of a mint order  0x80000001 up to 0xbfffffff, numbered by the minter
//   gifts sent by a user   0xc0000000 up, numbered by the worker that owns them
//
// Owns nothing. Thread tag: thread-safe (constants and pure functions).
#pragma once

#include <cstdint>

#include "libhongbao/cpp20.h"

namespace hongbao::serve {

inline constexpr uint32_t kFirstShakeId = 0x00100001;
inline constexpr uint32_t kLastShakeId = 0x7fffffff;
inline constexpr uint32_t kGiftBit = 0x80000000;
inline constexpr uint32_t kFirstMintedGiftId = 0x80000001;
inline constexpr uint32_t kLastMintedGiftId = 0xbfffffff;
inline constexpr uint32_t kFirstSentGiftId = 0xc0000000;
inline constexpr uint32_t kLastSentGiftId = 0xffffffff;

constexpr bool IsGift(uint32_t envelope_id) { return (envelope_id & kGiftBit) != 0; }

// The worker whose book holds the gift; everything that happens to it happens there.
constexpr uint32_t OwnerOf(uint32_t envelope_id, uint32_t workers) { return (envelope_id & ~kGiftBit) % workers; }

}  // namespace hongbao::serve
