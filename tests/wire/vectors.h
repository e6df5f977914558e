// The byte vectors of docs/PROTOCOL.md, and helpers to write bytes as hex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::wire {

inline constexpr uint64_t kStampV1 = 1486824165;
inline constexpr uint64_t kStampV2 = 1486824165123456789;

inline std::vector<std::byte> FromHex(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

inline std::string ToHex(absl::Span<const std::byte> bytes) {
  std::string hex;
  for (std::byte byte : bytes) {
    hex += "0123456789abcdef"[std::to_integer<size_t>(byte >> 4)];
    hex += "0123456789abcdef"[std::to_integer<size_t>(byte & std::byte{15})];
  }
  return hex;
}

struct Vector {
  const char* name;
  Side receiver;
  Version version;  // of the connection on which it may arrive (kUnknown: it is the login)
  FrameType type;
  const char* hex;
};

inline constexpr Vector kVectors[] = {
    {"login v1, user 7", Side::kServer, Version::kUnknown, FrameType::kLoginRequest, "0010000000000000589f22e500000007"},
    {"login v1 reply, ok", Side::kClient, Version::k1, FrameType::kLoginResponse, "0014000100000000589f22e50000000700000000"},
    {"shake, user 7", Side::kServer, Version::k1, FrameType::kShakeRequest, "0010000200000000589f22e500000007"},
    {"shake reply, nothing", Side::kClient, Version::k1, FrameType::kShakeResponse,
     "001c000300000000589f22e5000000070000000f0000000000000000"},
    {"shake reply, won", Side::kClient, Version::k1, FrameType::kShakeResponse,
     "001c000300000000589f22e5000000070000000e0010000100000101"},
    {"gift notice", Side::kClient, Version::k1, FrameType::kGiftNotice,
     "0024000400000000589f22e5002000010000012c00000003000000070000000800000009"},
    {"open v1", Side::kServer, Version::k1, FrameType::kOpenRequest, "0014000500000000589f22e50000000000200001"},
    {"open v1 reply", Side::kClient, Version::k1, FrameType::kOpenResponse, "0014000600000000589f22e50020000100000065"},
    {"login v2, user 7", Side::kServer, Version::kUnknown, FrameType::kLoginRequest,
     "002c000014a242b35da67f150000000700000001000000000000000000000000000000000000000000000000"},
    {"login v2 reply", Side::kClient, Version::k2, FrameType::kLoginResponse,
     "0024000114a242b35da67f15000000070000000014a242b35da682fd0000000000000000"},
    {"open v2 reply", Side::kClient, Version::k2, FrameType::kOpenResponse, "0018000614a242b35da67f15002000010000006500000007"},
    {"send", Side::kServer, Version::k2, FrameType::kSendRequest,
     "0024000714a242b35da67f15000000070000012c0000000300000008000000090000000a"},
    {"send reply", Side::kClient, Version::k2, FrameType::kSendResponse, "0018000814a242b35da67f15000000070000000000200002"},
    {"statement request", Side::kServer, Version::k2, FrameType::kStatementRequest, "0010000914a242b35da67f1500000007"},
    {"statement", Side::kClient, Version::k2, FrameType::kStatement, "001c000a14a242b35da67f1500000007000000020000000000000166"},
};

}  // namespace hongbao::wire
