// Set's member functions; included by set.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "libhongbao/check.h"
#include "libhongbao/net/set.h"

namespace hongbao::net {

// ---- the turn ----

template <class RingT, class App>
uint32_t Set<RingT, App>::Turn(int rounds) {
  uint32_t completions = 0;
  for (int round = 0; round < rounds && HasWork(); ++round) {
    if (ring_.NeedsEnter()) {
      ring_.Enter();
    }
    const uint32_t served = Serve();
    completions += served;
    // Behind a visit that brought something comes another, and few sends leave with its enter. Many are worth one of their own,
    // while their sockets are in the cache; so are any behind which nothing comes.
    const uint32_t worth = ring_.silent_sends() && served > 0 ? kWorthAnEnter : 1;
    if (ring_.Submissions() < worth) {
      break;
    }
  }
  return completions;
}

template <class RingT, class App>
void Set<RingT, App>::HandOver() {
  if (ring_.HasSubmissions()) {
    ring_.Enter();
  }
  SettleSilentSends();
}

template <class RingT, class App>
uint32_t Set<RingT, App>::Serve() {
  SettleSilentSends();
  const uint32_t completions = ring_.Reap(kReapLimit, [this](const ring::Completion& completion) { Handle(completion); });
  Flush();
  return completions;
}

template <class RingT, class App>
void Set<RingT, App>::Flush() {
  StartDials();
  StartArrivals();
  ServeParked();
  // By index: OnClose may append to other connections and close them.
  for (size_t i = 0; i < port_.dirty_.size(); ++i) {
    Connection& connection = port_.table_[port_.dirty_[i]];
    connection.dirty = false;
    if (!connection.send_in_flight) {
      StartSend(connection);
    }
  }
  port_.dirty_.clear();
  FinishCloses();
  CancelReceives();
  ring_.PublishBuffers();
  RearmStarved();
}

template <class RingT, class App>
void Set<RingT, App>::Handle(const ring::Completion& completion) {
  if (completion.tag.operation == ring::Operation::kAccept) {
    HandleAccept(completion);
  } else if (completion.tag.operation == ring::Operation::kWake) {
    woken_ = true;
    if (!completion.more) {
      ring_.WatchWake();
    }
  } else if (completion.tag.slot < port_.table_.size()) {
    Connection& connection = port_.table_[completion.tag.slot];
    // A completion of the slot's former life has nothing to say; slots are freed late enough that there should be none.
    if (completion.tag.generation == connection.generation && connection.state != ConnectionState::kFree) {
      switch (completion.tag.operation) {
        case ring::Operation::kReceive:
        case ring::Operation::kReceiveBulk:
          HandleReceive(connection, completion);
          break;
        case ring::Operation::kSend:
          HandleSend(connection, completion.result);
          break;
        case ring::Operation::kConnect:
          HandleConnect(connection, completion.result);
          break;
        case ring::Operation::kCancel:  // done, not found or too late: the cancelled one answers for itself
          --connection.cancels_in_flight;
          ReleaseIfQuiet(connection);
          break;
        case ring::Operation::kClose:
          HandleClosed(connection);
          break;
        case ring::Operation::kTakeOut:
          HandleTakenOut(connection, completion.result);
          break;
        case ring::Operation::kNone:
        case ring::Operation::kAccept:
        case ring::Operation::kWake:
        case ring::Operation::kTakeIn:
        case ring::Operation::kAlarm:
          break;
      }
    }
  } else if (completion.tag.operation == ring::Operation::kTakeIn) {
    HandleTakenIn(completion);
  }
  if (completion.has_buffer) {
    ring_.RecycleBuffer(completion);  // always, or stale completions would drain the ring of buffers
  }
}

// ---- time and drain ----

template <class RingT, class App>
void Set<RingT, App>::Tick(uint32_t tick) {
  port_.Expire(tick);
  if (accept_paused_) {
    accept_paused_ = false;
    Accept(listener_);
  }
}

template <class RingT, class App>
uint32_t Set<RingT, App>::DrainSome(uint32_t limit) {
  port_.draining_ = true;
  for (; limit > 0 && drained_ < port_.table_.size(); --limit, ++drained_) {
    Connection& connection = port_.table_[drained_];
    if (connection.state == ConnectionState::kConnecting) {
      port_.Close(connection, CloseReason::kDrain);
    }
    port_.CloseAfterFlush(connection, CloseReason::kDrain);
  }
  return port_.table_.size() - drained_;
}

}  // namespace hongbao::net

#include "libhongbao/net/set_arm.h"      // IWYU pragma: export
#include "libhongbao/net/set_close.h"    // IWYU pragma: export
#include "libhongbao/net/set_moves.h"    // IWYU pragma: export
#include "libhongbao/net/set_open.h"     // IWYU pragma: export
#include "libhongbao/net/set_receive.h"  // IWYU pragma: export
#include "libhongbao/net/set_send.h"     // IWYU pragma: export
