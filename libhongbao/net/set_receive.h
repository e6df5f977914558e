// Set's member functions for what is received; included by set_impl.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "libhongbao/net/set_impl.h"

namespace hongbao::net {

template <class RingT, class App>
void Set<RingT, App>::HandleReceive(Connection& connection, const ring::Completion& completion) {
  const bool cancelled = completion.result == -ECANCELED && (connection.bulk || connection.switching);  // CancelReceives
  const bool was_bulk = connection.bulk_receiving;
  if (!completion.more) {
    connection.receive_armed = false;
    connection.bulk_receiving = false;
    connection.switching = false;
  }
  if (connection.state == ConnectionState::kClosing) {
    ReleaseIfQuiet(connection);
    return;
  }
  if (completion.result > 0) {
    counters_.events.Add(Counter::kReceives);
    counters_.events.Add(Counter::kReceivedBytes, static_cast<uint64_t>(completion.result));
    connection.last_receive_tick = port_.now_tick_;
    if (connection.state == ConnectionState::kOpen) {  // one that flushes takes no more requests
      // A bulk receive was armed because there is room for it.
      if (!connection.held && !was_bulk && !port_.HasRoom(connection)) [[unlikely]] {
        StopReceiving(connection);
      }
      if (connection.held) [[unlikely]] {
        port_.Park(connection, ring_.Buffer(completion));
      } else {
        Deliver(connection, ring_.Buffer(completion));
      }
    }
  } else if (completion.result == -ENOBUFS) {
    counters_.events.Add(Counter::kNoBuffers);
    port_.WaitsForUs(connection);
  } else if (completion.result == 0) {
    port_.PeerEnded(connection);  // it may still read (a half-close): what it is owed leaves first
    if (connection.moves) {
      Stay(connection);
    }
    return;
  } else if (completion.result != -EINTR && completion.result != -EAGAIN && !cancelled) {
    port_.Close(connection, CloseReason::kReset);
    return;
  }
  if (connection.receive_armed || connection.state == ConnectionState::kClosing) {
    return;
  }
  // The multishot ended on a connection that lives on: no buffer, a CQ overflow, or an interruption. A bulk receive is for
  // once, and the next is armed behind the answers to this one.
  if (completion.result >= 0 && !connection.bulk && !connection.held) {
    counters_.events.Add(Counter::kRearms);
  }
  if (!connection.starved) {
    connection.starved = true;
    port_.starved_.push_back(connection.slot);
  }
}

template <class RingT, class App>
void Set<RingT, App>::Deliver(Connection& connection, absl::Span<const std::byte> bytes) {
  Replies replies(port_, connection);
  if (connection.partial_block != kNoIndex) {
    bytes.remove_prefix(DeliverToPartial(connection, bytes, replies));
    if (connection.partial_block != kNoIndex || connection.state != ConnectionState::kOpen) {
      return;
    }
  }
  if (bytes.empty()) {
    return;
  }
  const size_t consumed = app_.OnBytes(port_, connection, bytes, replies);
  if (connection.state != ConnectionState::kOpen) {
    return;
  }
  if (consumed > bytes.size() || bytes.size() - consumed >= kFrameBytesMax) {
    port_.Close(connection, CloseReason::kMalformed);
    return;
  }
  bytes.remove_prefix(consumed);
  if (!bytes.empty()) {
    Port::PartialBlock& partial = port_.Partial(connection);
    partial.length = static_cast<uint32_t>(bytes.size());
    std::memcpy(partial.bytes, bytes.data(), bytes.size());
    port_.FrameStarted(connection);
  }
}

// Completes the frame that is partly there with bytes that came now; returns how many of them it took.
template <class RingT, class App>
size_t Set<RingT, App>::DeliverToPartial(Connection& connection, absl::Span<const std::byte> bytes, Replies& replies) {
  Port::PartialBlock& partial = port_.Partial(connection);
  const uint32_t had = partial.length;
  const size_t taken = std::min<size_t>(bytes.size(), sizeof(partial.bytes) - had);
  std::memcpy(partial.bytes + had, bytes.data(), taken);
  partial.length += static_cast<uint32_t>(taken);
  const size_t consumed = app_.OnBytes(port_, connection, {partial.bytes, partial.length}, replies);
  if (connection.state != ConnectionState::kOpen) {
    return taken;
  }
  // Nothing consumed of a block that holds a whole frame, or a whole frame left unread: not a frame after all.
  if (consumed > partial.length || (consumed == 0 && partial.length >= kFrameBytesMax) || (consumed > 0 && consumed <= had)) {
    port_.Close(connection, CloseReason::kMalformed);
    return taken;
  }
  if (consumed == 0) {
    return taken;  // still partial; its deadline goes on
  }
  port_.GivePartialBlock(connection);
  port_.FrameCompleted(connection);
  return consumed - had;  // the rest is read where it lies
}

}  // namespace hongbao::net
