#include "libhongbao/watch/process_stats.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ctime>
#include <vector>

namespace hongbao::watch {
namespace {

TEST(ProcessStatsTest, SeesMemoryThatIsTouched) {
  const ProcessStats before = ReadProcessStats();
  ASSERT_GT(before.rss_bytes, 0);
  std::vector<char> block(64 << 20, 1);
  const ProcessStats after = ReadProcessStats();
  EXPECT_GE(after.rss_bytes - before.rss_bytes, (64 << 20) * 9 / 10);
  EXPECT_GE(after.rss_max_bytes, after.rss_bytes);
  EXPECT_EQ(after.threads, 1);
  EXPECT_EQ(block[1], 1);
}

TEST(ProcessStatsTest, CountsOpenFiles) {
  const int64_t before = ReadProcessStats().open_files;
  const int file = dup(0);
  EXPECT_EQ(ReadProcessStats().open_files, before + 1);
  close(file);
  EXPECT_EQ(ReadProcessStats().open_files, before);
}

TEST(ProcessStatsTest, KnowsTheLimitOfOpenFilesAndWhenTheProcessBegan) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(ReadProcessStats().open_files_max, static_cast<int64_t>(limit.rlim_cur));
  const double now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(ProcessStartUnixSeconds(), now + 1);          // boot time is in whole seconds
  EXPECT_GT(ProcessStartUnixSeconds(), now - 24 * 3600);  // of this test, not of the machine's first process
  EXPECT_EQ(ProcessStartUnixSeconds(), ProcessStartUnixSeconds());
}

TEST(ProcessStatsTest, CountsCpuTime) {
  const ProcessStats before = ReadProcessStats();
  ProcessStats after = before;
  while (after.user_s + after.system_s - before.user_s - before.system_s < 0.02) {  // ends only if CPU time is seen
    after = ReadProcessStats();
  }
  EXPECT_GT(CpuPercent(before, after, 1'000'000'000), 1.9);
  EXPECT_EQ(CpuPercent(before, after, 0), 0);
}

}  // namespace
}  // namespace hongbao::watch
