// Set's member functions for connections that end; included by set_impl.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include "libhongbao/net/set_impl.h"

namespace hongbao::net {

template <class RingT, class App>
void Set<RingT, App>::FinishCloses() {
  for (size_t i = 0; i < port_.closing_.size(); ++i) {
    LetGo(port_.table_[port_.closing_[i]]);
  }
  port_.closing_.clear();
}

// Tells the application, gives back what nobody reads any more, and asks the kernel to stop.
template <class RingT, class App>
void Set<RingT, App>::LetGo(Connection& connection) {
  if (connection.was_open) {
    --port_.live_;
    counters_.closes.Add(connection.close_reason);
    if constexpr (HasOnClose<App>) {
      app_.OnClose(port_, connection, connection.close_reason);
    }
  } else {
    counters_.events.Add(Counter::kConnectFailed);
    if constexpr (HasOnConnectFailed<App>) {
      app_.OnConnectFailed(port_, connection.slot, connection.connect_error != 0 ? connection.connect_error : ETIMEDOUT);
    }
  }
  connection.let_go = true;
  port_.wheel_.Remove(connection);
  port_.GivePartialBlock(connection);
  port_.GiveReplyBlock(connection.pending_block);
  if (!port_.parked_.empty()) {  // whether or not it still is held: one that flushes is not
    port_.parked_.erase(connection.slot);
  }
  if (connection.receive_armed && !connection.switching) {
    const ring::Operation receive = connection.bulk_receiving ? ring::Operation::kReceiveBulk : ring::Operation::kReceive;
    ++connection.cancels_in_flight;
    ring_.Cancel({receive, connection.generation, connection.slot});
  }
  if (connection.send_in_flight && !connection.send_silent) {  // one in silence ends by itself, in the next enter
    ++connection.cancels_in_flight;
    ring_.Cancel({ring::Operation::kSend, connection.generation, connection.slot});
  }
  if (connection.connect_in_flight) {
    ++connection.cancels_in_flight;
    ring_.Cancel({ring::Operation::kConnect, connection.generation, connection.slot});
  }
  ReleaseIfQuiet(connection);
}

template <class RingT, class App>
void Set<RingT, App>::ReleaseIfQuiet(Connection& connection) {
  const bool quiet = !connection.receive_armed && !connection.send_in_flight && !connection.connect_in_flight &&
                     connection.cancels_in_flight == 0 && !connection.starved && !connection.close_in_flight &&
                     !connection.take_out_in_flight;
  // in closing_ still: LetGo comes to it in this turn and has to be first.
  if (connection.state != ConnectionState::kClosing || !connection.let_go || !quiet) {
    return;
  }
  port_.GiveReplyBlock(connection.sending_block);  // the kernel reads it no more
  port_.EndBulk(connection);
  connection.close_in_flight = true;
  ring_.Close(connection.slot, connection.generation);
}

template <class RingT, class App>
void Set<RingT, App>::HandleClosed(Connection& connection) {
  connection.close_in_flight = false;
  port_.table_.Free(connection);
  if (connection.dialed && port_.options_.direct_descriptors) {
    port_.table_.GiveFree(connection.slot);
  }
}

}  // namespace hongbao::net
