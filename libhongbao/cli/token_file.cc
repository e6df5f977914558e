#include "libhongbao/cli/token_file.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libhongbao/cli/secret_file.h"

namespace hongbao::cli {
namespace {

constexpr size_t kDigits = 32;
constexpr size_t kFileBytesMax = 256;  // more is no token file, whatever it is (a device never ends)

absl::Status Wrong(const std::string& path, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("token file ", path, ": ", reason, "; want 32 hex digits, as made by: openssl rand -hex 16"));
}

int ValueOf(char digit) {
  const auto c = static_cast<unsigned char>(digit);
  return absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
}

}  // namespace

absl::StatusOr<std::array<std::byte, 16>> ReadTokenFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadSecretFile(path, "token file", kFileBytesMax, /*others_may_read=*/true);
  if (!text.ok()) {
    return text.status();
  }
  if (text->size() > kFileBytesMax) {
    return Wrong(path, "is too long");
  }
  const absl::string_view digits = absl::StripAsciiWhitespace(*text);
  if (digits.size() != kDigits) {
    return Wrong(path, absl::StrCat("holds ", digits.size(), " characters"));
  }
  if (!std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return absl::ascii_isxdigit(c); })) {
    return Wrong(path, "holds something that is no hex digit");
  }
  std::array<std::byte, 16> token{};
  for (size_t i = 0; i < token.size(); ++i) {
    token[i] = static_cast<std::byte>(ValueOf(digits[2 * i]) << 4 | ValueOf(digits[2 * i + 1]));
  }
  if (token == std::array<std::byte, 16>{}) {
    return Wrong(path, "is all zeros, which is what a login without a token carries");
  }
  return token;
}

}  // namespace hongbao::cli
