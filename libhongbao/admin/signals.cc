#include "libhongbao/admin/signals.h"

#include <signal.h>
#include <time.h>

#include <algorithm>

#include "libhongbao/check.h"

namespace hongbao::admin {
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
  if (signal <
      0) {  // EAGAIN: nothing came; EINTR: a signal nobody waits for. The caller looks at its clock either way.
    return SignalEvent::kTimeout;
  }
  if (stop_signal_ != 0) {
    return SignalEvent::kStopNow;
  }
  stop_signal_ = signal;
  return SignalEvent::kStop;
}

}  // namespace hongbao::admin
