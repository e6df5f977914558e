// Signals: turned from interruptions into events that the main thread waits for.
//
// Owns: the signal mask of the process (made before any thread, so that every thread inherits it): SIGINT, SIGTERM,
// SIGHUP and SIGUSR1 are blocked and waited for, SIGPIPE is ignored. SIGHUP, a terminal that is gone, stops as SIGTERM
// does, so that the books are closed all the same; under nohup it stays ignored. It re-reads nothing: a rate is set over
// HTTP, because all clients have to change it in the same second. Never runs code in a handler.
// Thread tag: thread-compatible (construct first thing in main; wait from main only).
#pragma once

#include <cstdint>
#include <thread>

#include "libhongbao/cli/exit_codes.h"
#include "libhongbao/cpp20.h"

namespace hongbao::cli {

enum class SignalEvent : uint8_t {
  kTimeout,  // nothing came
  kStop,     // first SIGINT, SIGTERM or SIGHUP: say so, stop new work, drain, report
  kStopNow,  // a later one: leave now
  kStatus,   // SIGUSR1: print one full status to stderr
};

class Signals {
 public:
  // Blocks and ignores as said above, and holds the standard streams (standard_streams.h).
  Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Waits at most `timeout_ns` (0: only looks).
  SignalEvent Wait(int64_t timeout_ns);

  // 0 before kStop, then the signal that came first.
  int stop_signal() const { return stop_signal_; }
  // 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP: the exit code of an interrupted client.
  int exit_code() const { return ExitCodeOfSignal(stop_signal_); }
  // Whether SIGHUP stops it too.
  bool heeds_hangup() const { return hangup_; }

 private:
  const bool hangup_;
  int stop_signal_ = 0;
};

// While it lives, a signal that would stop the process ends it at once, with the exit code of that signal: for a start or an end
// that may wait for somebody else (a pipe that is read as a file, a lock, a name server, a large ledger's recovery).
// Owns a thread that waits for the signal. One at a time; a Signals::Wait meanwhile may get the signal in its place.
class LeaveAtSignal {
 public:
  // `signals` must outlive it. A signal that had stopped the process before gives the exit code.
  explicit LeaveAtSignal(const Signals& signals);
  ~LeaveAtSignal();
  LeaveAtSignal(const LeaveAtSignal&) = delete;
  LeaveAtSignal& operator=(const LeaveAtSignal&) = delete;

 private:
  int over_ = -1;  // an eventfd: nobody has to leave any more
  std::thread thread_;
};

}  // namespace hongbao::cli
