#include "libhongbao/cli/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "libhongbao/check.h"
#include "libhongbao/cli/standard_streams.h"

namespace hongbao::cli {
namespace {

sigset_t WaitedFor(bool hangup) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  if (hangup) {
    sigaddset(&set, SIGHUP);
  }
  return set;
}

// nohup says so before it starts us; a blocked signal would be queued all the same.
bool HangupIsIgnored() {
  struct sigaction action {};
  return sigaction(SIGHUP, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

Signals::Signals() : hangup_(!HangupIsIgnored()) {
  HoldStandardStreams();  // before anything is opened, which may get the number of one that is closed
  const sigset_t set = WaitedFor(hangup_);
  Check(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0, "signals can be blocked");
  // A job started with `&` from a shell script inherits SIGINT ignored; it must still be stoppable by SIGINT.
  signal(SIGINT, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
}

SignalEvent Signals::Wait(int64_t timeout_ns) {
  const sigset_t set = WaitedFor(hangup_);
  timeout_ns = std::max<int64_t>(timeout_ns, 0);
  const timespec timeout{.tv_sec = timeout_ns / 1'000'000'000, .tv_nsec = timeout_ns % 1'000'000'000};
  const int signal = sigtimedwait(&set, nullptr, &timeout);
  if (signal == SIGUSR1) {
    return SignalEvent::kStatus;
  }
  if (signal < 0) {  // EAGAIN: nothing came; EINTR: a signal nobody waits for. The caller looks at its clock either way.
    return SignalEvent::kTimeout;
  }
  if (stop_signal_ != 0) {
    return SignalEvent::kStopNow;
  }
  stop_signal_ = signal;
  return SignalEvent::kStop;
}

LeaveAtSignal::LeaveAtSignal(const Signals& signals) : over_(eventfd(0, EFD_CLOEXEC)) {
  sigset_t set = WaitedFor(signals.heeds_hangup());
  sigdelset(&set, SIGUSR1);
  thread_ = std::thread([this, set, stopped = signals.stop_signal()] {
    const int come = signalfd(-1, &set, SFD_CLOEXEC);
    pollfd waited[2] = {{.fd = come, .events = POLLIN, .revents = 0}, {.fd = over_, .events = POLLIN, .revents = 0}};
    while (poll(waited, 2, -1) < 0 && errno == EINTR) {
    }
    signalfd_siginfo signal{};
    if (waited[1].revents == 0 && read(come, &signal, sizeof signal) == sizeof signal) {
      _exit(ExitCodeOfSignal(stopped != 0 ? stopped : static_cast<int>(signal.ssi_signo)));  // nothing is undone: as at a kill
    }
    close(come);
  });
}

LeaveAtSignal::~LeaveAtSignal() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(over_, &one, sizeof one);
  thread_.join();
  close(over_);
}

}  // namespace hongbao::cli
