#include "libhongbao/cli/linger.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace hongbao::cli {
namespace {

constexpr int64_t kForeverNs = 3'600'000'000'000;  // a test that waits it out fails by its time limit

TEST(LingerTest, ASignalEndsItAtOnceAndTheRunsOwnEndStands) {
  Signals signals;
  kill(getpid(), SIGTERM);
  Linger(signals, kForeverNs, "127.0.0.1:1", [] { FAIL(); });
  EXPECT_EQ(signals.stop_signal(), SIGTERM);
}

TEST(LingerTest, AfterAnInterruptedRunTheNextSignalEndsIt) {
  Signals signals;
  kill(getpid(), SIGINT);
  ASSERT_EQ(signals.Wait(kForeverNs), SignalEvent::kStop);
  kill(getpid(), SIGINT);
  Linger(signals, kForeverNs, "127.0.0.1:1", [] { FAIL(); });
  EXPECT_EQ(signals.exit_code(), 130);
}

TEST(LingerTest, PrintsAStatusWhenAskedAndEndsWithItsTime) {
  Signals signals;
  int asked = 0;
  kill(getpid(), SIGUSR1);
  Linger(signals, 1'000'000, "127.0.0.1:1", [&asked] { ++asked; });
  EXPECT_EQ(asked, 1);
  kill(getpid(), SIGUSR1);
  Linger(signals, 0, "127.0.0.1:1", [] { FAIL(); });  // not at all
  EXPECT_EQ(signals.Wait(0), SignalEvent::kStatus);
}

}  // namespace
}  // namespace hongbao::cli
