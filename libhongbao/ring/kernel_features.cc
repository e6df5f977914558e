#include "libhongbao/ring/kernel_features.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hongbao::ring {
namespace {

bool Hidden(const char* feature) {
  const char* off = getenv("HONGBAO_RING_OFF");
  if (off == nullptr) {
    return false;
  }
  for (absl::string_view name : absl::StrSplit(off, ',')) {
    if (name == feature) {
      return true;
    }
  }
  return false;
}

std::string SysctlIoUringDisabled() {
  std::string value;
  if (FILE* file = fopen("/proc/sys/kernel/io_uring_disabled", "re")) {
    char text[16] = {};
    if (fgets(text, sizeof(text), file) != nullptr) {
      value = std::string(text, strcspn(text, "\n"));
    }
    fclose(file);
  }
  return value;
}

}  // namespace

absl::Status SetupError(int error) {
  switch (error) {
    case EPERM: {
      const std::string disabled = SysctlIoUringDisabled();
      if (!disabled.empty() && disabled != "0") {
        return absl::PermissionDeniedError(
            absl::StrCat("io_uring is switched off by sysctl kernel.io_uring_disabled=", disabled,
                         "; switch it on with: sysctl -w kernel.io_uring_disabled=0"));
      }
      return absl::PermissionDeniedError(
          "io_uring is forbidden by a seccomp filter (containers do this by default); start the container with "
          "--security-opt seccomp=unconfined, or a profile that allows io_uring_setup, io_uring_enter and io_uring_register");
    }
    case ENOSYS:
      return absl::UnimplementedError("this kernel has no io_uring; Linux 6.1 or newer is needed");
    case ENOMEM:
      return absl::ResourceExhaustedError(
          "no memory for an io_uring; raise the locked-memory limit (ulimit -l unlimited, or --ulimit memlock=-1 for a "
          "container), or use fewer connections");
    case EMFILE:
    case ENFILE:
      return absl::ResourceExhaustedError(
          "no descriptor left for an io_uring; raise the limit of open files (ulimit -n)");
    case EINVAL:
      return absl::UnimplementedError(
          "this kernel's io_uring is too old (no IORING_SETUP_DEFER_TASKRUN); Linux 6.1 or newer is needed");
    default:
      return absl::InternalError(absl::StrCat("io_uring_setup failed: ", strerror(error)));
  }
}

absl::StatusOr<Features> ProbeFeatures() {
  if (Hidden("io_uring")) {
    return SetupError(EPERM);
  }
  io_uring_params params = {};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  io_uring scratch;
  if (const int result = io_uring_queue_init_params(4, &scratch, &params); result < 0) {
    return SetupError(-result);
  }
  io_uring_queue_exit(&scratch);

  Features features;
  utsname name = {};
  uname(&name);
  features.kernel = name.release;
  int major = 0;
  int minor = 0;
  if (sscanf(name.release, "%d.%d", &major, &minor) != 2) {
    major = minor = 0;
  }
  // No feature bit tells of the fix, so this one has to go by the version.
  features.direct_descriptors = std::pair(major, minor) >= std::pair(6, 13) && !Hidden("direct");
  features.min_wait = (params.features & IORING_FEAT_MIN_TIMEOUT) != 0 && !Hidden("min_wait");
  return features;
}

std::string Features::ToString() const {
  return absl::StrCat("kernel ", kernel, ": ",
                      direct_descriptors ? "direct descriptors" : "regular descriptors (direct ones need 6.13)",
                      min_wait ? ", batched waits" : "");
}

}  // namespace hongbao::ring
