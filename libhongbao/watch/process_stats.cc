#include "libhongbao/watch/process_stats.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace hongbao::watch {
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
  struct stat folder_stat {};
  // Since Linux 6.2 the folder's size is the number of files: no walk over a million of them.
  if (stat("/proc/self/fd", &folder_stat) == 0 && folder_stat.st_size > 0) {
    return folder_stat.st_size;
  }
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

// "VmRSS:     1234 kB" -> 1234; -1: not there.
int64_t FieldIn(absl::string_view status, absl::string_view key) {
  for (const absl::string_view line : absl::StrSplit(status, '\n')) {
    int64_t value = -1;
    if (absl::StartsWith(line, key)) {
      const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
      return words.size() > 1 && absl::SimpleAtoi(words[1], &value) ? value : -1;
    }
  }
  return -1;
}

std::string ContentsOf(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

double Seconds(const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; }

}  // namespace

ProcessStats ReadProcessStats() {
  const std::string status = ContentsOf("/proc/self/status");
  const auto bytes = [&status](absl::string_view key) {
    const int64_t kilobytes = FieldIn(status, key);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
  };
  ProcessStats stats{.rss_bytes = bytes("VmRSS:"),
                     .rss_max_bytes = bytes("VmHWM:"),
                     .threads = FieldIn(status, "Threads:"),
                     .open_files = CountOpenFiles()};
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    stats.open_files_max = static_cast<int64_t>(limit.rlim_cur);
  }
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    stats.user_s = Seconds(usage.ru_utime);
    stats.system_s = Seconds(usage.ru_stime);
  }
  return stats;
}

double ProcessStartUnixSeconds() {
  const std::string stat = ContentsOf("/proc/self/stat");
  // After the name, which may hold anything, in brackets: the state is the third field, the start the 22nd.
  const size_t name_end = stat.rfind(')');
  const int64_t boot_unix_s = FieldOf("/proc/stat", "btime", "btime");
  if (name_end == std::string::npos || boot_unix_s < 0) {
    return 0;
  }
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kStart = 22 - 3;
  int64_t ticks = 0;
  if (fields.size() <= kStart || !absl::SimpleAtoi(fields[kStart], &ticks)) {
    return 0;
  }
  return static_cast<double>(boot_unix_s) + static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double CpuPercent(const ProcessStats& before, const ProcessStats& after, int64_t elapsed_ns) {
  if (elapsed_ns <= 0) {
    return 0;
  }
  return (after.user_s + after.system_s - before.user_s - before.system_s) * 100 / (static_cast<double>(elapsed_ns) / 1e9);
}

}  // namespace hongbao::watch
