#include "libhongbao/net/set_up.h"

#include <sys/resource.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace hongbao::net {
namespace {

// "; it is limited to 200 MiB (ulimit -v)", empty when it is not.
std::string AddressSpaceLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_AS, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? "" : absl::StrCat("; it is limited to ", limit.rlim_cur >> 20, " MiB (ulimit -v)");
}

std::string Overcommit() {
  char mode = '0';
  if (FILE* file = fopen("/proc/sys/vm/overcommit_memory", "re")) {
    mode = static_cast<char>(fgetc(file));
    fclose(file);
  }
  return mode == '2' ? "; the kernel promises no more than it has (sysctl vm.overcommit_memory=2)" : "";
}

constexpr const char* kCure =
    "; raise the limit (ulimit -v unlimited, sysctl -w vm.overcommit_memory=0), or ask for fewer users, connections or workers";

}  // namespace

absl::Status NoMemory() {
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory or address space for the tables", AddressSpaceLimit(), Overcommit(), kCure));
}

absl::Status NoThread(const std::system_error& error) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no thread could be started: ", std::strerror(error.code().value()), AddressSpaceLimit(), Overcommit(), kCure,
                   "; or more tasks may be needed (ulimit -u, TasksMax= of the unit, pids.max of the cgroup)"));
}

}  // namespace hongbao::net
