#include "libhongbao/cli/standard_streams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hongbao::cli {
namespace {

bool IsNull(int fd) {
  struct stat null {};
  struct stat own {};
  return stat("/dev/null", &null) == 0 && fstat(fd, &own) == 0 && own.st_rdev == null.st_rdev;
}

// In a child: gtest needs its own streams.
TEST(StandardStreamsTest, ClosedOnesBecomeNull) {
  EXPECT_EXIT(
      {
        close(0);
        close(1);
        HoldStandardStreams();
        const bool held = IsNull(0) && IsNull(1) && !IsNull(2) && open("/", O_RDONLY) > 2;
        _exit(held ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(StandardStreamsTest, OpenOnesStayAndNothingIsLeftOpen) {
  const int before = open("/", O_RDONLY);
  HoldStandardStreams();
  const int after = open("/", O_RDONLY);
  EXPECT_EQ(after, before + 1);
  close(after);
  close(before);
}

}  // namespace
}  // namespace hongbao::cli
