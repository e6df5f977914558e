#include "libhongbao/net/processors.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace hongbao::net {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

std::string ContentsOf(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// As many as the machine has, or 0: the kernel does not say.
uint32_t Affinity() {
  for (int size = 1'024; size <= 1 << 20; size *= 2) {  // EINVAL: the kernel knows of more processors than the set has bits
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(size));
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(size));
    const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) {
      return static_cast<uint32_t>(count);
    }
  }
  return 0;
}

// A hierarchy of control groups that can limit processor time: where it is mounted, what of it, and its version.
struct Hierarchy {
  std::string mount, mounted;
  bool is_v2 = false;
};

std::vector<Hierarchy> HierarchiesOf(const std::string& root) {
  std::vector<Hierarchy> found;
  for (const absl::string_view line : absl::StrSplit(ContentsOf(root + "/proc/self/mountinfo"), '\n', absl::SkipEmpty())) {
    // "31 23 0:28 /mounted /mount options - cgroup cgroup rw,cpu,cpuacct"
    const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    const std::vector<std::string> left = absl::StrSplit(halves.first, ' ');
    const std::vector<std::string> right = absl::StrSplit(halves.second, ' ');
    if (left.size() < 5 || right.size() < 3) {
      continue;
    }
    const std::vector<std::string> options = absl::StrSplit(right[2], ',');
    const bool is_v2 = right[0] == "cgroup2";
    if (is_v2 || (right[0] == "cgroup" && std::find(options.begin(), options.end(), "cpu") != options.end())) {
      found.push_back({.mount = left[4], .mounted = left[3], .is_v2 = is_v2});
    }
  }
  return found;
}

// The process's group in that hierarchy, "/a/b"; empty when it is in none.
std::string GroupOf(const std::string& root, const Hierarchy& hierarchy) {
  for (const absl::string_view line : absl::StrSplit(ContentsOf(root + "/proc/self/cgroup"), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));  // "4:cpu,cpuacct:/a/b", "0::/a/b"
    if (parts.size() != 3) {
      continue;
    }
    const std::vector<std::string> controllers = absl::StrSplit(parts[1], ',');
    const bool is_it =
        hierarchy.is_v2 ? parts[0] == "0" : std::find(controllers.begin(), controllers.end(), "cpu") != controllers.end();
    if (is_it) {
      return parts[2];
    }
  }
  return "";
}

// Processors that the one group in `folder` may use.
double QuotaIn(const std::string& folder, bool is_v2) {
  double quota_us = 0;
  double period_us = 0;
  if (is_v2) {  // "50000 100000", or "max 100000"
    const std::vector<std::string> words = absl::StrSplit(ContentsOf(folder + "/cpu.max"), absl::ByAnyChar(" \n"));
    if (words.size() < 2 || !absl::SimpleAtod(words[0], &quota_us) || !absl::SimpleAtod(words[1], &period_us)) {
      return kNoLimit;
    }
  } else if (!absl::SimpleAtod(ContentsOf(folder + "/cpu.cfs_quota_us"), &quota_us) ||
             !absl::SimpleAtod(ContentsOf(folder + "/cpu.cfs_period_us"), &period_us)) {
    return kNoLimit;
  }
  return quota_us > 0 && period_us > 0 ? quota_us / period_us : kNoLimit;
}

// Of the group and all above it, as far as they can be seen from here.
double Quota(const std::string& root) {
  double least = kNoLimit;
  for (const Hierarchy& hierarchy : HierarchiesOf(root)) {
    std::string group = GroupOf(root, hierarchy);
    // A container may see its own group's folder mounted, under the name that the group has outside.
    if (hierarchy.mounted != "/" && !absl::StartsWith(group, hierarchy.mounted)) {
      group.clear();
    } else if (hierarchy.mounted != "/") {
      group = group.substr(hierarchy.mounted.size());
    }
    for (;;) {
      const absl::string_view below = group == "/" ? absl::string_view() : group;
      least = std::min(least, QuotaIn(absl::StrCat(root, hierarchy.mount, below), hierarchy.is_v2));
      if (below.empty()) {
        break;
      }
      group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
    }
  }
  return least;
}

}  // namespace

Processors UsableProcessors(const std::string& root) {
  const auto online = static_cast<uint32_t>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));
  Processors usable{.count = root.empty() ? online : 1'024, .limit = ""};
  const uint32_t affinity = root.empty() ? Affinity() : 0;
  if (affinity > 0 && affinity < online) {
    usable = {.count = affinity, .limit = absl::StrCat("affinity ", affinity, " of ", online)};
  }
  if (const double quota = Quota(root); quota < usable.count) {
    usable = {.count = std::max(static_cast<uint32_t>(std::ceil(quota)), 1u), .limit = absl::StrFormat("cpu quota %.2f", quota)};
  }
  return usable;
}

}  // namespace hongbao::net
