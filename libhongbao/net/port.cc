#include "libhongbao/net/port.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "libhongbao/check.h"

namespace hongbao::net {
namespace {

constexpr uint32_t kSmallBlockBytes = 256;  // one reply, or a few: the steady state

// Room for all that may be unsent and the block's header, rounded up so that each header lies aligned.
constexpr uint32_t LargeBlockBytes(uint32_t unsent_bytes_max) { return (unsent_bytes_max + 8 + 7) & ~7u; }

// A socket bound to `source` without choosing a port yet: connect chooses one that is free for the pair of
// addresses (IP_BIND_ADDRESS_NO_PORT), else a source address would be used up after one port range.
int OpenDialSocket(const SocketAddress& source, const SocketAddress& destination, const ring::SocketOptions& sockets) {
  const int descriptor = socket(destination.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    return -errno;
  }
  const int on = 1;
  ring::Apply(descriptor, sockets, destination);
  if (source.given()) {
    setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(descriptor, source.get(), source.size()) != 0) {
      const int error = errno;
      close(descriptor);
      return -error;
    }
  }
  return descriptor;
}

}  // namespace

Port::Port(uint32_t index, const PortOptions& options)
    : index_(index),
      options_(options),
      table_(options.slots),
      wheel_(table_),
      partials_(sizeof(PartialBlock), options.slots),
      // Per connection at most one block that the kernel reads and one that fills.
      small_replies_(kSmallBlockBytes, 2 * options.slots),
      large_replies_(LargeBlockBytes(options.unsent_bytes_max), 2 * options.slots),
      bulk_replies_(LargeBlockBytes(options.bulk.unsent_bytes_max), 2 * options.bulk.connections) {
  Check(options.slots > 0 && options.slots < kBulk, "a port needs slots");
  Check(options.bulk.room_bytes <= options.bulk.unsent_bytes_max, "the answers to one bulk receive must have room");
}

Connection* Port::Find(ConnectionId id) {
  if (id.slot >= table_.size()) {
    return nullptr;
  }
  Connection& connection = table_[id.slot];
  const bool found = connection.generation == id.generation && connection.state == ConnectionState::kOpen;
  return found ? &connection : nullptr;
}

void Port::Close(Connection& connection, CloseReason reason) {
  if (connection.state == ConnectionState::kOpen || connection.state == ConnectionState::kFlushing ||
      connection.state == ConnectionState::kConnecting) {
    StartClose(connection, reason);
  }
}

void Port::StartClose(Connection& connection, CloseReason reason) {
  // A connection that was flushing has its reason already: the one that the application gave.
  if (connection.close_reason == CloseReason::kNone) {
    connection.close_reason = reason;
  }
  connection.was_open = connection.state != ConnectionState::kConnecting;
  connection.state = ConnectionState::kClosing;
  closing_.push_back(connection.slot);
}

void Port::CloseAfterFlush(Connection& connection, CloseReason reason) {
  if (connection.state != ConnectionState::kOpen) {
    return;
  }
  if (connection.pending_block == kNoIndex && connection.sending_block == kNoIndex) {
    StartClose(connection, reason);
    return;
  }
  connection.state = ConnectionState::kFlushing;
  connection.close_reason = reason;
  if (connection.ended) {  // it reads on, at its own pace
    UnreadStarted(connection);
  } else {
    SetHardDeadline(connection, options_.frame_deadline_ms);
  }
}

void Port::ClearDeadline(Connection& connection) {
  if (!connection.frame_pending && !connection.unread_pending) {
    connection.deadline_tick = 0;
    if (connection.partial_block != kNoIndex) {
      FrameStarted(connection);  // had only the login's deadline so far
    }
  }
}

int32_t Port::Connect(const SocketAddress& source, const SocketAddress& destination) {
  if (draining_) {
    return -ESHUTDOWN;
  }
  const int descriptor = OpenDialSocket(source, destination, options_.sockets);
  if (descriptor < 0) {
    return descriptor;
  }
  const uint32_t slot = options_.direct_descriptors ? table_.TakeFree() : static_cast<uint32_t>(descriptor);
  if (slot == kNoIndex || slot >= table_.size()) {
    close(descriptor);
    return -EMFILE;
  }
  OpenSlot(slot, ConnectionState::kConnecting).dialed = true;
  dials_.push_back({.slot = slot, .descriptor = descriptor, .destination = destination});
  return static_cast<int32_t>(slot);
}

Connection& Port::OpenSlot(uint32_t slot, ConnectionState state) {
  // The kernel gives out a descriptor only when its close is done, though the completion that says so may come later: a
  // regular one is reused at once, and kernels before 6.16 let an accept's completion pass it.
  if (Connection& former = table_[slot]; former.close_in_flight) {
    former.close_in_flight = false;
    table_.Free(former);
  }
  Connection& connection = table_.Open(slot, state);
  connection.last_receive_tick = now_tick_;
  SetHardDeadline(connection, options_.login_deadline_ms);
  return connection;
}

void Port::AbandonDescriptors() {
  for (const Dial& dial : dials_) {
    close(dial.descriptor);
    table_.Free(table_[dial.slot]);
  }
  dials_.clear();
  if (options_.direct_descriptors) {
    return;  // the ring's table takes them along
  }
  for (uint32_t slot = 0; table_.in_use() > 0 && slot < table_.size(); ++slot) {
    Connection& connection = table_[slot];
    if (connection.state != ConnectionState::kFree) {
      if (!connection.close_in_flight) {
        close(static_cast<int>(slot));
      }
      table_.Free(connection);
    }
  }
}

// ---- replies ----

std::byte* Replies::Append(size_t size) { return port_->AppendBytes(*connection_, size); }

size_t Replies::Room() const { return port_->Room(*connection_); }

void Replies::Append(absl::Span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t part = std::min<size_t>(bytes.size(), kFrameBytesMax);
    std::memcpy(Append(part), bytes.data(), part);
    bytes.remove_prefix(part);
  }
}

BlockPool& Port::PoolOf(uint32_t index) {
  return (index & kLarge) != 0 ? large_replies_ : (index & kBulk) != 0 ? bulk_replies_ : small_replies_;
}

// Bytes of replies that a block holds.
uint32_t Port::CapacityOf(uint32_t index) {
  return (index & kLarge) != 0  ? options_.unsent_bytes_max
         : (index & kBulk) != 0 ? options_.bulk.unsent_bytes_max
                                : kSmallBlockBytes - static_cast<uint32_t>(sizeof(ReplyBlock));
}

uint32_t Port::TakeReplyBlock(uint32_t block_class) {
  const uint32_t index = PoolOf(block_class).Take() | block_class;
  Block(index) = {.length = 0, .sent = 0};
  return index;
}

void Port::GiveReplyBlock(uint32_t& index) {
  if (index == kNoIndex) {
    return;
  }
  PoolOf(index).Give(index & ~kClass);
  index = kNoIndex;
}

size_t Port::Room(const Connection& connection) {
  if (connection.state != ConnectionState::kOpen) {
    return 0;
  }
  size_t unsent = connection.pending_block == kNoIndex ? 0 : Block(connection.pending_block).length;
  if (connection.bulk) {
    return options_.bulk.unsent_bytes_max - unsent;
  }
  if (connection.sending_block != kNoIndex) {
    const ReplyBlock& sending = Block(connection.sending_block);
    unsent += sending.length - sending.sent;
  }
  return unsent < options_.unsent_bytes_max ? options_.unsent_bytes_max - unsent : 0;
}

std::byte* Port::AppendBytes(Connection& connection, size_t size) {
  const size_t room = Room(connection);
  Check(size > 0 && (size <= kFrameBytesMax || (connection.bulk && size <= room)),
        "Append takes one frame at a time, or what a bulk connection has room for");
  if (size > room) {
    Close(connection, CloseReason::kUnsentBytes);  // if it still was open
    return scratch_;
  }
  const uint32_t largest = connection.bulk ? kBulk : kLarge;
  if (connection.pending_block == kNoIndex) {
    connection.pending_block = TakeReplyBlock(size > CapacityOf(0) ? largest : 0);
    MarkDirty(connection);
  }
  ReplyBlock* block = &Block(connection.pending_block);
  if (block->length + size > CapacityOf(connection.pending_block)) {
    const uint32_t larger = TakeReplyBlock(largest);
    ReplyBlock& copy = Block(larger);
    copy.length = block->length;
    std::memcpy(copy.bytes(), block->bytes(), block->length);
    GiveReplyBlock(connection.pending_block);
    connection.pending_block = larger;
    block = &copy;
  }
  std::byte* bytes = block->bytes() + block->length;
  block->length += static_cast<uint32_t>(size);
  return bytes;
}

// ---- holding back ----

bool Port::HasRoomBeside(const Connection& connection) {
  if (connection.state != ConnectionState::kOpen) {
    return true;
  }
  if (connection.bulk) {
    return !connection.waits && connection.owed <= options_.bulk.owed_max && Room(connection) >= options_.bulk.room_bytes;
  }
  if (options_.room_bytes == 0 || (!HasUnsent(connection) && connection.owed == 0)) {
    return true;
  }
  return Room(connection) >= options_.room_bytes + size_t{connection.owed} * options_.owed_bytes;
}

// It is looked at in this turn's Flush.
void Port::WakeHeldIfRoom(Connection& connection) {
  if (!connection.starved && connection.state == ConnectionState::kOpen && HasRoom(connection)) {
    connection.starved = true;
    starved_.push_back(connection.slot);
  }
}

bool Port::HasSpareRoom(const Connection& connection, size_t bytes) {
  const size_t kept = connection.bulk ? options_.bulk.room_bytes : size_t{connection.owed} * options_.owed_bytes;
  return Room(connection) >= kept + bytes;
}

void Port::Hold(Connection& connection) {
  connection.held = true;
  FrameCompleted(connection);  // the rest of a frame is late because of us
  if (connection.deadline_tick == 0) {
    UnreadStarted(connection);
  }
}

void Port::Release(Connection& connection) {
  connection.held = false;
  if (connection.unread_pending && !connection.ended) {
    connection.unread_pending = false;
    connection.deadline_tick = 0;
  }
  if (connection.partial_block != kNoIndex) {
    FrameStarted(connection);
  }
}

void Port::Park(Connection& connection, absl::Span<const std::byte> bytes) {
  Parked& parked = parked_[connection.slot];
  parked.bytes.insert(parked.bytes.end(), bytes.begin(), bytes.end());
}

// As many of the bytes parked first as `into` takes.
size_t Port::TakeParked(Connection& connection, absl::Span<std::byte> into) {
  const auto found = parked_.find(connection.slot);
  if (found == parked_.end()) {
    return 0;
  }
  Parked& parked = found->second;
  const size_t taken = std::min(into.size(), parked.bytes.size() - parked.taken);
  std::memcpy(into.data(), parked.bytes.data() + parked.taken, taken);
  parked.taken += taken;
  if (parked.taken == parked.bytes.size()) {
    parked_.erase(found);
  }
  return taken;
}

// ---- moving ----

bool Port::MoveOut(Connection& connection) {
  Check(connection.bulk && connection.waits, "only a bulk connection that waits is moved");
  if (connection.state != ConnectionState::kOpen || connection.ended || HasUnsent(connection)) {
    return false;
  }
  connection.moves = true;
  if (connection.held && !connection.starved) {  // its receive has ended already; else the set goes on when it has
    connection.starved = true;
    starved_.push_back(connection.slot);
  }
  return true;
}

void Port::MoveIn(MovedSocket socket, uint64_t ticket) {
  arrivals_.push_back(std::make_unique<Arrival>(Arrival{.socket = std::move(socket), .ticket = ticket}));
}

// What a frame has of its start came first, then what is parked.
void Port::CopyUnread(Connection& connection, MovedSocket& into) {
  if (connection.partial_block != kNoIndex) {
    const PartialBlock& partial = Partial(connection);
    into.KeepUnread({partial.bytes, partial.length});
  }
  if (const auto found = parked_.find(connection.slot); found != parked_.end()) {
    into.KeepUnread(absl::MakeConstSpan(found->second.bytes).subspan(found->second.taken));
  }
}

// ---- half-closed ----

void Port::PeerEnded(Connection& connection) {
  if (connection.state != ConnectionState::kOpen) {
    return;
  }
  connection.ended = true;
  EndIfPaid(connection);
  if (connection.state == ConnectionState::kOpen) {
    FrameCompleted(connection);  // what is partial stays so
    UnreadStarted(connection);
  }
}

void Port::EndIfPaid(Connection& connection) {
  if (connection.ended && connection.owed == 0 && !HasParked(connection)) {
    CloseAfterFlush(connection, CloseReason::kPeer);
  }
}

void Port::Paid(Connection& connection, uint32_t answers) {
  connection.owed = static_cast<uint16_t>(connection.owed - answers);
  if (connection.ended) {
    TookSome(connection);
    EndIfPaid(connection);
  }
  WakeIfRoom(connection);
}

// ---- bulk ----

bool Port::MakeBulk(Connection& connection) {
  if (connection.state != ConnectionState::kOpen || bulk_live_ == options_.bulk.connections) {
    return false;
  }
  Check(!connection.bulk, "a connection becomes bulk once");
  connection.bulk = true;
  ++bulk_live_;
  switching_.push_back(connection.slot);
  return true;
}

void Port::Resume(Connection& connection, absl::Span<const std::byte> unread) {
  connection.waits = false;
  if (connection.state != ConnectionState::kOpen) {
    return;
  }
  if (!unread.empty()) {
    Check(unread.size() < kFrameBytesMax && connection.partial_block == kNoIndex, "what is unread is the start of one frame");
    PartialBlock& partial = Partial(connection);
    partial.length = static_cast<uint32_t>(unread.size());
    std::memcpy(partial.bytes, unread.data(), unread.size());
    FrameStarted(connection);
  }
  WakeIfRoom(connection);
}

// None of its blocks is in use any more.
void Port::EndBulk(Connection& connection) {
  if (connection.bulk) {
    connection.bulk = false;
    --bulk_live_;
  }
}

void Port::MarkDirty(Connection& connection) {
  if (!connection.dirty) {
    connection.dirty = true;
    dirty_.push_back(connection.slot);
  }
}

// ---- partial frames ----

Port::PartialBlock& Port::Partial(Connection& connection) {
  if (connection.partial_block == kNoIndex) {
    connection.partial_block = partials_.Take();
    reinterpret_cast<PartialBlock*>(partials_.Data(connection.partial_block))->length = 0;
  }
  return *reinterpret_cast<PartialBlock*>(partials_.Data(connection.partial_block));
}

void Port::GivePartialBlock(Connection& connection) {
  if (connection.partial_block != kNoIndex) {
    partials_.Give(connection.partial_block);
    connection.partial_block = kNoIndex;
  }
}

// ---- deadlines ----

uint32_t Port::TicksFor(uint32_t milliseconds) const {
  return milliseconds / DeadlineWheel::kTickMs + (milliseconds % DeadlineWheel::kTickMs != 0 ? 1 : 0);
}

void Port::SetHardDeadline(Connection& connection, uint32_t milliseconds) {
  connection.deadline_tick = milliseconds == 0 ? 0 : now_tick_ + std::max(1u, TicksFor(milliseconds));
  const uint32_t next = NextLook(connection);
  if (next != 0 && (connection.deadline_tick != 0 || !connection.in_wheel)) {
    wheel_.Schedule(connection, next);
  }
}

// From now on the peer has to take some of what is unsent, again and again.
void Port::UnreadStarted(Connection& connection) {
  connection.unread_pending = true;
  SetHardDeadline(connection, options_.unsent_deadline_ms);
}

void Port::TookSome(Connection& connection) {
  if (connection.held) {
    connection.last_receive_tick = now_tick_;  // it cannot send, but it reads
  }
  if (connection.unread_pending) {  // later only, so the wheel need not know
    connection.deadline_tick = now_tick_ + std::max(1u, TicksFor(options_.unsent_deadline_ms));
  }
}

void Port::FrameStarted(Connection& connection) {
  // Counted from the first byte of the frame: one byte a second does not help.
  if (connection.deadline_tick == 0 && options_.frame_deadline_ms != 0) {
    connection.frame_pending = true;
    SetHardDeadline(connection, options_.frame_deadline_ms);
  } else if (FrameBeforeLogin(connection) && FrameSilentAt(connection) < connection.deadline_tick) {
    wheel_.Schedule(connection, NextLook(connection));
  }
}

// It has sent, and there was no buffer for what it sent: it is not idle, nor late with the rest of a frame or with its login,
// until it is asked again, a turn later. No longer: a peer that makes buffers short for a moment must not gain a whole deadline.
void Port::WaitsForUs(Connection& connection) {
  connection.last_receive_tick = now_tick_;
  const bool late_with_input = connection.state == ConnectionState::kOpen && !connection.unread_pending;
  if (late_with_input && connection.deadline_tick != 0) {  // later only, so the wheel need not know
    connection.deadline_tick = std::max(connection.deadline_tick, now_tick_ + kTicksToAskAgain);
  }
}

void Port::FrameCompleted(Connection& connection) {
  if (connection.frame_pending) {
    connection.frame_pending = false;
    connection.deadline_tick = 0;
  }
}

// The earliest of the deadlines that apply; 0 = none does.
uint32_t Port::NextLook(const Connection& connection) const {
  uint32_t next = connection.deadline_tick;
  // A connection that connects, flushes, or whose peer has sent its last byte, is not idle: its hard deadline bounds it.
  const bool may_idle = connection.deadline_tick == 0 || (connection.state == ConnectionState::kOpen && !connection.ended);
  if (options_.idle_timeout_ms != 0 && may_idle) {
    const uint32_t idle_at = connection.last_receive_tick + std::max(1u, TicksFor(options_.idle_timeout_ms));
    next = next == 0 ? idle_at : std::min(next, idle_at);
  }
  if (FrameBeforeLogin(connection)) {
    next = std::min(next, FrameSilentAt(connection));
  }
  return next;
}

// A frame has begun before the first message came: the login's deadline is the one that is kept, from the connection's start. So
// the frame's is counted from its last byte; that a byte now and then would move it does not matter, as the login's stands.
bool Port::FrameBeforeLogin(const Connection& connection) {
  return connection.state == ConnectionState::kOpen && connection.partial_block != kNoIndex && connection.deadline_tick != 0 &&
         !connection.frame_pending && !connection.unread_pending;
}

uint32_t Port::FrameSilentAt(const Connection& connection) const {
  return connection.last_receive_tick + std::max(1u, TicksFor(options_.frame_deadline_ms));
}

void Port::Expire(uint32_t tick) {
  now_tick_ = tick;
  wheel_.Advance(tick, [this](Connection& connection) { Look(connection); });
}

void Port::Look(Connection& connection) {
  if (connection.state == ConnectionState::kFree || connection.state == ConnectionState::kClosing) {
    return;
  }
  // It waits for us (its answers are not made yet), not we for it.
  if (connection.held && !connection.ended && !HasUnsent(connection)) {
    TookSome(connection);
  }
  const uint32_t next = NextLook(connection);
  if (next == 0 || now_tick_ < next) {
    if (next != 0) {
      wheel_.Schedule(connection, next);
    }
    return;
  }
  Close(connection, PassedDeadline(connection));
}

CloseReason Port::PassedDeadline(const Connection& connection) const {
  if (connection.deadline_tick == 0 || now_tick_ < connection.deadline_tick) {
    const bool frame = FrameBeforeLogin(connection) && now_tick_ >= FrameSilentAt(connection);
    return frame ? CloseReason::kFrameDeadline : CloseReason::kIdle;
  }
  if (connection.frame_pending) {
    return CloseReason::kFrameDeadline;
  }
  if (connection.ended) {
    return CloseReason::kPeer;
  }
  return connection.unread_pending ? CloseReason::kUnsentBytes : CloseReason::kLoginDeadline;
}

}  // namespace hongbao::net
