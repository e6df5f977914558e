// Processors: how many threads this process can keep busy at once, which is how many workers a service has by default.
//
// Less than the machine has where the process may run on some of them only (taskset, a cpuset), or only for a part of the
// time (cpu.max of cgroup v2, cpu.cfs_quota_us of v1, of its own group and of all above it).
// Never fails: what cannot be read does not limit. tools/hongbao_tools/common/processors.py is its twin.
// Thread tag: thread-safe (reads files).
#pragma once

#include <cstdint>
#include <string>

#include "libhongbao/cpp20.h"

namespace hongbao::net {

struct Processors {
  uint32_t count = 1;   // at least 1; a fraction of a processor counts as one
  std::string limit{};  // what makes it fewer than are online: "affinity 1 of 2", "cpu quota 0.50"; empty: nothing does
};

// `root`: a folder with a proc and a sys in it, for tests; then the affinity is left out.
Processors UsableProcessors(const std::string& root = "");

}  // namespace hongbao::net
