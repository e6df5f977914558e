// Port: one set's connections as the application sees them.
//
// Owns the slot table, the blocks for partial frames and for replies, the deadline wheel, and the lists of what the set
// has to do at the end of the turn. Never touches the ring (net/set.h does) and never knows what the bytes mean.
// Thread tag: worker-local.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "libhongbao/address.h"
#include "libhongbao/net/block_pool.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/net/deadline_wheel.h"
#include "libhongbao/net/moved_socket.h"
#include "libhongbao/net/port_options.h"
#include "libhongbao/net/replies.h"
#include "libhongbao/net/slot_table.h"

namespace hongbao::net {

// A complete frame is at most this long, so what is left over of one is shorter.
inline constexpr uint32_t kFrameBytesMax = 256;

class Port {
 public:
  Port(uint32_t index, const PortOptions& options);

  // ---- for applications ----
  uint32_t index() const { return index_; }  // which of its worker's ports, from 0
  uint32_t slots() const { return options_.slots; }
  uint32_t live() const { return live_; }                    // connections that OnOpen was called for and OnClose was not
  uint32_t slots_in_use() const { return table_.in_use(); }  // live, connecting, or not let go by the kernel yet

  // The connection if it is still that one and open, else null.
  Connection* Find(ConnectionId id);
  static ConnectionId IdOf(const Connection& connection) { return {connection.slot, connection.generation}; }

  // Bytes to a connection from outside OnBytes. To one that is closing they go nowhere.
  Replies Out(Connection& connection) { return Replies(*this, connection); }

  // Ends it: bytes not sent yet are dropped, OnClose follows in this turn. The first reason stays.
  void Close(Connection& connection, CloseReason reason);
  // Ends it once all that was appended so far has left (bounded by the frame deadline). Receives nothing more.
  void CloseAfterFlush(Connection& connection, CloseReason reason);

  // `answers` more come from elsewhere (another worker, a ledger). Until each was Paid the connection has to stay: what it
  // receives leaves room for them, and when its peer sends no more it is closed only after the last.
  void Owe(Connection& connection, uint32_t answers) { connection.owed = static_cast<uint16_t>(connection.owed + answers); }
  // So many have been appended, or will never be. May come before their Owe in the same OnBytes.
  void Paid(Connection& connection, uint32_t answers = 1);
  // Whether `bytes` that nobody waits for have room beside all that is owed.
  bool HasSpareRoom(const Connection& connection, size_t bytes);

  // From now on the connection is a bulk one (BulkOptions). False: the port has no room for one more.
  bool MakeBulk(Connection& connection);

  // Receives nothing more from a bulk connection, until Resume: the application is not ready for it.
  void Wait(Connection& connection) { connection.waits = true; }
  // `unread`, the start of a frame, comes again with what follows it.
  void Resume(Connection& connection, absl::Span<const std::byte> unread);

  // A bulk connection that waits (Wait) is to be another port's. False: it stays, as it has unsent bytes or its peer has ended.
  // Else one of the application's OnMovedOut and OnNotMoved follows when its receive has ended, or OnClose.
  bool MoveOut(Connection& connection);
  // Such a socket is to be this port's. The application's OnMovedIn follows, or OnNoPlace.
  void MoveIn(MovedSocket socket, uint64_t ticket);

  // The first message came in time: no login deadline any more.
  void ClearDeadline(Connection& connection);

  // For how long nothing has come, in steps of a tick (100 ms). Of an open connection, or one that OnClose is told of.
  int64_t SilentNs(const Connection& connection) const {
    return int64_t{now_tick_ - connection.last_receive_tick} * DeadlineWheel::kTickMs * 1'000'000;
  }

  // Connect side: opens a socket bound to `source` (none = the kernel chooses) and starts to connect. Returns its slot
  // (>= 0), or -errno when there was no socket to be had, ESHUTDOWN when the service drains. OnOpen or OnConnectFailed
  // follows.
  int32_t Connect(const SocketAddress& source, const SocketAddress& destination);

  // ---- for the worker ----
  // After the last turn: closes descriptors that would outlive the ring (regular ones).
  void AbandonDescriptors();

 private:
  template <class RingT, class App>
  friend class Set;
  friend class PortTester;
  friend class Replies;

  struct ReplyBlock {
    uint32_t length;  // bytes in it
    uint32_t sent;    // of them, already taken by the kernel
    std::byte* bytes() { return reinterpret_cast<std::byte*>(this + 1); }
  };
  struct PartialBlock {
    uint32_t length;
    std::byte bytes[2 * kFrameBytesMax];  // the start of a frame and enough to complete it
  };
  struct Dial {
    uint32_t slot;
    int descriptor;
    SocketAddress destination;
  };
  static constexpr uint32_t kTicksToAskAgain = 3;  // a turn, and at most one tick counts a turn
  // In a block index: of which pool.
  static constexpr uint32_t kLarge = 1u << 31;
  static constexpr uint32_t kBulk = 1u << 30;
  static constexpr uint32_t kClass = kLarge | kBulk;

  void StartClose(Connection& connection, CloseReason reason);
  std::byte* AppendBytes(Connection& connection, size_t size);
  size_t Room(const Connection& connection);
  // Whether the answers to one more full buffer have room, beside those that are owed.
  bool HasRoom(const Connection& connection) {
    const bool nothing_to_leave = !HasUnsent(connection) && connection.owed == 0;
    return (nothing_to_leave && !connection.bulk) || HasRoomBeside(connection);
  }
  bool HasRoomBeside(const Connection& connection);
  void Hold(Connection& connection);
  void Release(Connection& connection);
  void WakeIfRoom(Connection& connection) {
    if (connection.held) {
      WakeHeldIfRoom(connection);
    }
  }
  void WakeHeldIfRoom(Connection& connection);
  void Park(Connection& connection, absl::Span<const std::byte> bytes);
  bool HasParked(const Connection& connection) const { return connection.held && parked_.contains(connection.slot); }
  size_t TakeParked(Connection& connection, absl::Span<std::byte> into);
  void CopyUnread(Connection& connection, MovedSocket& into);
  static bool HasUnsent(const Connection& connection) {
    return connection.pending_block != kNoIndex || connection.sending_block != kNoIndex;
  }
  void PeerEnded(Connection& connection);
  void EndIfPaid(Connection& connection);
  void UnreadStarted(Connection& connection);
  void TookSome(Connection& connection);
  void WaitsForUs(Connection& connection);
  void EndBulk(Connection& connection);
  BlockPool& PoolOf(uint32_t index);
  ReplyBlock& Block(uint32_t index) { return *reinterpret_cast<ReplyBlock*>(PoolOf(index).Data(index & ~kClass)); }
  uint32_t CapacityOf(uint32_t index);
  uint32_t TakeReplyBlock(uint32_t block_class);
  void GiveReplyBlock(uint32_t& index);
  PartialBlock& Partial(Connection& connection);
  void GivePartialBlock(Connection& connection);
  void MarkDirty(Connection& connection);
  Connection& OpenSlot(uint32_t slot, ConnectionState state);
  uint32_t TicksFor(uint32_t milliseconds) const;
  void SetHardDeadline(Connection& connection, uint32_t milliseconds);
  void FrameStarted(Connection& connection);
  void FrameCompleted(Connection& connection);
  uint32_t NextLook(const Connection& connection) const;
  static bool FrameBeforeLogin(const Connection& connection);
  uint32_t FrameSilentAt(const Connection& connection) const;
  CloseReason PassedDeadline(const Connection& connection) const;
  void Expire(uint32_t tick);
  void Look(Connection& connection);

  uint32_t index_;
  PortOptions options_;
  uint32_t live_ = 0;
  uint32_t now_tick_ = 0;
  bool draining_ = false;
  uint32_t bulk_live_ = 0;
  SlotTable table_;
  DeadlineWheel wheel_;
  BlockPool partials_;
  BlockPool small_replies_;
  BlockPool large_replies_;
  BlockPool bulk_replies_;
  // At most one entry per slot each, so they are sized once.
  std::vector<uint32_t> dirty_;
  std::vector<uint32_t> starved_;
  std::vector<uint32_t> closing_;
  std::vector<Dial> dials_;
  std::vector<uint32_t> switching_;                 // their receives into small buffers are to be cancelled
  std::vector<std::unique_ptr<Arrival>> arrivals_;  // the set has not seen them yet
  // What the kernel had handed over of a held connection before its receive ended: at most the set's receive buffers.
  struct Parked {
    std::vector<std::byte> bytes{};
    size_t taken = 0;
  };
  absl::flat_hash_map<uint32_t, Parked> parked_;  // by slot
  alignas(8) std::byte scratch_[kFrameBytesMax];  // where bytes for a connection over its cap go
};

}  // namespace hongbao::net
