// Set's member functions; included by set.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "libhongbao/check.h"
#include "libhongbao/net/accept_trouble.h"
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
    completions += ring_.Reap(kReapLimit, [this](const ring::Completion& completion) { Handle(completion); });
    Flush();
    if (!ring_.HasSubmissions()) {
      break;
    }
  }
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

// ---- opening ----

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

// ---- receiving ----

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
  if (consumed > partial.length || (consumed == 0 && partial.length >= kFrameBytesMax) ||
      (consumed > 0 && consumed <= had)) {
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

// ---- sending ----

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

// ---- closing ----

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
  if (connection.send_in_flight) {
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

#include "libhongbao/net/set_moves.h"  // IWYU pragma: export
