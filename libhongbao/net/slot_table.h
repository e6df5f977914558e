// SlotTable: the connections of one set, by slot.
//
// Owns the Connection records and, on the connect side, which slots are free (on the accept side the kernel chooses).
// Never touches the kernel. A slot is opened only when nothing of its former connection is in flight.
// Thread tag: worker-local.
#pragma once

#include <cstdint>

#include "libhongbao/check.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/net/lazy_array.h"
#include "libhongbao/ring/tag.h"

namespace hongbao::net {

class SlotTable {
 public:
  explicit SlotTable(uint32_t slots) : connections_(slots), free_(slots) {}

  uint32_t size() const { return static_cast<uint32_t>(connections_.size()); }
  Connection& operator[](uint32_t slot) { return connections_[slot]; }

  // Starts a new connection in `slot`: the former's record is wiped, the generation goes on.
  Connection& Open(uint32_t slot, ConnectionState state) {
    Connection& connection = connections_[slot];
    Check(connection.state == ConnectionState::kFree, "a slot was opened that is still in use");
    const uint32_t generation = ring::NextGeneration(connection.generation);
    connection = Connection{.slot = slot, .generation = generation, .state = state};
    ++in_use_;
    return connection;
  }

  void Free(Connection& connection) {
    connection.state = ConnectionState::kFree;
    --in_use_;
  }
  uint32_t in_use() const { return in_use_; }

  // ---- connect side with direct descriptors: we choose the slot ----
  // kNoIndex when all are taken.
  uint32_t TakeFree() {
    if (free_count_ > 0) {
      return free_[--free_count_];
    }
    return touched_ < size() ? touched_++ : kNoIndex;
  }
  void GiveFree(uint32_t slot) { free_[free_count_++] = slot; }

 private:
  LazyArray<Connection> connections_;
  LazyArray<uint32_t> free_;
  uint32_t free_count_ = 0;
  uint32_t touched_ = 0;
  uint32_t in_use_ = 0;  // slots that are not free
};

}  // namespace hongbao::net
