#include "benchmarks/end_to_end/harness.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "libhongbao/cli/options.h"

namespace hongbao::bench {

void AddOptions(CLI::App& app, Options& options) {
  options.workers = static_cast<uint32_t>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));
  cli::AddCount(app, "--port", &options.port, "TCP port on 127.0.0.1; 0 = a free one, printed", {.max = 65'535});
  cli::AddCount(app, "--workers", &options.workers, "threads", {.min = 1, .max = 256});
  cli::AddCount(app, "--connections-max", &options.connections_max, "connections at most", {.min = 1, .max = 1 << 24});
}

uint32_t RaiseOpenFiles() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<uint32_t>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
}

uint32_t TablesFor(uint32_t connections, uint32_t table) {
  const uint32_t usable = std::max(table / 10 * 9, 1u);
  return (connections + usable - 1) / usable;
}

int Fail(const std::string& why) {
  std::fprintf(stderr, "error: %s\n", why.c_str());
  return 1;
}

void SayListening(uint16_t port, const std::string& plan) {
  std::printf("listening on 127.0.0.1:%u, %s\n", port, plan.c_str());
  std::fflush(stdout);
}

void SayCpu() {
  double user_s = 0;
  double system_s = 0;
  for (const int whose : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage = {};
    getrusage(whose, &usage);
    user_s += static_cast<double>(usage.ru_utime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec) * 1e-6;
    system_s += static_cast<double>(usage.ru_stime.tv_sec) + static_cast<double>(usage.ru_stime.tv_usec) * 1e-6;
  }
  std::printf("cpu: user %.3f s, system %.3f s\n", user_s, system_s);
  std::fflush(stdout);
}

}  // namespace hongbao::bench
