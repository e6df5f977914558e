// Set's member functions for what is sent; included by set_impl.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <cerrno>

#include "libhongbao/net/set_impl.h"

namespace hongbao::net {

template <class RingT, class App>
void Set<RingT, App>::StartSend(Connection& connection) {
  const bool may = connection.state == ConnectionState::kOpen || connection.state == ConnectionState::kFlushing;
  if (!may || connection.pending_block == kNoIndex) {
    return;
  }
  connection.sending_block = connection.pending_block;
  connection.pending_block = kNoIndex;
  ContinueSend(connection);
  port_.WakeIfRoom(connection);
}

template <class RingT, class App>
void Set<RingT, App>::ContinueSend(Connection& connection) {
  Port::ReplyBlock& block = port_.Block(connection.sending_block);
  connection.send_in_flight = true;
  ring_.Send(connection.slot, connection.generation, block.bytes() + block.sent, block.length - block.sent);
}

template <class RingT, class App>
void Set<RingT, App>::HandleSend(Connection& connection, int32_t result) {
  connection.send_in_flight = false;
  if (connection.state == ConnectionState::kClosing) {
    ReleaseIfQuiet(connection);
    return;
  }
  Port::ReplyBlock& block = port_.Block(connection.sending_block);
  if (result > 0) {
    counters_.events.Add(Counter::kSentBytes, static_cast<uint64_t>(result));
    block.sent += static_cast<uint32_t>(result);
    port_.TookSome(connection);
  } else if (result != -EAGAIN && result != -EINTR) {
    port_.Close(connection, CloseReason::kReset);
    return;
  }
  if (block.sent < block.length) {
    counters_.events.Add(Counter::kShortSends);
    ContinueSend(connection);
    return;
  }
  counters_.events.Add(Counter::kSends);
  port_.GiveReplyBlock(connection.sending_block);
  if (connection.pending_block != kNoIndex) {
    StartSend(connection);
  } else if (connection.state == ConnectionState::kFlushing) {
    port_.Close(connection, connection.close_reason);
  }
  port_.WakeIfRoom(connection);
}

}  // namespace hongbao::net
