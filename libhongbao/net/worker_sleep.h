// Worker's member functions for its sleep; included by worker_impl.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>

#include "libhongbao/net/worker_impl.h"

namespace hongbao::net {

// For the next tick, so that most waits need no timeout. One at a time: while the service drains ticks come early.
template <class App>
void Worker<App>::SetAlarmIfDue(int64_t now_ns) {
  if (now_ns >= alarm_ns_) {
    alarm_ns_ = next_tick_ns_;
    units_[0].ring->SetAlarm(next_tick_ns_ - now_ns);
  }
}

template <class App>
int64_t Worker<App>::Sleep(int64_t now_ns, int64_t wake_at_ns) {
  if (HasOneSet()) {
    return EndTurnInRing(now_ns, wake_at_ns);
  }
  const int64_t timeout_ns = wake_at_ns - now_ns;
  if (timeout_ns <= 0) {
    return kNever;
  }
  counters_.events.Add(Counter::kSleeps);
  if (batching_ && !napped_) {
    Nap(std::min(timeout_ns, int64_t{batch_wait_us_} * 1'000));
    return now_ns;
  }
  if (!mailbox_.AnnounceSleep()) {
    SleepOnEventfd(wake_at_ns < alarm_ns_ ? timeout_ns : kNever);
  }
  mailbox_.AnnounceAwake();
  return now_ns;
}

template <class App>
int64_t Worker<App>::EndTurnInRing(int64_t now_ns, int64_t wake_at_ns) {
  Unit& unit = units_[0];
  const uint32_t submissions = unit.ring->Submissions();
  const bool awaited = unit.set->AwaitsSends();  // the next turn finds out that they have left, and goes on
  if (awaited || submissions >= kTooManyForAWait) {
    unit.ring->EnterForBatch(std::max(submissions, 1u));
    now_ns = context_.clock().MonotonicNs();
  }
  bool slept = false;
  // A deadline or the drain may have left something to do.
  if (!awaited && wake_at_ns > now_ns && (batching_ || unit.set->MayWait())) {
    if (!mailbox_.AnnounceSleep()) {
      counters_.events.Add(Counter::kSleeps);
      WaitInRing(now_ns, wake_at_ns);
      slept = true;
    }
    mailbox_.AnnounceAwake();
  }
  if (!slept && !awaited && (unit.ring->HasSubmissions() || !unit.ring->HasCompletions())) {
    unit.ring->Enter();
  }
  if (unit.set->TakeWoken()) {
    mailbox_.ClearWake();
  }
  return slept ? now_ns : kNever;
}

template <class App>
void Worker<App>::WaitInRing(int64_t now_ns, int64_t wake_at_ns) {
  ring::KernelRing& ring = *units_[0].ring;
  if (batching_) {
    ring.EnterAndWaitBatch(wake_at_ns - now_ns, kBatchMax, batch_wait_us_);
  } else if (wake_at_ns >= alarm_ns_) {
    ring.EnterAndWait();
  } else {
    ring.EnterAndWait(wake_at_ns - now_ns);
  }
}

// Completions pile up meanwhile; nobody is asked to wake us.
template <class App>
void Worker<App>::Nap(int64_t nap_ns) {
  const timespec duration = {.tv_sec = 0, .tv_nsec = nap_ns};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, nullptr);
  napped_ = true;
}

template <class App>
void Worker<App>::SleepOnEventfd(int64_t timeout_ns) {
  for (Unit& unit : units_) {
    unit.ring->NotifyWake(true);
  }
  // The kernel sets the flag that HasWork reads before it looks whether to write the eventfd; we do it the other way round.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const bool work = std::any_of(units_.begin(), units_.end(), [](Unit& unit) { return unit.set->HasWork(); });
  if (!work) {
    pollfd wake = {.fd = mailbox_.wake_descriptor(), .events = POLLIN, .revents = 0};
    const timespec timeout = {.tv_sec = timeout_ns / 1'000'000'000, .tv_nsec = timeout_ns % 1'000'000'000};
    if (ppoll(&wake, 1, timeout_ns == kNever ? nullptr : &timeout, nullptr) > 0) {
      mailbox_.ClearWake();
    }
  }
  for (Unit& unit : units_) {
    unit.ring->NotifyWake(false);
  }
}

}  // namespace hongbao::net
