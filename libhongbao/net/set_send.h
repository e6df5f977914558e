// Set's member functions for what is sent; included by set_impl.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <algorithm>
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
  // Of a bulk connection the completion is awaited: the next receive is armed behind it.
  ContinueSend(connection, ring_.silent_sends() && !connection.bulk);
  port_.WakeIfRoom(connection);
}

template <class RingT, class App>
void Set<RingT, App>::ContinueSend(Connection& connection, bool silently) {
  Port::ReplyBlock& block = port_.Block(connection.sending_block);
  connection.send_in_flight = true;
  connection.send_silent = silently;
  const std::byte* const bytes = block.bytes() + block.sent;
  if (silently) {
    ring_.SendSilently(connection.slot, connection.generation, bytes, block.length - block.sent);
    silent_.push_back(connection.slot);
  } else {
    ring_.Send(connection.slot, connection.generation, bytes, block.length - block.sent);
  }
}

// What was sent in silence has ended once it was handed over; the kernel speaks only of what it did not take whole. Those come
// first, then all others are finished, so that what is received next finds their room and their blocks free.
template <class RingT, class App>
void Set<RingT, App>::SettleSilentSends() {
  // Some may not have been handed over yet, or speak from the overflow: all of them wait for the next enter.
  if (silent_.empty() || ring_.HasSubmissions() || ring_.Overflowed()) {
    return;
  }
  const size_t handed_over = silent_.size();  // what follows may queue sends behind them
  ring_.ReapSends([this](const ring::Completion& completion) { Handle(completion); });
  for (size_t i = 0; i < handed_over; ++i) {
    if (silent_[i] != kNoIndex) {
      Connection& connection = port_.table_[silent_[i]];
      counters_.events.Add(Counter::kSentBytes, port_.Block(connection.sending_block).length);
      connection.send_in_flight = false;
      connection.send_silent = false;
      port_.TookSome(connection);
      FinishSend(connection);
    }
  }
  silent_.erase(silent_.begin(), silent_.begin() + static_cast<ptrdiff_t>(handed_over));
}

template <class RingT, class App>
bool Set<RingT, App>::AwaitsSends() const {
  return std::any_of(silent_.begin(), silent_.end(), [this](uint32_t slot) {
    if (slot == kNoIndex) {  // it has spoken already
      return false;
    }
    const Connection& connection = port_.table_[slot];
    return connection.state != ConnectionState::kOpen || connection.pending_block != kNoIndex || connection.held;
  });
}

template <class RingT, class App>
void Set<RingT, App>::HandleSend(Connection& connection, int32_t result) {
  if (connection.send_silent) {  // it did not take all: this one is not settled with the others
    connection.send_silent = false;
    std::replace(silent_.begin(), silent_.end(), connection.slot, kNoIndex);
  }
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
    ContinueSend(connection, /*silently=*/false);  // the peer has to make room: the kernel waits for it, and says when
    return;
  }
  FinishSend(connection);
}

// All of its block is with the kernel.
template <class RingT, class App>
void Set<RingT, App>::FinishSend(Connection& connection) {
  if (connection.state == ConnectionState::kClosing) {
    ReleaseIfQuiet(connection);
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
