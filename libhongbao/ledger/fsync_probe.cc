#include "libhongbao/ledger/fsync_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hongbao::ledger {

absl::StatusOr<int64_t> MedianSyncUs(const std::string& path) {
  const std::string name = path + ".probe";
  const int descriptor = open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return absl::InternalError(absl::StrCat("cannot make ", name, ": ", std::strerror(errno)));
  }
  const std::array<char, 4096> page{};
  std::array<int64_t, 11> times_us{};
  bool good = true;
  for (size_t i = 0; i < times_us.size() && good; ++i) {
    const auto begun = std::chrono::steady_clock::now();
    good =
        pwrite(descriptor, page.data(), page.size(), static_cast<off_t>(i * page.size())) == static_cast<ssize_t>(page.size()) &&
        fdatasync(descriptor) == 0;
    times_us[i] = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun).count();
  }
  const int error = errno;
  close(descriptor);
  unlink(name.c_str());
  if (!good) {
    return absl::InternalError(absl::StrCat("cannot write and sync ", name, ": ", std::strerror(error)));
  }
  std::sort(times_us.begin(), times_us.end());
  return times_us[times_us.size() / 2];
}

}  // namespace hongbao::ledger
