#include "libhongbao/cli/user_keys.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "libhongbao/cli/secret_file.h"

namespace hongbao::cli {
namespace {

constexpr char kDomain[] = "hongbao user token v1";
constexpr size_t kDomainBytes = sizeof(kDomain) - 1;
constexpr size_t kDigits = 2 * UserKeys::kKeyBytes;
constexpr size_t kFileBytesMax = 4'096;
constexpr size_t kExpiryBytes = 4;

absl::Status Wrong(const std::string& path, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("user key file ", path, ": ", reason, "; want 64 hex digits a line, as made by: openssl rand -hex 32"));
}

void StoreU32(unsigned char* to, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    *to++ = static_cast<unsigned char>(value >> shift);
  }
}

// The whole token, expiry and MAC.
wire::Token Token(const unsigned char* key, uint32_t first_user, uint32_t user_count, uint32_t expires_unix_s) {
  unsigned char message[kDomainBytes + 3 * 4];
  std::memcpy(message, kDomain, kDomainBytes);
  StoreU32(message + kDomainBytes, expires_unix_s);
  StoreU32(message + kDomainBytes + 4, first_user);
  StoreU32(message + kDomainBytes + 8, user_count);
  unsigned char mac[32];
  crypto_generichash(mac, sizeof(mac), message, sizeof(message), key, UserKeys::kKeyBytes);
  wire::Token token;
  std::memcpy(token.data(), message + kDomainBytes, kExpiryBytes);
  std::memcpy(token.data() + kExpiryBytes, mac, token.size() - kExpiryBytes);
  return token;
}

}  // namespace

absl::StatusOr<UserKeys> UserKeys::ReadFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadSecretFile(path, "user key file", kFileBytesMax, /*others_may_read=*/false);
  if (!text.ok()) {
    return text.status();
  }
  if (text->size() > kFileBytesMax) {
    return Wrong(path, "is too long");
  }
  if (sodium_init() < 0) {
    return absl::InternalError("libsodium cannot be used on this machine");
  }
  UserKeys keys;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line.front() == '#') {
      continue;
    }
    if (line.size() != kDigits) {
      return Wrong(path, absl::StrCat("line ", number, " holds ", line.size(), " characters"));
    }
    Key key;
    size_t bytes = 0;
    if (sodium_hex2bin(key.data(), key.size(), line.data(), line.size(), nullptr, &bytes, nullptr) != 0 || bytes != key.size()) {
      return Wrong(path, absl::StrCat("line ", number, " holds something that is no hex digit"));
    }
    if (sodium_is_zero(key.data(), key.size()) != 0) {
      return Wrong(path, absl::StrCat("line ", number, " is all zeros, which is no secret"));
    }
    keys.keys_.push_back(key);
  }
  if (keys.keys_.empty()) {
    return Wrong(path, "holds no key");
  }
  if (keys.keys_.size() > kKeysMax) {
    return Wrong(path, absl::StrCat("holds ", keys.keys_.size(), " keys, at most ", kKeysMax, " are possible"));
  }
  return keys;
}

wire::Token UserKeys::Make(uint32_t first_user, uint32_t user_count, uint32_t expires_unix_s) const {
  return Token(keys_.front().data(), first_user, user_count, expires_unix_s);
}

bool UserKeys::Check(const wire::Token& token, uint32_t first_user, uint32_t user_count, int64_t unix_s) const {
  uint32_t expires_unix_s = 0;
  for (size_t i = 0; i < kExpiryBytes; ++i) {
    expires_unix_s = expires_unix_s << 8 | static_cast<uint32_t>(token[i]);
  }
  bool right = false;
  for (const Key& key : keys_) {  // all of them, whichever it is
    const wire::Token ours = Token(key.data(), first_user, user_count, expires_unix_s);
    right |= sodium_memcmp(ours.data(), token.data(), token.size()) == 0;
  }
  return right && unix_s < int64_t{expires_unix_s};
}

}  // namespace hongbao::cli
