// PortTester: what a test may see and do of a Port's inside.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "libhongbao/net/port.h"

namespace hongbao::net {

class PortTester {
 public:
  static Connection& At(Port& port, uint32_t slot) { return port.table_[slot]; }
  static Connection& Open(Port& port, uint32_t slot) { return port.OpenSlot(slot, ConnectionState::kOpen); }
  static void Expire(Port& port, uint32_t tick) { port.Expire(tick); }
  static uint32_t PartialBlocks(const Port& port) { return port.partials_.in_use(); }
  static uint32_t ReplyBlocks(const Port& port) {
    return port.small_replies_.in_use() + port.large_replies_.in_use() + port.bulk_replies_.in_use();
  }
  static size_t Dials(const Port& port) { return port.dials_.size(); }
  static size_t Closing(const Port& port) { return port.closing_.size(); }
  // What a set does at the end of a turn, without a ring: the bytes that were appended leave.
  static std::vector<std::byte> TakeReplies(Port& port, Connection& connection) {
    std::vector<std::byte> bytes;
    if (connection.pending_block != kNoIndex) {
      Port::ReplyBlock& block = port.Block(connection.pending_block);
      bytes.assign(block.bytes(), block.bytes() + block.length);
      port.GiveReplyBlock(connection.pending_block);
    }
    if (connection.dirty) {
      connection.dirty = false;
      std::erase(port.dirty_, connection.slot);
    }
    return bytes;
  }
  // The slot is free again, as when the kernel has let go. Only for ports without deadlines.
  static void Free(Port& port, Connection& connection) {
    TakeReplies(port, connection);
    std::erase(port.closing_, connection.slot);
    std::erase(port.switching_, connection.slot);
    port.EndBulk(connection);
    port.table_.Free(connection);
  }
  static std::vector<std::unique_ptr<Arrival>> TakeArrivals(Port& port) { return std::exchange(port.arrivals_, {}); }
  // True when no slot is in use, no block is held and nothing waits to be done.
  static bool Quiet(Port& port) {
    for (uint32_t slot = 0; slot < port.slots(); ++slot) {
      if (port.table_[slot].state != ConnectionState::kFree || port.table_[slot].in_wheel) {
        return false;
      }
    }
    return port.live() == 0 && port.slots_in_use() == 0 && PartialBlocks(port) == 0 && ReplyBlocks(port) == 0 &&
           port.dirty_.empty() && port.starved_.empty() && port.closing_.empty() && port.dials_.empty() &&
           port.switching_.empty() && port.parked_.empty() && port.arrivals_.empty() && port.bulk_live_ == 0;
  }
};

}  // namespace hongbao::net
