// Worker's member functions; included by worker.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "libhongbao/net/worker.h"

namespace hongbao::net {

template <class App>
template <class Factory>
absl::Status Worker<App>::Init(const WorkerOptions& options, const ring::Features& features, const std::vector<int>& listeners,
                               Factory&& make_app) {
  batch_wait_us_ = options.batch_wait_us;
  listeners_ = listeners;
  prctl(PR_SET_TIMERSLACK, 1);  // the default lets the kernel wake us 50 us late
  if (options.processor >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(options.processor), &set);
    sched_setaffinity(0, sizeof(set), &set);  // a refused wish is no error
  }
  ring::RingOptions ring_options = options.ring;
  ring_options.wake_descriptor = mailbox_.wake_descriptor();
  ring_options.shared_wake = options.sets > 1;
  units_.resize(options.sets);
  for (uint32_t i = 0; i < options.sets; ++i) {
    absl::StatusOr<std::unique_ptr<RingT>> ring = RingT::Create(ring_options, features);
    if (!ring.ok()) {
      return ring.status();
    }
    units_[i].ring = *std::move(ring);
    units_[i].port = std::make_unique<Port>(i, options.port);
    context_.AddPort(units_[i].port.get());
  }
  started_ns_ = context_.clock().MonotonicNs();
  next_tick_ns_ = started_ns_ + kTickNs;
  app_ = make_app(context_);
  for (uint32_t i = 0; i < options.sets; ++i) {
    Unit& unit = units_[i];
    unit.set = std::make_unique<Set<RingT, App>>(*unit.ring, *unit.port, *app_, counters_);
    if (!listeners.empty()) {
      unit.set->Accept(listeners[i]);
    }
  }
  if (HasOneSet()) {
    units_[0].ring->WatchWake();
  }
  SetAlarmIfDue(started_ns_);
  return absl::OkStatus();
}

template <class App>
bool Worker<App>::TakeMessages() {
  if constexpr (HasOnMessage<App>) {
    Message message;
    uint32_t taken = 0;
    // What waits in our outboxes may wait for somebody who waits for us.
    const uint32_t most = context_.waiting() == 0 ? kMessagesPerTurn : kMessagesPerBusyTurn;
    while (taken < most && mailbox_.Pop(message)) {
      app_->OnMessage(message);
      ++taken;
    }
    return taken > 0;
  }
  return false;
}

template <class App>
uint32_t Worker<App>::TurnSets() {
  uint32_t completions = 0;
  if (HasOneSet() && units_[0].ring->silent_sends()) {
    return units_[0].set->Serve();  // the turn before has entered, and this one ends with entering
  }
  for (Unit& unit : units_) {
    if (unit.set->HasWork()) {
      completions += unit.set->Turn(kRounds);
    }
  }
  return completions;
}

template <class App>
uint32_t Worker<App>::HandOverSets() {
  for (Unit& unit : units_) {
    unit.set->HandOver();
  }
  return 0;
}

template <class App>
void Worker<App>::TickIfDue(int64_t now_ns) {
  if (now_ns < next_tick_ns_) {
    return;
  }
  next_tick_ns_ = now_ns + kTickNs - (now_ns - started_ns_) % kTickNs;
  const uint32_t tick = static_cast<uint32_t>(receiving_ns_ / kTickNs);
  uint64_t enters = 0;
  uint64_t overflows = 0;
  uint32_t live = 0;
  for (Unit& unit : units_) {
    unit.set->Tick(tick);
    live += unit.port->live();
    enters += unit.ring->enters();
    overflows += unit.ring->overflows();
  }
  const uint32_t enough = units_.size() > 1 ? kBatchCompletionsPerTick : kBatchCompletionsPerTickOfOne;
  batching_ = batch_wait_us_ > 0 && completions_this_tick_ >= enough && live >= kBatchConnections;
  completions_this_tick_ = 0;
  SetAlarmIfDue(now_ns);
  counters_.events.Set(Counter::kEnters, enters);
  counters_.events.Set(Counter::kOverflows, overflows);
}

template <class App>
void Worker<App>::DrainStep(int64_t now_ns) {
  const int64_t deadline_ns = drain_deadline_ns_.load(std::memory_order_acquire);  // see Drain
  if (deadline_ns == kNever) [[likely]] {
    return;
  }
  if (stage_ == Stage::kServing) {
    stage_ = Stage::kStopping;
    for (Unit& unit : units_) {
      unit.set->StopAccept();
    }
    if constexpr (HasOnDrain<App>) {
      app_->OnDrain();
    }
  }
  // Only when no accept can bring one more connection: DrainSome visits each slot once.
  const bool accepting = std::any_of(units_.begin(), units_.end(), [](Unit& unit) { return unit.set->accepting(); });
  bool settled = true;
  if constexpr (HasSettled<App>) {
    settled = app_->Settled();
  }
  if (stage_ == Stage::kStopping && !accepting && settled) {
    stage_ = Stage::kClosing;
    StopListening();
  }
  if (stage_ == Stage::kClosing) {
    uint32_t budget = kDrainPerTurn;
    uint32_t left = 0;
    for (Unit& unit : units_) {
      const uint32_t unvisited = unit.set->DrainSome(budget);
      left += unit.port->slots_in_use() + unvisited;
      if (unvisited > 0) {
        budget = 0;
        next_tick_ns_ = now_ns;  // come round at once
      }
    }
    if (left == 0) {
      stage_ = Stage::kDone;
    }
  }
  if (now_ns >= deadline_ns) {
    stage_ = Stage::kDone;
  }
}

// Nobody accepts any more: who comes now shall be refused at once instead of waiting in a backlog.
template <class App>
void Worker<App>::StopListening() {
  for (const int listener : listeners_) {
    shutdown(listener, SHUT_RDWR);
  }
}

// On the worker's own thread, as only it may talk to its rings.
template <class App>
void Worker<App>::Leave() {
  context_.Leave();
  for (Unit& unit : units_) {
    unit.ring->Enter();  // closes that are only queued
    unit.port->AbandonDescriptors();
    unit.ring.reset();
  }
}

}  // namespace hongbao::net

#include "libhongbao/net/worker_sleep.h"  // IWYU pragma: export
