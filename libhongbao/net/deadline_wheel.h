// DeadlineWheel: one lazy hashed timer wheel per set, for login, frame and idle deadlines.
//
// Owns the heads of its lists; the links live in the connections. A message only stores `last_receive_tick`; when a
// connection's bucket comes round, its deadline is computed anew and a live one goes back in. So there is no list
// operation per message and no kernel timer per connection (Varghese and Lauck's hashed wheel, with lazy re-insertion).
// Never reads a clock: the tick is an argument. Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "libhongbao/net/connection.h"
#include "libhongbao/net/slot_table.h"

namespace hongbao::net {

class DeadlineWheel {
 public:
  static constexpr uint32_t kTickMs = 100;
  static constexpr uint32_t kBuckets = 4096;        // 409 s; a later deadline is looked at once in between
  static constexpr uint32_t kChecksPerTick = 4096;  // bounds the work of one call: the rest follows in the next

  explicit DeadlineWheel(SlotTable& table) : table_(table) { heads_.fill(kNoIndex); }

  // Puts it in, or moves it, to be looked at at `tick`.
  void Schedule(Connection& connection, uint32_t tick) {
    Remove(connection);
    // Never into the bucket that is being emptied, never a whole turn ahead.
    const uint32_t at = std::clamp(tick, current_ + 1, current_ + kBuckets - 1) % kBuckets;
    connection.wheel_next = heads_[at];
    connection.wheel_previous = kHead | at;
    if (heads_[at] != kNoIndex) {
      table_[heads_[at]].wheel_previous = connection.slot;
    }
    heads_[at] = connection.slot;
    connection.in_wheel = true;
  }

  void Remove(Connection& connection) {
    if (!connection.in_wheel) {
      return;
    }
    if (connection.wheel_next != kNoIndex) {
      table_[connection.wheel_next].wheel_previous = connection.wheel_previous;
    }
    if ((connection.wheel_previous & kHead) != 0) {
      heads_[connection.wheel_previous & ~kHead] = connection.wheel_next;
    } else {
      table_[connection.wheel_previous].wheel_next = connection.wheel_next;
    }
    connection.in_wheel = false;
  }

  // Takes out each connection whose bucket has come by `tick` and calls look(connection), which may Schedule it again.
  template <class Look>
  void Advance(uint32_t tick, Look&& look) {
    uint32_t checks = 0;
    while (checks < kChecksPerTick) {
      const uint32_t head = heads_[current_ % kBuckets];
      if (head != kNoIndex) {
        Connection& connection = table_[head];
        Remove(connection);
        look(connection);
        ++checks;
      } else if (current_ < tick) {
        ++current_;
      } else {
        return;
      }
    }
  }

  uint32_t current() const { return current_; }

 private:
  static constexpr uint32_t kHead = 1u << 31;  // in wheel_previous: not a slot, but the number of a bucket

  SlotTable& table_;
  uint32_t current_ = 0;  // the bucket of this tick may still hold connections; earlier ones are empty
  std::array<uint32_t, kBuckets> heads_;
};

}  // namespace hongbao::net
