// Frame boundaries: is there a whole frame at the start of these bytes, a part of one, or something malformed?
//
// Owns the table of (receiving side, version, type) -> allowed lengths, which is the whole of the rule "anything else
// is malformed". Never reads past the span, never trusts a length before it is checked, never allocates, never knows
// what a message means. Decoding is in wire/codec.h.
// Thread tag: thread-safe (no state).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "libhongbao/wire/bytes.h"

namespace hongbao::wire {

// Header: u16 length (whole frame), u16 type, u64 stamp. All integers on the wire are big-endian.
inline constexpr size_t kHeaderBytes = 12;
inline constexpr size_t kFrameBytesMax = 256;

enum class FrameType : uint16_t {
  kLoginRequest = 0,
  kLoginResponse = 1,
  kShakeRequest = 2,
  kShakeResponse = 3,
  kGiftNotice = 4,
  kOpenRequest = 5,
  kOpenResponse = 6,
  kSendRequest = 7,
  kSendResponse = 8,
  kStatementRequest = 9,
  kStatement = 10,
};
inline constexpr size_t kFrameTypes = 11;

// Version of a connection. The length of the first LoginRequest says it, and it holds for the connection. A server
// starts with kUnknown; a client knows what it is going to send, so for a client kUnknown makes everything malformed.
enum class Version : uint8_t { kUnknown = 0, k1 = 1, k2 = 2 };

// The side that receives the bytes: a type that this side never receives is malformed.
enum class Side : uint8_t { kServer = 0, kClient = 1 };

enum class Framing : uint8_t {
  kWhole,      // `length` bytes at the start are a frame of `type`
  kPartial,    // nothing wrong so far, more bytes are needed
  kMalformed,  // count it, close the connection
};

struct Peeked {
  Framing framing = Framing::kPartial;
  FrameType type = FrameType::kLoginRequest;  // of a whole frame only
  uint16_t length = 0;                        // of a whole frame only: header and body, in bytes
};

namespace internal {

// Every allowed length is a multiple of 4 in 4..256, so one type's lengths are a 64-bit set: bit (length / 4 - 1).
using LengthSet = uint64_t;
// One row per type; types 11..15 exist in the table only to keep the look-up free of a branch, and allow nothing.
using LengthTable = std::array<std::array<std::array<LengthSet, 16>, 3>, 2>;

constexpr LengthSet Only(size_t bytes) { return LengthSet{1} << (bytes / 4 - 1); }
constexpr LengthSet FromTo(size_t bytes_min, size_t bytes_max) {
  LengthSet set = 0;
  for (size_t bytes = bytes_min; bytes <= bytes_max; bytes += 4) set |= Only(bytes);
  return set;
}

constexpr LengthTable MakeLengthTable() {
  LengthTable table{};
  auto allow = [&table](Side side, Version version, FrameType type, LengthSet lengths) {
    table[static_cast<size_t>(side)][static_cast<size_t>(version)][static_cast<size_t>(type)] = lengths;
  };
  allow(Side::kServer, Version::kUnknown, FrameType::kLoginRequest, Only(16) | Only(44));
  // A second login is a well-formed frame here; that it is one login too many is for the session to say.
  allow(Side::kServer, Version::k1, FrameType::kLoginRequest, Only(16));
  allow(Side::kServer, Version::k2, FrameType::kLoginRequest, Only(44));
  allow(Side::kClient, Version::k1, FrameType::kLoginResponse, Only(20));
  allow(Side::kClient, Version::k2, FrameType::kLoginResponse, Only(36));
  for (Version version : {Version::k1, Version::k2}) {
    allow(Side::kServer, version, FrameType::kShakeRequest, Only(16));
    allow(Side::kServer, version, FrameType::kOpenRequest, Only(20));
    allow(Side::kClient, version, FrameType::kShakeResponse, Only(28));
  }
  allow(Side::kClient, Version::k1, FrameType::kGiftNotice, Only(36));         // count is always 3
  allow(Side::kClient, Version::k2, FrameType::kGiftNotice, FromTo(28, 224));  // count is 1..50
  allow(Side::kClient, Version::k1, FrameType::kOpenResponse, Only(20));
  allow(Side::kClient, Version::k2, FrameType::kOpenResponse, Only(24));
  // Every count that fits in a frame (0..58) is a frame: a count out of 1..50 is answered with SendResult::kRefused.
  allow(Side::kServer, Version::k2, FrameType::kSendRequest, FromTo(24, 256));
  allow(Side::kClient, Version::k2, FrameType::kSendResponse, Only(24));
  allow(Side::kServer, Version::k2, FrameType::kStatementRequest, Only(16));
  allow(Side::kClient, Version::k2, FrameType::kStatement, Only(28));
  return table;
}

inline constexpr LengthTable kLengthTable = MakeLengthTable();

}  // namespace internal

// Whether `receiver` on a connection of `version` may receive a frame of that raw type and length.
constexpr bool IsFrame(Side receiver, Version version, uint32_t type, uint32_t length) {
  if (type > 15 || length - 4 > kFrameBytesMax - 4 || length % 4 != 0) return false;
  const internal::LengthSet set = internal::kLengthTable[static_cast<size_t>(receiver)][static_cast<size_t>(version)][type];
  return ((set >> (length / 4 - 1)) & 1) != 0;
}

// The first four bytes of a frame, as one integer.
constexpr uint32_t Head(FrameType type, size_t length) {
  return static_cast<uint32_t>(length) << 16 | static_cast<uint32_t>(type);
}

// What stands at the start of `in`. Malformed is found as early as the bytes allow: the length with 2 bytes, type and
// length together with 4, so a peer cannot hold a slot with the start of a frame that will never be one. How the bytes
// are cut into pieces never changes which frames are found nor whether the stream is malformed. The one thing left to
// the decoder is that a list's count matches its length (wire/codec.h).
inline Peeked Peek(absl::Span<const std::byte> in, Side receiver, Version version) {
  if (in.size() < 4) [[unlikely]] {
    if (in.size() < 2) return {};
    const uint32_t length = LoadU16(in.data());
    return {length < kHeaderBytes || length > kFrameBytesMax ? Framing::kMalformed : Framing::kPartial};
  }
  const uint32_t head = LoadU32(in.data());
  const uint32_t type = head & 0xffff;
  const uint32_t length = head >> 16;
  if (!IsFrame(receiver, version, type, length)) [[unlikely]]
    return {Framing::kMalformed};
  if (in.size() < length) return {};
  return {Framing::kWhole, static_cast<FrameType>(type), static_cast<uint16_t>(length)};
}

// The hot path's short cut: true when a whole ShakeRequest stands at the start (valid in v1 and v2 sessions alike,
// after the login); on false ask Peek.
inline bool StartsWithShake(absl::Span<const std::byte> in) {
  return in.size() >= 16 && LoadU32(in.data()) == Head(FrameType::kShakeRequest, 16);
}

// The stamp of a whole frame.
inline uint64_t StampOf(const std::byte* frame) { return LoadU64(frame + 4); }

}  // namespace hongbao::wire
