// The messages of the protocol as plain structs, their results and their sizes in bytes.
//
// Owns nothing, never knows sockets or meaning. Every struct starts with the frame's stamp: v1 the sender's unix time
// in seconds; v2 in a request its identity (unix nanoseconds, strictly increasing per user), in a reply the stamp of
// the request it answers. Amounts are fen. Fields that a version does not carry are said to be so, and are 0 when
// decoded.
// Thread tag: thread-compatible.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::wire {

enum class LoginResult : uint32_t {
  kOk = 0,
  kUserOutOfRange = 1,
  kBadToken = 2,
  kFullOrDraining = 3,
  kSuperseded = 6,  // never of a login: a session of v2 ends, as its user has logged in elsewhere
};
enum class ShakeResult : uint32_t { kWon = 14, kNothing = 15, kCap = 16, kOverload = 17, kAhead = 19 };
enum class SendResult : uint32_t { kOk = 0, kOverload = 17, kRefused = 18, kAhead = 19, kCapped = 20 };

inline constexpr size_t kShakeRequestBytes = 16;
inline constexpr size_t kShakeResponseBytes = 28;
inline constexpr size_t kOpenRequestBytes = 20;
inline constexpr size_t kSendResponseBytes = 24;
inline constexpr size_t kStatementRequestBytes = 16;
inline constexpr size_t kStatementBytes = 28;
constexpr size_t LoginRequestBytes(Version version) { return version == Version::k1 ? 16 : 44; }
constexpr size_t LoginResponseBytes(Version version) { return version == Version::k1 ? 20 : 36; }
constexpr size_t OpenResponseBytes(Version version) { return version == Version::k1 ? 20 : 24; }

// A list of users: 1..kUsersMax in a good message; a SendRequest frame has room for kUsersFrameMax.
inline constexpr size_t kUsersMax = 50;
inline constexpr size_t kUsersFrameMax = 58;
inline constexpr size_t kV1NoticeUsers = 3;
// `count` users, 1..kUsersMax; a v1 notice always carries 3, whatever the gift has.
constexpr size_t GiftNoticeBytes(Version version, size_t count) {
  return 24 + 4 * (version == Version::k1 ? kV1NoticeUsers : count);
}
constexpr size_t SendRequestBytes(size_t count) { return 24 + 4 * count; }

// By how much a stamp may be ahead of the server's clock (docs/PROTOCOL.md, rule 3).
inline constexpr int64_t kStampAheadMaxMs = 3'600'000;

// Users of one gateway at most (docs/PROTOCOL.md, rule 7).
inline constexpr uint32_t kGatewayUsersMax = 1U << 23;

using Token = std::array<std::byte, 16>;

struct LoginRequest {
  uint64_t stamp = 0;
  Version version = Version::k1;
  uint32_t first_user = 0;
  uint32_t user_count = 1;    // v1: 1. v2: above 1 for a gateway; 0 or a sum above 2^32 is for the session to refuse
  uint64_t resume_after = 0;  // v2 only
  Token token{};              // v2 only
};

struct LoginResponse {
  uint64_t stamp = 0;
  uint32_t first_user = 0;
  LoginResult result = LoginResult::kOk;
  uint64_t server_unix_ns = 0;  // v2 only
  uint64_t last_stamp = 0;      // v2 only
};

struct ShakeRequest {
  uint64_t stamp = 0;
  uint32_t user_id = 0;
};

struct ShakeResponse {
  uint64_t stamp = 0;
  uint32_t user_id = 0;
  ShakeResult result = ShakeResult::kNothing;
  uint32_t envelope_id = 0;  // 0 unless won
  uint32_t amount_fen = 0;   // 0 unless won
};

// As decoded: the first `count` of `users`. To encode one, EncodeGiftNotice takes the gift's own list.
struct GiftNotice {
  uint64_t stamp = 0;
  uint32_t envelope_id = 0;
  uint32_t amount_fen = 0;  // of the whole gift
  uint32_t count = 0;       // 1..kUsersMax; always 3 in v1
  std::array<uint32_t, kUsersMax> users{};
  absl::Span<const uint32_t> Users() const { return {users.data(), count}; }
};

struct OpenRequest {
  uint64_t stamp = 0;
  uint32_t user_id = 0;  // v1 clients send 0, which means "me"
  uint32_t envelope_id = 0;
};

struct OpenResponse {
  uint64_t stamp = 0;
  uint32_t envelope_id = 0;
  uint32_t amount_fen = 0;  // 0: no share for this user
  uint32_t user_id = 0;     // v2 only
};

// As decoded: `count` matches the frame, and may be out of 1..kUsersMax (answer: SendResult::kRefused).
struct SendRequest {
  uint64_t stamp = 0;
  uint32_t sender = 0;
  uint32_t amount_fen = 0;
  uint32_t count = 0;  // 0..kUsersFrameMax
  std::array<uint32_t, kUsersFrameMax> users{};
  absl::Span<const uint32_t> Users() const { return {users.data(), count}; }
};

struct SendResponse {
  uint64_t stamp = 0;
  uint32_t sender = 0;
  SendResult result = SendResult::kOk;
  uint32_t envelope_id = 0;  // 0 unless ok
};

struct StatementRequest {
  uint64_t stamp = 0;
  uint32_t user_id = 0;
};

struct Statement {
  uint64_t stamp = 0;
  uint32_t user_id = 0;
  uint32_t grants = 0;
  uint64_t total_fen = 0;
};

}  // namespace hongbao::wire
