// SecretFile: the text of a small file that holds a secret: the gateway token, the user keys.
//
// Never shows what stands in the file, not in an error either. Thread tag: thread-safe (pure function).
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libhongbao/cpp20.h"

namespace hongbao::cli {

// Up to bytes_max + 1 bytes of the file, so that whoever asks sees that it is longer (a device never ends). `what` it is
// ("token file") begins the errors. `others_may_read`: false refuses a file whose mode lets every user of the machine read it.
absl::StatusOr<std::string> ReadSecretFile(const std::string& path, absl::string_view what, size_t bytes_max,
                                           bool others_may_read);

}  // namespace hongbao::cli
