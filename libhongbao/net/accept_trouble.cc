#include "libhongbao/net/accept_trouble.h"

#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace hongbao::net {

void SayNotAccepted(int error) {
  static std::atomic<bool> said{false};
  if (said.exchange(true, std::memory_order_relaxed)) {  // relaxed: who is first does not matter
    return;
  }
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  std::fprintf(stderr,
               "hongbao: no descriptor for a new connection (%s; ulimit -n is %llu): who comes now waits or is turned away; "
               "raise the limit of open files, or the most connections if that is what is reached (said once, counted as "
               "accept_pauses and turned_away)\n",
               error == 0 ? "its number is beyond the table" : std::strerror(error),
               static_cast<unsigned long long>(limit.rlim_cur));
}

}  // namespace hongbao::net
