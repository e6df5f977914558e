// Set's member functions for connections that change their port; included by set_impl.h only.
//
//   A: wait --> receive ends --> TakeOut --> OnMovedOut        B: MoveIn --> TakeIn --> OnMovedIn --> what was unread --> receive
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "libhongbao/net/set_impl.h"

namespace hongbao::net {

// Its receive has ended and nothing is to be sent: from here on the kernel does nothing with it but this.
template <class RingT, class App>
void Set<RingT, App>::TakeOut(Connection& connection) {
  if constexpr (MovesConnections<App>) {
    if (connection.state != ConnectionState::kOpen || connection.take_out_in_flight) {
      return;
    }
    if (Port::HasUnsent(connection)) {
      return Stay(connection);
    }
    connection.take_out_in_flight = true;
    if (port_.options_.direct_descriptors) {
      ring_.TakeOut(connection.slot, connection.generation);
      return;
    }
    // A second descriptor, so that this slot ends as every other does: closed, and only when all of its operations have ended.
    const int descriptor = fcntl(static_cast<int>(connection.slot), F_DUPFD_CLOEXEC, 0);
    HandleTakenOut(connection, descriptor >= 0 ? descriptor : -errno);
  }
}

template <class RingT, class App>
void Set<RingT, App>::HandleTakenOut(Connection& connection, int32_t result) {
  if constexpr (MovesConnections<App>) {
    MovedSocket socket(result);
    connection.take_out_in_flight = false;
    if (connection.state != ConnectionState::kOpen) {  // closed meanwhile, and the socket ends with the slot
      return ReleaseIfQuiet(connection);
    }
    if (result < 0 || Port::HasUnsent(connection)) {
      return Stay(connection);
    }
    connection.moves = false;
    port_.CopyUnread(connection, socket);
    if (!app_.OnMovedOut(port_, connection, socket)) {
      return;
    }
    // Gone without a close of the connection: only the slot ends.
    --port_.live_;
    connection.state = ConnectionState::kClosing;
    connection.let_go = true;
    port_.wheel_.Remove(connection);
    port_.GivePartialBlock(connection);
    port_.parked_.erase(connection.slot);
    ReleaseIfQuiet(connection);
  }
}

template <class RingT, class App>
void Set<RingT, App>::Stay(Connection& connection) {
  connection.moves = false;
  if constexpr (MovesConnections<App>) {
    if (connection.state == ConnectionState::kOpen) {
      app_.OnNotMoved(port_, connection);
    }
  }
}

template <class RingT, class App>
void Set<RingT, App>::StartArrivals() {
  if constexpr (MovesConnections<App>) {
    for (size_t i = 0; i < port_.arrivals_.size(); ++i) {
      std::unique_ptr<Arrival> arrival = std::move(port_.arrivals_[i]);
      if (!port_.options_.direct_descriptors) {
        const int slot = arrival->socket.descriptor();
        Settle(*arrival, static_cast<uint32_t>(slot) < port_.table_.size() ? arrival->socket.Release() : -EMFILE);
        continue;
      }
      arrival->id = kArrivals + next_arrival_++ % kArrivals;
      arrival->place = arrival->socket.descriptor();
      ring_.TakeIn(arrival->id, &arrival->place);
      taking_in_.push_back(std::move(arrival));
    }
    port_.arrivals_.clear();
  }
}

template <class RingT, class App>
void Set<RingT, App>::HandleTakenIn(const ring::Completion& completion) {
  const auto found = std::find_if(taking_in_.begin(), taking_in_.end(),
                                  [&](const std::unique_ptr<Arrival>& arrival) { return arrival->id == completion.tag.slot; });
  Check(found != taking_in_.end(), "a slot was found for nobody");
  const std::unique_ptr<Arrival> arrival = std::move(*found);
  taking_in_.erase(found);
  // The table holds the socket now; its regular descriptor is closed with the arrival.
  Settle(*arrival, completion.result == 1 ? arrival->place : -ENFILE);
}

template <class RingT, class App>
void Set<RingT, App>::Settle(Arrival& arrival, int slot) {
  if constexpr (MovesConnections<App>) {
    if (slot < 0) {
      counters_.closes.Add(CloseReason::kFull);
      app_.OnNoPlace(port_, arrival.socket, arrival.ticket);
      return;
    }
    Connection& connection = port_.OpenSlot(static_cast<uint32_t>(slot), ConnectionState::kOpen);
    port_.wheel_.Remove(connection);
    port_.SetHardDeadline(connection, 0);  // it has had its login's deadline: from now on it may be idle
    ++port_.live_;
    connection.held = true;  // nothing is received before the application has had what came with it
    if (!arrival.socket.unread().empty()) {
      port_.Park(connection, arrival.socket.unread());
    }
    app_.OnMovedIn(port_, connection, arrival.ticket);
    if (!connection.starved) {
      connection.starved = true;
      port_.starved_.push_back(connection.slot);
    }
  }
}

}  // namespace hongbao::net
