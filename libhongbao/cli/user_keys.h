// UserKeys: what user tokens are made with, and checked with: who may log in as which users, and until when.
//
// Owns the keys, as read from a file; libsodium does the cryptography. How a token is made is in docs/PROTOCOL.md, "User tokens".
// Never shows a key. Thread tag: thread-safe once read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::cli {

class UserKeys {
 public:
  static constexpr size_t kKeyBytes = 32;
  static constexpr size_t kKeysMax = 8;  // each costs a login some 300 ns

  // A key a line, 64 hex digits; blank lines and those that begin with # do not count. The first key makes tokens, all of them
  // check. Errors name the file and the cure.
  static absl::StatusOr<UserKeys> ReadFile(const std::string& path);

  // Good for these users and no others while the server's unix second is below `expires_unix_s`.
  wire::Token Make(uint32_t first_user, uint32_t user_count, uint32_t expires_unix_s) const;
  // In a time that depends neither on the token's bytes nor on which key made it.
  bool Check(const wire::Token& token, uint32_t first_user, uint32_t user_count, int64_t unix_s) const;

 private:
  using Key = std::array<unsigned char, kKeyBytes>;
  std::vector<Key> keys_;
};

}  // namespace hongbao::cli
