// Messages to bytes and back.
//
// Owns nothing; never allocates, never throws, never reads or writes past the size it is told. Encoders fill exactly
// the bytes that messages.h names (kShakeResponseBytes, LoginResponseBytes(version), ...) at `out`. Decoders take the
// bytes of one whole frame, as Peek found it, and check type and length again (one compare): handed anything else they
// answer kMalformed. A result code that the protocol does not have is malformed too: nobody may act on an unknown
// outcome. The four shake functions are inline: they are the hot path (99 % of all frames).
// Thread tag: thread-safe (no state).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/types/span.h"
#include "libhongbao/wire/bytes.h"
#include "libhongbao/wire/frame.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::wire {

enum class Decoded : uint8_t { kOk, kMalformed };

using FrameBytes = absl::Span<const std::byte>;

inline bool IsFrameOf(FrameBytes frame, FrameType type, size_t length) {
  return frame.size() == length && LoadU32(frame.data()) == Head(type, length);
}

inline void StoreHeader(std::byte* out, FrameType type, size_t length, uint64_t stamp) {
  StoreU32(out, Head(type, length));
  StoreU64(out + 4, stamp);
}

// ---- shake ----

inline void EncodeShakeRequest(std::byte* out, const ShakeRequest& message) {
  StoreHeader(out, FrameType::kShakeRequest, kShakeRequestBytes, message.stamp);
  StoreU32(out + 12, message.user_id);
}

inline Decoded DecodeShakeRequest(FrameBytes frame, ShakeRequest& message) {
  if (!IsFrameOf(frame, FrameType::kShakeRequest, kShakeRequestBytes)) [[unlikely]]
    return Decoded::kMalformed;
  message = {.stamp = LoadU64(frame.data() + 4), .user_id = LoadU32(frame.data() + 12)};
  return Decoded::kOk;
}

inline void EncodeShakeResponse(std::byte* out, const ShakeResponse& message) {
  StoreHeader(out, FrameType::kShakeResponse, kShakeResponseBytes, message.stamp);
  StoreU32(out + 12, message.user_id);
  StoreU32(out + 16, static_cast<uint32_t>(message.result));
  StoreU32(out + 20, message.envelope_id);
  StoreU32(out + 24, message.amount_fen);
}

// The answer to the shake `frame` that brings nothing: stamp and user are taken over as they lie.
inline void EncodeLosingResponse(std::byte* out, const std::byte* frame, ShakeResult result) {
  std::memcpy(out, frame, kShakeRequestBytes);
  StoreU32(out, Head(FrameType::kShakeResponse, kShakeResponseBytes));
  StoreU32(out + 16, static_cast<uint32_t>(result));
  StoreU64(out + 20, 0);
}

inline Decoded DecodeShakeResponse(FrameBytes frame, ShakeResponse& message) {
  if (!IsFrameOf(frame, FrameType::kShakeResponse, kShakeResponseBytes)) [[unlikely]]
    return Decoded::kMalformed;
  const uint32_t result = LoadU32(frame.data() + 16);
  if (result - 14 > 3 && result != static_cast<uint32_t>(ShakeResult::kAhead)) [[unlikely]]
    return Decoded::kMalformed;
  message = {.stamp = LoadU64(frame.data() + 4),
             .user_id = LoadU32(frame.data() + 12),
             .result = static_cast<ShakeResult>(result),
             .envelope_id = LoadU32(frame.data() + 20),
             .amount_fen = LoadU32(frame.data() + 24)};
  return Decoded::kOk;
}

// ---- login ----

void EncodeLoginRequest(std::byte* out, const LoginRequest& message);  // LoginRequestBytes(message.version)
Decoded DecodeLoginRequest(FrameBytes frame, LoginRequest& message);   // the length says the version
void EncodeLoginResponse(std::byte* out, Version version, const LoginResponse& message);
Decoded DecodeLoginResponse(FrameBytes frame, Version version, LoginResponse& message);

// ---- gifts ----

// What one recipient is told. `users` is the gift's whole list (1..kUsersMax, `recipient` among them). For a v1
// recipient of a gift with another number of users than 3, the list starts with the recipient, goes on with the others
// in order, and is filled up with the recipient's id: a v1 client looks only for itself. GiftNoticeBytes(version,
// users.size()).
struct GiftNoticeFields {
  uint64_t stamp = 0;
  uint32_t envelope_id = 0;
  uint32_t amount_fen = 0;
  uint32_t recipient = 0;
  absl::Span<const uint32_t> users{};
};
void EncodeGiftNotice(std::byte* out, Version version, const GiftNoticeFields& fields);
Decoded DecodeGiftNotice(FrameBytes frame, Version version, GiftNotice& message);

void EncodeOpenRequest(std::byte* out, const OpenRequest& message);
Decoded DecodeOpenRequest(FrameBytes frame, OpenRequest& message);
void EncodeOpenResponse(std::byte* out, Version version, const OpenResponse& message);
Decoded DecodeOpenResponse(FrameBytes frame, Version version, OpenResponse& message);

// `message.count` 0..kUsersFrameMax: SendRequestBytes(message.count). Decoding is malformed when the count does not
// match the frame's length; a matching count out of 1..kUsersMax decodes, and is the session's to refuse.
void EncodeSendRequest(std::byte* out, const SendRequest& message);
Decoded DecodeSendRequest(FrameBytes frame, SendRequest& message);
void EncodeSendResponse(std::byte* out, const SendResponse& message);
Decoded DecodeSendResponse(FrameBytes frame, SendResponse& message);

// ---- statement ----

void EncodeStatementRequest(std::byte* out, const StatementRequest& message);
Decoded DecodeStatementRequest(FrameBytes frame, StatementRequest& message);
void EncodeStatement(std::byte* out, const Statement& message);
Decoded DecodeStatement(FrameBytes frame, Statement& message);

}  // namespace hongbao::wire
