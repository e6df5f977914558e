#include "libhongbao/net/processors.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/test_folder.h"

namespace hongbao::net {
namespace {

class ProcessorsTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path whole = root() + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  std::string root() const { return folder_.File("root"); }
  Processors Usable() const { return UsableProcessors(root()); }

  static constexpr char kV2[] = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
  static constexpr char kV1[] = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
  const TestFolder folder_;
};

TEST_F(ProcessorsTest, WithoutALimitAllCount) {
  EXPECT_EQ(Usable().count, 1'024u);
  Write("/proc/self/mountinfo", kV2);
  Write("/proc/self/cgroup", "0::/user.slice\n");
  Write("/sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
  EXPECT_EQ(Usable().count, 1'024u);
  EXPECT_EQ(Usable().limit, "");
}

TEST_F(ProcessorsTest, AFractionOfAProcessorIsOneAndTheLeastGroupCounts) {
  Write("/proc/self/mountinfo", kV2);
  Write("/proc/self/cgroup", "0::/a/b/c\n");
  Write("/sys/fs/cgroup/a/b/c/cpu.max", "50000 100000\n");
  EXPECT_EQ(Usable().count, 1u);
  EXPECT_EQ(Usable().limit, "cpu quota 0.50");
  Write("/sys/fs/cgroup/a/b/c/cpu.max", "250000 100000\n");
  EXPECT_EQ(Usable().count, 3u);
  Write("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");  // of a group above it
  EXPECT_EQ(Usable().count, 2u);
  Write("/sys/fs/cgroup/a/b/c/cpu.max", "garbage");
  EXPECT_EQ(Usable().count, 2u);
}

TEST_F(ProcessorsTest, VersionOneAndAContainersOwnFolder) {
  Write("/proc/self/mountinfo", kV1);
  Write("/proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/docker/abc\n0::/\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "150000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Usable().count, 2u);
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(Usable().count, 1'024u);
  // The same group seen from inside: its folder is the mount.
  Write("/proc/self/mountinfo", "33 31 0:30 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Usable().count, 4u);
}

TEST(OwnProcessorsTest, WhatTheProcessMayRunOnCounts) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (size_t i = 0; CPU_COUNT(&one) == 0; ++i) {
    if (CPU_ISSET(i, &before)) {
      CPU_SET(i, &one);
    }
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(UsableProcessors().count, 1u);
  sched_setaffinity(0, sizeof before, &before);
}

}  // namespace
}  // namespace hongbao::net
