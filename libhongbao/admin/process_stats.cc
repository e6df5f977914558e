#include "libhongbao/admin/process_stats.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace hongbao::admin {
namespace {

// The number after `key` as a word of its own in `path` ("VmRSS:", "mem"), searching only lines that start with `line`;
// -1: not there.
int64_t FieldOf(const char* path, const std::string& line_start, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(line_start, 0) != 0) {
      continue;
    }
    std::istringstream words(line);
    std::string word;
    int64_t value = -1;
    while (words >> word) {
      if (word == key && words >> value) {
        return value;
      }
    }
  }
  return -1;
}

int64_t KilobytesOf(const char* path, const std::string& key) {
  const int64_t kilobytes = FieldOf(path, key, key);
  return kilobytes < 0 ? -1 : kilobytes * 1024;
}

int64_t CountOpenFiles() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) {
    return -1;
  }
  int64_t count = -1;  // the folder itself is open while it is read
  while (const dirent* entry = readdir(folder)) {
    count += entry->d_name[0] != '.' ? 1 : 0;
  }
  closedir(folder);
  return count;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

ProcessStats ReadProcessStats() {
  constexpr const char* kStatus = "/proc/self/status";
  ProcessStats stats{.rss_bytes = KilobytesOf(kStatus, "VmRSS:"),
                     .rss_max_bytes = KilobytesOf(kStatus, "VmHWM:"),
                     .threads = FieldOf(kStatus, "Threads:", "Threads:"),
                     .open_files = CountOpenFiles()};
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    stats.user_s = Seconds(usage.ru_utime);
    stats.system_s = Seconds(usage.ru_stime);
  }
  return stats;
}

KernelMemory ReadKernelMemory() {
  const int64_t pages = FieldOf("/proc/net/sockstat", "TCP:", "mem");
  return {.slab_bytes = KilobytesOf("/proc/meminfo", "Slab:"),
          .socket_buffer_bytes = pages < 0 ? -1 : pages * sysconf(_SC_PAGESIZE),
          .available_bytes = KilobytesOf("/proc/meminfo", "MemAvailable:"),
          .tcp_sockets = FieldOf("/proc/net/sockstat", "TCP:", "inuse")};
}

absl::StatusOr<int64_t> RaiseOpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return absl::InternalError(absl::StrCat("cannot read the limit of open files: ", std::strerror(errno)));
  }
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    // Refused above fs.nr_open in some containers: the present limit then stands.
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
      limit = raised;
    }
  }
  return static_cast<int64_t>(limit.rlim_cur);
}

double CpuPercent(const ProcessStats& before, const ProcessStats& after, int64_t elapsed_ns) {
  if (elapsed_ns <= 0) {
    return 0;
  }
  return (after.user_s + after.system_s - before.user_s - before.system_s) * 100 /
         (static_cast<double>(elapsed_ns) / 1e9);
}

}  // namespace hongbao::admin
