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

template <class App>
void Worker<App>::Sleep(int64_t now_ns, int64_t wake_at_ns) {
  const int64_t timeout_ns = wake_at_ns - now_ns;
  if (timeout_ns <= 0) {
    return;
  }
  counters_.events.Add(Counter::kSleeps);
  if (units_.size() > 1 && batching_ && !napped_) {
    Nap(std::min(timeout_ns, int64_t{batch_wait_us_} * 1'000));
    return;
  }
  if (!mailbox_.AnnounceSleep()) {
    if (units_.size() == 1) {
      SleepInRing(timeout_ns);
    } else {
      SleepOnEventfd(timeout_ns);
    }
  }
  mailbox_.AnnounceAwake();
}

template <class App>
void Worker<App>::SleepInRing(int64_t timeout_ns) {
  if (!batching_ && units_[0].set->HasWork()) {
    return;  // a deadline or the drain has left something to do
  }
  if (batching_) {
    units_[0].ring->EnterAndWaitBatch(timeout_ns, kBatchMax, batch_wait_us_);
  } else {
    units_[0].ring->EnterAndWait(timeout_ns);
  }
  if (units_[0].set->TakeWoken()) {
    mailbox_.ClearWake();
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
    if (ppoll(&wake, 1, &timeout, nullptr) > 0) {
      mailbox_.ClearWake();
    }
  }
  for (Unit& unit : units_) {
    unit.ring->NotifyWake(false);
  }
}

}  // namespace hongbao::net
