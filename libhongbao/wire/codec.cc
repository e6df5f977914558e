#include "libhongbao/wire/codec.h"

#include <cstring>

#include "libhongbao/check.h"

namespace hongbao::wire {
namespace {

// Offsets of the two messages that carry a list: header, two u32, count, then the users.
constexpr size_t kCountAt = 20;
constexpr size_t kUsersAt = 24;

// Whether `frame` is of `type`, its length is its own size, and its count is what fits in that length.
bool IsListFrame(FrameBytes frame, FrameType type) {
  if (frame.size() < kUsersAt || frame.size() > kFrameBytesMax) return false;
  return LoadU32(frame.data()) == Head(type, frame.size()) &&
         uint64_t{LoadU32(frame.data() + kCountAt)} * 4 + kUsersAt == frame.size();
}

}  // namespace

void EncodeLoginRequest(std::byte* out, const LoginRequest& message) {
  StoreHeader(out, FrameType::kLoginRequest, LoginRequestBytes(message.version), message.stamp);
  StoreU32(out + 12, message.first_user);
  if (message.version == Version::k1) return;
  StoreU32(out + 16, message.user_count);
  StoreU64(out + 20, message.resume_after);
  std::memcpy(out + 28, message.token.data(), message.token.size());
}

Decoded DecodeLoginRequest(FrameBytes frame, LoginRequest& message) {
  const Version version = frame.size() == LoginRequestBytes(Version::k1) ? Version::k1 : Version::k2;
  if (!IsFrameOf(frame, FrameType::kLoginRequest, LoginRequestBytes(version))) return Decoded::kMalformed;
  const std::byte* in = frame.data();
  message = {.stamp = LoadU64(in + 4), .version = version, .first_user = LoadU32(in + 12)};
  if (version == Version::k1) return Decoded::kOk;
  message.user_count = LoadU32(in + 16);
  message.resume_after = LoadU64(in + 20);
  std::memcpy(message.token.data(), in + 28, message.token.size());
  return Decoded::kOk;
}

void EncodeLoginResponse(std::byte* out, Version version, const LoginResponse& message) {
  StoreHeader(out, FrameType::kLoginResponse, LoginResponseBytes(version), message.stamp);
  StoreU32(out + 12, message.first_user);
  StoreU32(out + 16, static_cast<uint32_t>(message.result));
  if (version == Version::k1) return;
  StoreU64(out + 20, message.server_unix_ns);
  StoreU64(out + 28, message.last_stamp);
}

Decoded DecodeLoginResponse(FrameBytes frame, Version version, LoginResponse& message) {
  if (!IsFrameOf(frame, FrameType::kLoginResponse, LoginResponseBytes(version))) return Decoded::kMalformed;
  const std::byte* in = frame.data();
  const uint32_t result = LoadU32(in + 16);
  if (result > static_cast<uint32_t>(LoginResult::kFullOrDraining) && result != static_cast<uint32_t>(LoginResult::kSuperseded)) {
    return Decoded::kMalformed;
  }
  message = {.stamp = LoadU64(in + 4), .first_user = LoadU32(in + 12), .result = static_cast<LoginResult>(result)};
  if (version == Version::k1) return Decoded::kOk;
  message.server_unix_ns = LoadU64(in + 20);
  message.last_stamp = LoadU64(in + 28);
  return Decoded::kOk;
}

void EncodeGiftNotice(std::byte* out, Version version, const GiftNoticeFields& fields) {
  const size_t invited = fields.users.size();
  Check(invited >= 1 && invited <= kUsersMax, "a gift notice names 1..50 users");
  const size_t count = version == Version::k1 ? kV1NoticeUsers : invited;
  StoreHeader(out, FrameType::kGiftNotice, GiftNoticeBytes(version, invited), fields.stamp);
  StoreU32(out + 12, fields.envelope_id);
  StoreU32(out + 16, fields.amount_fen);
  StoreU32(out + kCountAt, static_cast<uint32_t>(count));
  std::byte* to = out + kUsersAt;
  if (count == invited) {
    for (uint32_t user : fields.users) {
      StoreU32(to, user);
      to += 4;
    }
    return;
  }
  // A v1 list of another length: the recipient, the first others, the recipient again up to three.
  for (size_t i = 0; i < count; ++i) StoreU32(to + 4 * i, fields.recipient);
  size_t filled = 1;
  for (size_t i = 0; i < invited && filled < count; ++i) {
    if (fields.users[i] != fields.recipient) StoreU32(to + 4 * filled++, fields.users[i]);
  }
}

Decoded DecodeGiftNotice(FrameBytes frame, Version version, GiftNotice& message) {
  if (!IsListFrame(frame, FrameType::kGiftNotice)) return Decoded::kMalformed;
  const std::byte* in = frame.data();
  const uint32_t count = LoadU32(in + kCountAt);
  if (count < 1 || count > kUsersMax || (version == Version::k1 && count != kV1NoticeUsers)) return Decoded::kMalformed;
  message.stamp = LoadU64(in + 4);
  message.envelope_id = LoadU32(in + 12);
  message.amount_fen = LoadU32(in + 16);
  message.count = count;
  for (size_t i = 0; i < count; ++i) message.users[i] = LoadU32(in + kUsersAt + 4 * i);
  return Decoded::kOk;
}

void EncodeOpenRequest(std::byte* out, const OpenRequest& message) {
  StoreHeader(out, FrameType::kOpenRequest, kOpenRequestBytes, message.stamp);
  StoreU32(out + 12, message.user_id);
  StoreU32(out + 16, message.envelope_id);
}

Decoded DecodeOpenRequest(FrameBytes frame, OpenRequest& message) {
  if (!IsFrameOf(frame, FrameType::kOpenRequest, kOpenRequestBytes)) return Decoded::kMalformed;
  const std::byte* in = frame.data();
  message = {.stamp = LoadU64(in + 4), .user_id = LoadU32(in + 12), .envelope_id = LoadU32(in + 16)};
  return Decoded::kOk;
}

void EncodeOpenResponse(std::byte* out, Version version, const OpenResponse& message) {
  StoreHeader(out, FrameType::kOpenResponse, OpenResponseBytes(version), message.stamp);
  StoreU32(out + 12, message.envelope_id);
  StoreU32(out + 16, message.amount_fen);
  if (version != Version::k1) StoreU32(out + 20, message.user_id);
}

Decoded DecodeOpenResponse(FrameBytes frame, Version version, OpenResponse& message) {
  if (!IsFrameOf(frame, FrameType::kOpenResponse, OpenResponseBytes(version))) return Decoded::kMalformed;
  const std::byte* in = frame.data();
  message = {.stamp = LoadU64(in + 4), .envelope_id = LoadU32(in + 12), .amount_fen = LoadU32(in + 16)};
  if (version != Version::k1) message.user_id = LoadU32(in + 20);
  return Decoded::kOk;
}

void EncodeSendRequest(std::byte* out, const SendRequest& message) {
  Check(message.count <= kUsersFrameMax, "a send request fits in a frame");
  StoreHeader(out, FrameType::kSendRequest, SendRequestBytes(message.count), message.stamp);
  StoreU32(out + 12, message.sender);
  StoreU32(out + 16, message.amount_fen);
  StoreU32(out + kCountAt, message.count);
  for (size_t i = 0; i < message.count; ++i) StoreU32(out + kUsersAt + 4 * i, message.users[i]);
}

Decoded DecodeSendRequest(FrameBytes frame, SendRequest& message) {
  if (!IsListFrame(frame, FrameType::kSendRequest)) return Decoded::kMalformed;
  const std::byte* in = frame.data();
  message.stamp = LoadU64(in + 4);
  message.sender = LoadU32(in + 12);
  message.amount_fen = LoadU32(in + 16);
  message.count = LoadU32(in + kCountAt);
  for (size_t i = 0; i < message.count; ++i) message.users[i] = LoadU32(in + kUsersAt + 4 * i);
  return Decoded::kOk;
}

void EncodeSendResponse(std::byte* out, const SendResponse& message) {
  StoreHeader(out, FrameType::kSendResponse, kSendResponseBytes, message.stamp);
  StoreU32(out + 12, message.sender);
  StoreU32(out + 16, static_cast<uint32_t>(message.result));
  StoreU32(out + 20, message.envelope_id);
}

Decoded DecodeSendResponse(FrameBytes frame, SendResponse& message) {
  if (!IsFrameOf(frame, FrameType::kSendResponse, kSendResponseBytes)) return Decoded::kMalformed;
  const std::byte* in = frame.data();
  const auto result = static_cast<SendResult>(LoadU32(in + 16));
  if (result != SendResult::kOk && result != SendResult::kOverload && result != SendResult::kRefused &&
      result != SendResult::kAhead && result != SendResult::kCapped) {
    return Decoded::kMalformed;
  }
  message = {.stamp = LoadU64(in + 4), .sender = LoadU32(in + 12), .result = result, .envelope_id = LoadU32(in + 20)};
  return Decoded::kOk;
}

void EncodeStatementRequest(std::byte* out, const StatementRequest& message) {
  StoreHeader(out, FrameType::kStatementRequest, kStatementRequestBytes, message.stamp);
  StoreU32(out + 12, message.user_id);
}

Decoded DecodeStatementRequest(FrameBytes frame, StatementRequest& message) {
  if (!IsFrameOf(frame, FrameType::kStatementRequest, kStatementRequestBytes)) return Decoded::kMalformed;
  message = {.stamp = LoadU64(frame.data() + 4), .user_id = LoadU32(frame.data() + 12)};
  return Decoded::kOk;
}

void EncodeStatement(std::byte* out, const Statement& message) {
  StoreHeader(out, FrameType::kStatement, kStatementBytes, message.stamp);
  StoreU32(out + 12, message.user_id);
  StoreU32(out + 16, message.grants);
  StoreU64(out + 20, message.total_fen);
}

Decoded DecodeStatement(FrameBytes frame, Statement& message) {
  if (!IsFrameOf(frame, FrameType::kStatement, kStatementBytes)) return Decoded::kMalformed;
  const std::byte* in = frame.data();
  message = {.stamp = LoadU64(in + 4), .user_id = LoadU32(in + 12), .grants = LoadU32(in + 16), .total_fen = LoadU64(in + 20)};
  return Decoded::kOk;
}

}  // namespace hongbao::wire
