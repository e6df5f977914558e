#include "libhongbao/cli/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

namespace hongbao::cli {
namespace {

constexpr int64_t kLongNs = 10'000'000'000;

TEST(SignalsTest, FirstStopsGentlySecondAtOnce) {
  Signals signals;
  EXPECT_EQ(signals.Wait(0), SignalEvent::kTimeout);
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(signals.Wait(kLongNs), SignalEvent::kStatus);
  EXPECT_EQ(signals.stop_signal(), 0);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.Wait(kLongNs), SignalEvent::kStop);
  EXPECT_EQ(signals.stop_signal(), SIGTERM);
  EXPECT_EQ(signals.exit_code(), 143);
  kill(getpid(), SIGINT);
  EXPECT_EQ(signals.Wait(kLongNs), SignalEvent::kStopNow);
  EXPECT_EQ(signals.exit_code(), 143);
}

TEST(SignalsTest, AJobStartedWithSigintIgnoredStillStops) {
  signal(SIGINT, SIG_IGN);
  Signals signals;
  kill(getpid(), SIGINT);
  EXPECT_EQ(signals.Wait(kLongNs), SignalEvent::kStop);
  EXPECT_EQ(signals.exit_code(), 130);
}

TEST(SignalsTest, ATerminalThatIsGoneStopsGently) {
  signal(SIGHUP, SIG_DFL);  // the tests themselves may run under nohup
  Signals signals;
  kill(getpid(), SIGHUP);
  EXPECT_EQ(signals.Wait(kLongNs), SignalEvent::kStop);
  EXPECT_EQ(signals.exit_code(), 129);
  kill(getpid(), SIGHUP);
  EXPECT_EQ(signals.Wait(kLongNs), SignalEvent::kStopNow);
}

TEST(SignalsTest, NohupIsHeeded) {
  const auto before = signal(SIGHUP, SIG_IGN);
  Signals signals;
  signal(SIGHUP, SIG_IGN);
  kill(getpid(), SIGHUP);
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(signals.Wait(kLongNs), SignalEvent::kStatus);
  EXPECT_EQ(signals.Wait(0), SignalEvent::kTimeout);
  EXPECT_EQ(signals.stop_signal(), 0);
  signal(SIGHUP, before);
}

TEST(SignalsTest, LaterThreadsAreLeftAlone) {
  Signals signals;
  std::thread thread([] {
    kill(getpid(), SIGTERM);  // would end the process, were it not blocked in every thread
  });
  thread.join();
  EXPECT_EQ(signals.Wait(kLongNs), SignalEvent::kStop);
}

TEST(SignalsTest, WhileSomebodyElseIsWaitedForASignalEndsAtOnce) {
  EXPECT_EXIT(
      {
        Signals signals;
        const LeaveAtSignal leave(signals);
        kill(getpid(), SIGTERM);
        pause();
      },
      testing::ExitedWithCode(143), "");
  EXPECT_EXIT(
      {
        Signals signals;
        kill(getpid(), SIGINT);
        signals.Wait(kLongNs);
        const LeaveAtSignal leave(signals);
        kill(getpid(), SIGTERM);  // the first one gives the code
        pause();
      },
      testing::ExitedWithCode(130), "");
  Signals signals;
  { const LeaveAtSignal over(signals); }
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.Wait(kLongNs), SignalEvent::kStop);
}

TEST(SignalsTest, WritingToAClosedPipeIsAnErrorNotAnEnd) {
  Signals signals;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(write(ends[1], "x", 1), -1);
  close(ends[1]);
}

}  // namespace
}  // namespace hongbao::cli
