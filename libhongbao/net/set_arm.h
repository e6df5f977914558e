// Set's member functions for receives: armed, stopped, and armed again; included by set_impl.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <algorithm>

#include "libhongbao/net/set_impl.h"

namespace hongbao::net {

template <class RingT, class App>
void Set<RingT, App>::ArmReceive(Connection& connection) {
  if (connection.ended) {
    return;
  }
  if (!port_.HasRoom(connection)) {
    counters_.events.Add(Counter::kHolds, connection.held ? 0 : 1);
    port_.Hold(connection);
    if (connection.moves) {
      TakeOut(connection);
    }
    return;
  }
  port_.Release(connection);
  connection.receive_armed = true;
  if (!connection.bulk) {
    ring_.Receive(connection.slot, connection.generation);
    return;
  }
  connection.bulk_receiving = true;
  ring_.ReceiveBulk(connection.slot, connection.generation);
}

// No room for the answers to what may come: it is held, and what still comes of its multishot is kept unread.
template <class RingT, class App>
void Set<RingT, App>::StopReceiving(Connection& connection) {
  port_.Hold(connection);
  counters_.events.Add(Counter::kHolds);
  if (connection.receive_armed && !connection.bulk_receiving && !connection.switching) {
    port_.switching_.push_back(connection.slot);
  }
}

// Receives into small buffers of those that became bulk, or are held, end; what follows them is armed when they have.
template <class RingT, class App>
void Set<RingT, App>::CancelReceives() {
  for (const uint32_t slot : port_.switching_) {
    Connection& connection = port_.table_[slot];
    if (connection.receive_armed && !connection.bulk_receiving && !connection.let_go && !connection.switching) {
      connection.switching = true;
      ++connection.cancels_in_flight;
      ring_.Cancel({ring::Operation::kReceive, connection.generation, slot});
    }
  }
  port_.switching_.clear();
}

// Those with room again: first what was kept of them, as long as there is room.
template <class RingT, class App>
void Set<RingT, App>::ServeParked() {
  for (size_t i = 0; i < port_.starved_.size(); ++i) {
    Connection& connection = port_.table_[port_.starved_[i]];
    std::byte bytes[kFrameBytesMax];
    while (connection.held && connection.state == ConnectionState::kOpen && port_.HasRoom(connection)) {
      const size_t taken = port_.TakeParked(connection, bytes);
      if (taken == 0) {
        port_.Release(connection);
        break;
      }
      Deliver(connection, {bytes, taken});
    }
    port_.EndIfPaid(connection);
  }
}

template <class RingT, class App>
void Set<RingT, App>::RearmStarved() {
  // After the recycled buffers were published, never at once: with no buffer free the receive would fail again.
  // The kernel serves receives in the order in which they were armed, and the first may take all buffers. It comes last now, so
  // that each is first in turn.
  if (!port_.starved_.empty()) {
    std::rotate(port_.starved_.begin(), port_.starved_.begin() + 1, port_.starved_.end());
  }
  size_t kept = 0;
  for (const uint32_t slot : port_.starved_) {
    Connection& connection = port_.table_[slot];
    if (connection.state == ConnectionState::kOpen && port_.HasParked(connection) && port_.HasRoom(connection)) {
      port_.starved_[kept++] = slot;  // room since ServeParked: first what was kept of it
      continue;
    }
    connection.starved = false;
    if (connection.state == ConnectionState::kOpen || connection.state == ConnectionState::kFlushing) {
      if (!connection.receive_armed) {
        ArmReceive(connection);
      }
    } else {
      ReleaseIfQuiet(connection);
    }
  }
  port_.starved_.resize(kept);
}

}  // namespace hongbao::net
