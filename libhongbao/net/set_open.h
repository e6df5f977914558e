// Set's member functions for connections that begin: accepted or dialled; included by set_impl.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <cerrno>

#include "libhongbao/net/accept_trouble.h"
#include "libhongbao/net/set_impl.h"

namespace hongbao::net {

template <class RingT, class App>
void Set<RingT, App>::Accept(int listener) {
  listener_ = listener;
  accept_armed_ = true;
  ring_.Accept(listener);
}

template <class RingT, class App>
void Set<RingT, App>::StopAccept() {
  listener_ = -1;
  accept_paused_ = false;
  if (accept_armed_) {
    ring_.Cancel({ring::Operation::kAccept, 0, 0});
  }
}

template <class RingT, class App>
void Set<RingT, App>::HandleAccept(const ring::Completion& completion) {
  if (completion.result >= 0) {
    const uint32_t slot = static_cast<uint32_t>(completion.result);
    if (slot < port_.table_.size()) {
      counters_.events.Add(Counter::kAccepted);
      Opened(port_.OpenSlot(slot, ConnectionState::kOpen));
    } else {  // a regular descriptor: nobody but the kernel chooses their numbers
      counters_.events.Add(Counter::kTurnedAway);
      SayNotAccepted(0);
      ring_.Close(slot, 0);
    }
  }
  if (completion.more) {
    return;
  }
  accept_armed_ = false;
  if (listener_ < 0) {
    return;
  }
  // EMFILE, ENFILE, ENOBUFS, ENOMEM: the backlog stays readable, so arming at once would spin.
  if (completion.result < 0 && completion.result != -ECANCELED && completion.result != -ECONNABORTED) {
    accept_paused_ = true;
    counters_.events.Add(Counter::kAcceptPauses);
    SayNotAccepted(-completion.result);
    return;
  }
  Accept(listener_);
}

template <class RingT, class App>
void Set<RingT, App>::StartDials() {
  for (size_t i = 0; i < port_.dials_.size(); ++i) {
    const Port::Dial dial = port_.dials_[i];
    Connection& connection = port_.table_[dial.slot];
    if (const int result = ring_.Install(dial.slot, dial.descriptor); result < 0) {
      HandleConnect(connection, result);
      continue;
    }
    connection.connect_in_flight = true;
    ring_.Connect(dial.slot, connection.generation, dial.destination);
  }
  port_.dials_.clear();
}

template <class RingT, class App>
void Set<RingT, App>::HandleConnect(Connection& connection, int32_t result) {
  connection.connect_in_flight = false;
  if (connection.state == ConnectionState::kConnecting && result == 0) {
    counters_.events.Add(Counter::kConnected);
    connection.state = ConnectionState::kOpen;
    connection.last_receive_tick = port_.now_tick_;
    port_.wheel_.Remove(connection);
    port_.SetHardDeadline(connection, 0);  // from now on it may be idle
    Opened(connection);
    return;
  }
  if (connection.state == ConnectionState::kConnecting) {
    port_.Close(connection, CloseReason::kReset);
    connection.connect_error = static_cast<uint8_t>(-result);
    return;
  }
  ReleaseIfQuiet(connection);  // given up meanwhile
}

template <class RingT, class App>
void Set<RingT, App>::Opened(Connection& connection) {
  ++port_.live_;
  ArmReceive(connection);
  if constexpr (HasOnOpen<App>) {
    app_.OnOpen(port_, connection);
  }
}

}  // namespace hongbao::net
