#include "libhongbao/ring/kernel_features.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

// The first line of a file of /proc; empty without one.
std::string FirstLine(const char* path) {
  std::string value;
  if (FILE* file = fopen(path, "re")) {
    char text[64] = {};
    if (fgets(text, sizeof(text), file) != nullptr) {
      value = std::string(text, strcspn(text, "\n"));
    }
    fclose(file);
  }
  return value;
}

bool IsFiltered() {
  bool filtered = false;
  if (FILE* file = fopen("/proc/self/status", "re")) {
    char line[256] = {};
    while (fgets(line, sizeof(line), file) != nullptr) {
      int mode = 0;
      filtered |= sscanf(line, "Seccomp: %d", &mode) == 1 && mode != 0;
    }
    fclose(file);
  }
  return filtered;
}

std::pair<int, int> VersionOf(const std::string& kernel) {
  int major = 0;
  int minor = 0;
  return sscanf(kernel.c_str(), "%d.%d", &major, &minor) == 2 ? std::pair(major, minor) : std::pair(0, 0);
}

std::string Kernel() {
  utsname name = {};
  uname(&name);
  return name.release;
}

absl::Status FilterError(const Refusal& refusal) {
  return absl::PermissionDeniedError(absl::StrCat(
      refusal.call, " is answered with \"", strerror(refusal.error),
      "\" by a seccomp filter (Docker, Podman and systemd's "
      "SystemCallFilter= do this by default); start the container with --security-opt seccomp=unconfined, or with a profile "
      "that allows io_uring_setup, io_uring_enter and io_uring_register"));
}

// One submission and one registration, both without effect: a filter may let some of the three system calls through.
Refusal TryCalls(io_uring& ring) {
  io_uring_prep_nop(io_uring_get_sqe(&ring));
  if (const int result = io_uring_submit_and_wait(&ring, 1); result < 0) {
    return {.call = "io_uring_enter", .error = -result};
  }
  unsigned unchanged[2] = {0, 0};
  if (const int result = io_uring_register_iowq_max_workers(&ring, unchanged); result < 0) {
    return {.call = "io_uring_register", .error = -result};
  }
  return {};
}

int TrySetup(io_uring& ring, io_uring_params& params) {
  params = {};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  return -io_uring_queue_init_params(4, &ring, &params);
}

// A ring for one question, and what becomes of it.
class Scratch {
 public:
  Scratch() {
    io_uring_params params;
    usable_ = TrySetup(ring_, params) == 0;
  }
  ~Scratch() {
    if (usable_) {
      io_uring_queue_exit(&ring_);
    }
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  bool usable() const { return usable_; }
  io_uring& ring() { return ring_; }

 private:
  io_uring ring_ = {};
  bool usable_ = false;
};

// Whether a wait for a batch returns with the first completion that comes after its least time: one comes after 2 ms of 60. A
// machine that stands still for so long is asked again.
bool WaitsForTheFirst() {
  Scratch scratch;
  for (int tries = 0; scratch.usable() && tries < 3; ++tries) {
    __kernel_timespec first = {.tv_sec = 0, .tv_nsec = 2'000'000};
    __kernel_timespec whole = {.tv_sec = 0, .tv_nsec = 60'000'000};
    io_uring_prep_timeout(io_uring_get_sqe(&scratch.ring()), &first, 0, 0);
    io_uring_cqe* cqe = nullptr;
    timespec begun = {};
    timespec ended = {};
    clock_gettime(CLOCK_MONOTONIC, &begun);
    io_uring_submit_and_wait_min_timeout(&scratch.ring(), &cqe, 4, &whole, 1'000, nullptr);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    const bool completed = io_uring_cq_ready(&scratch.ring()) == 1;
    io_uring_cq_advance(&scratch.ring(), io_uring_cq_ready(&scratch.ring()));
    const int64_t waited_ns = (ended.tv_sec - begun.tv_sec) * int64_t{1'000'000'000} + ended.tv_nsec - begun.tv_nsec;
    if (completed && waited_ns < whole.tv_nsec / 2) {
      return true;
    }
  }
  return false;
}

// Sends in silence; nullopt: nothing was heard of it, else the completion's result.
std::optional<int> SendInSilence(io_uring& ring, int to, const std::vector<std::byte>& bytes) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring);
  io_uring_prep_send(sqe, to, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_submit_and_get_events(&ring);
  io_uring_cqe* cqe = nullptr;
  if (io_uring_peek_cqe(&ring, &cqe) != 0) {
    return std::nullopt;
  }
  const int result = cqe->res;
  io_uring_cqe_seen(&ring, cqe);
  return result;
}

// One that fits says nothing, one that does not fit says how much of it did, and one for which there is no room is refused; and
// all that, and no byte more, is at the other end.
bool SendsSilently() {
  Scratch scratch;
  int ends[2] = {-1, -1};
  if (!scratch.usable() || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return false;
  }
  const int small = 4'096;  // of which a socket makes a few times as much; 1 MiB does not fit
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  const std::vector<std::byte> few(16);
  const std::vector<std::byte> many(1 << 20);
  const std::optional<int> full = SendInSilence(scratch.ring(), ends[0], few);
  const std::optional<int> cut = SendInSilence(scratch.ring(), ends[0], many);
  const std::optional<int> none = SendInSilence(scratch.ring(), ends[0], many);
  size_t arrived = 0;
  std::vector<std::byte> into(many.size());
  for (ssize_t got = 1; got > 0; arrived += got > 0 ? static_cast<size_t>(got) : 0) {
    got = recv(ends[1], into.data(), into.size(), MSG_DONTWAIT);
  }
  close(ends[0]);
  close(ends[1]);
  const bool was_cut = cut && *cut > 0 && static_cast<size_t>(*cut) < many.size();
  return !full && was_cut && none == -EAGAIN && arrived == few.size() + static_cast<size_t>(*cut);
}

// Asked with a limit of nothing at all; the limit is this process's own and comes back at once.
bool RingsAreLocked() {
  rlimit limit = {};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  const rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
  setrlimit(RLIMIT_MEMLOCK, &none);
  io_uring ring;
  io_uring_params params;
  const int error = TrySetup(ring, params);
  setrlimit(RLIMIT_MEMLOCK, &limit);
  if (error == 0) {
    io_uring_queue_exit(&ring);
  }
  return error == ENOMEM;
}

absl::Status NoMemoryError() {
  const auto text = [](int resource) -> std::string {
    rlimit limit = {};
    getrlimit(resource, &limit);
    return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : absl::StrCat(limit.rlim_cur / 1024, " KiB");
  };
  return absl::ResourceExhaustedError(absl::StrCat(
      "no memory for an io_uring: locked memory is limited to ", text(RLIMIT_MEMLOCK),
      " for all processes of the user together, address space to ", text(RLIMIT_AS),
      "; raise the limit (ulimit -l unlimited, LimitMEMLOCK=infinity of the unit, --ulimit memlock=-1 for a container; ulimit -v "
      "unlimited), or use fewer workers or connections"));
}

}  // namespace

absl::Status Explain(const Refusal& refusal) {
  switch (refusal.error) {
    case EPERM:
      if (refusal.call == "io_uring_setup" && !refusal.disabled.empty() && refusal.disabled != "0") {
        const std::string group =
            refusal.disabled == "1"
                ? absl::StrCat(", or let a group of this process in: sysctl -w kernel.io_uring_group=", refusal.group_id,
                               " (it is ", refusal.group, ")")
                : "";
        return absl::PermissionDeniedError(
            absl::StrCat("io_uring is switched off by sysctl kernel.io_uring_disabled=", refusal.disabled,
                         "; switch it on with: sysctl -w kernel.io_uring_disabled=0", group));
      }
      return FilterError(refusal);
    case ENOSYS:
      // Filters answer this too, so that programs take it for an old kernel.
      if (refusal.filtered || refusal.call != "io_uring_setup") {
        return FilterError(refusal);
      }
      return absl::UnimplementedError(
          VersionOf(refusal.kernel) >= std::pair(6, 1)
              ? absl::StrCat("Linux ", refusal.kernel, " was built without io_uring (CONFIG_IO_URING); use a kernel that has it")
              : "this kernel has no io_uring; Linux 6.1 or newer is needed");
    case ENOMEM:
      return NoMemoryError();
    case EMFILE:
    case ENFILE:
      return absl::ResourceExhaustedError("no descriptor left for an io_uring; raise the limit of open files (ulimit -n)");
    case EINVAL:
      if (refusal.call == "io_uring_setup" && !(refusal.filtered && VersionOf(refusal.kernel) >= std::pair(6, 1))) {
        return absl::UnimplementedError(
            "this kernel's io_uring is too old (no IORING_SETUP_DEFER_TASKRUN); Linux 6.1 or newer is needed");
      }
      return FilterError(refusal);
    default:
      if (refusal.filtered) {
        return FilterError(refusal);
      }
      return absl::InternalError(absl::StrCat(refusal.call, " failed: ", strerror(refusal.error),
                                              "; a security module (SELinux, AppArmor) may forbid it, see the kernel's log"));
  }
}

absl::Status SetupError(int error) {
  return Explain({.error = error,
                  .kernel = Kernel(),
                  .disabled = FirstLine("/proc/sys/kernel/io_uring_disabled"),
                  .group = FirstLine("/proc/sys/kernel/io_uring_group"),
                  .filtered = IsFiltered(),
                  .group_id = getegid()});
}

absl::StatusOr<Features> ProbeFeatures() {
  if (Hidden("io_uring")) {
    return SetupError(EPERM);
  }
  io_uring scratch;
  io_uring_params params;
  if (const int error = TrySetup(scratch, params); error != 0) {
    return SetupError(error);
  }
  Refusal refusal = TryCalls(scratch);
  io_uring_queue_exit(&scratch);
  if (refusal.error != 0) {
    refusal.filtered = IsFiltered();
    return Explain(refusal);
  }
  Features features;
  features.kernel = Kernel();
  // No feature bit tells of the fix, so this one has to go by the version.
  features.direct_descriptors = VersionOf(features.kernel) >= std::pair(6, 13) && !Hidden("direct");
  features.min_wait = (params.features & IORING_FEAT_MIN_TIMEOUT) != 0 && !Hidden("min_wait") && WaitsForTheFirst();
  features.silent_sends = !Hidden("silent") && SendsSilently();
  features.locked_rings = RingsAreLocked();
  return features;
}

std::string Features::ToString() const {
  return absl::StrCat("kernel ", kernel, ": ",
                      direct_descriptors ? "direct descriptors" : "regular descriptors (direct ones need 6.13)",
                      min_wait ? ", batched waits" : "", silent_sends ? ", silent sends" : "");
}

}  // namespace hongbao::ring
