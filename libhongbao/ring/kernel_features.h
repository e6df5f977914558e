// Features: what this kernel's io_uring can do, asked once per process on a scratch ring.
//
// Owns nothing; never guesses from a version where the kernel can be asked. Thread tag: thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "libhongbao/cpp20.h"

namespace hongbao::ring {

struct Features {
  // Connections as direct (registered) descriptors: not bound by the process's descriptor table. Needs 6.13: before it
  // a direct descriptor with any older request armed is never freed (kernel commit 7029acd8a950).
  bool direct_descriptors = false;
  // Waiting for a batch of completions, or a minimal time (6.12). Asked by waiting: some kernels have the call and return from it
  // only with the whole batch (cured by kernel commit e15cb2200b93).
  bool min_wait = false;
  // A send that ends within the enter that hands it over, and completes only when the kernel did not take all of it: what
  // MSG_DONTWAIT, MSG_WAITALL and IOSQE_CQE_SKIP_SUCCESS mean together. Asked with a full, a short and a refused one.
  bool silent_sends = false;
  // Rings count against the limit of locked memory, that of all the user's processes together (from 6.14 on, without
  // CAP_IPC_LOCK).
  bool locked_rings = false;
  std::string kernel{};  // uname release

  std::string ToString() const;  // "kernel 6.18.44: direct descriptors, batched waits, silent sends"
};

// Probes, or says why io_uring cannot be used here and what cures it (seccomp, sysctl, memlock, an old kernel).
// Environment HONGBAO_RING_OFF, a comma list of "direct", "min_wait" and "silent", hides features, so that the older paths can be
// tested on a newer kernel; "io_uring" refuses altogether.
absl::StatusOr<Features> ProbeFeatures();

// The message for a refused io_uring_setup (errno as a positive number): cause, then cure.
absl::Status SetupError(int error);

// What a refusal is judged by.
struct Refusal {
  std::string call = "io_uring_setup";
  int error = 0;
  std::string kernel{};    // uname release
  std::string disabled{};  // sysctl kernel.io_uring_disabled, empty before 6.6
  std::string group{};     // sysctl kernel.io_uring_group
  bool filtered = false;   // a seccomp filter watches this process
  uint32_t group_id = 0;   // this process's
};
absl::Status Explain(const Refusal& refusal);

}  // namespace hongbao::ring
