// TokenFile: the gateway token as it lies in a file: 32 hex digits, so that it never stands on a command line, where every
// user of the machine could read it.
//
// Owns nothing. Never shows what stands in the file, not in an error either: it is a secret.
// Thread tag: thread-safe (pure function).
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "libhongbao/cpp20.h"

namespace hongbao::cli {

// Blanks and line breaks around the digits do not count. NotFound or another code of the operating system's when the file
// cannot be read, InvalidArgument when it holds anything but a token; all zeros are none, as that is what a login without a
// token carries. The Status names the path and the cure.
absl::StatusOr<std::array<std::byte, 16>> ReadTokenFile(const std::string& path);

}  // namespace hongbao::cli
