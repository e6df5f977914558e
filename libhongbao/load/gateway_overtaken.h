// GatewayOvertaken: requests that are older than one that has been answered, by their stamps.
//
// Owns a table with open addressing, as large as twice what it may hold, so that a search is short. Never allocates
// after construction; that it is never asked to hold more is its owner's promise (gateway_window.h).
// Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "libhongbao/net/lazy_array.h"

namespace hongbao::load {

struct GatewayRequest {
  uint64_t stamp = 0;  // never 0
  uint32_t user = 0;
  // Bit 31: its latency is a sample. Below: how much the stamp is above the due time, in 1.024 us; with bit 30, which a clock
  // that was set back by more than 18 minutes needs until it has caught up, in 1.05 ms.
  uint32_t mark = 0;

  static constexpr uint32_t kSample = 1u << 31;
  static constexpr uint32_t kCoarse = 1u << 30;

  // `stamp` >= `due_ns` (agreed time); the difference saturates at 13 days.
  static GatewayRequest Of(uint64_t stamp, int64_t due_ns, uint32_t user) {
    const uint64_t lag = (stamp - static_cast<uint64_t>(due_ns)) >> 10;
    if (lag < kCoarse) [[likely]] {
      return {stamp, user, static_cast<uint32_t>(lag)};
    }
    return {stamp, user, static_cast<uint32_t>(std::min<uint64_t>(lag >> 10, kCoarse - 1)) | kCoarse};
  }
  bool sample() const { return (mark & kSample) != 0; }
  // Exact when the stamp is the due time, as nearly always; else at most a microsecond late (kCoarse: a millisecond).
  int64_t due_ns() const {
    return static_cast<int64_t>(stamp) - (int64_t{mark & (kCoarse - 1)} << ((mark & kCoarse) == 0 ? 10 : 20));
  }
};
static_assert(sizeof(GatewayRequest) == 16, "four requests a cache line");

// A request as it leaves the window, or waits beside it.
struct GatewayAnswered {
  GatewayRequest request{};
  int64_t sent_ns = 0;  // of a sample: when it was sent first, monotonic; 0 = not known any more
};

class GatewayOvertaken {
 public:
  // `capacity`: at most so many at a time.
  explicit GatewayOvertaken(uint64_t capacity) : mask_(2 * std::bit_ceil(capacity) - 1), table_(mask_ + 1) {}

  uint32_t size() const { return size_; }

  void Add(const GatewayAnswered& one) {
    table_[PlaceOf(one.request.stamp)] = one;
    ++size_;
  }

  // False when there is none of that stamp and user.
  bool Take(uint64_t stamp, uint32_t user, GatewayAnswered& taken) {
    if (size_ == 0 || stamp == 0) return false;
    uint64_t hole = PlaceOf(stamp);
    if (table_[hole].request.stamp != stamp || table_[hole].request.user != user) return false;
    taken = table_[hole];
    --size_;
    // Whoever stands behind the hole and does not belong behind it moves up, so that no search ends too early.
    for (uint64_t at = (hole + 1) & mask_; table_[at].request.stamp != 0; at = (at + 1) & mask_) {
      const uint64_t home = HomeOf(table_[at].request.stamp);
      if (((at - home) & mask_) >= ((at - hole) & mask_)) {
        table_[hole] = table_[at];
        hole = at;
      }
    }
    table_[hole] = {};
    return true;
  }

  // Takes all, in the order of their stamps: each(one). Looks at the whole table: for the end of a connection.
  template <class Each>
  void TakeAll(Each each) {
    size_t count = 0;
    for (uint64_t at = 0; count < size_; ++at) {
      if (table_[at].request.stamp != 0) std::swap(table_[count++], table_[at]);  // what lies before `at` is gathered or free
    }
    std::sort(table_.data(), table_.data() + count,
              [](const GatewayAnswered& a, const GatewayAnswered& b) { return a.request.stamp < b.request.stamp; });
    for (size_t i = 0; i < count; ++i) each(std::exchange(table_[i], {}));
    size_ = 0;
  }

 private:
  // Where `stamp` is in the table, or the free place where it belongs. At most half of the places are taken.
  uint64_t PlaceOf(uint64_t stamp) const {
    uint64_t at = HomeOf(stamp);
    while (table_[at].request.stamp != 0 && table_[at].request.stamp != stamp) at = (at + 1) & mask_;
    return at;
  }
  // Fibonacci hashing: the high bits are the mixed ones.
  uint64_t HomeOf(uint64_t stamp) const { return (stamp * 0x9e37'79b9'7f4a'7c15 >> 32) & mask_; }

  const uint64_t mask_;
  net::LazyArray<GatewayAnswered> table_;
  uint32_t size_ = 0;
};

}  // namespace hongbao::load
