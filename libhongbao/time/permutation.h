// Permutation: which user the fleet's i-th request of a round belongs to, the same on every machine.
//
// perm(i) = (a * i + b) mod total, gcd(a, total) = 1, a near total times the golden ratio, so that neighbours in time
// are far apart in the user space and every contiguous range of users gets an even share of every second. Everything
// follows from `total` (and `offset`): nothing is stored, nothing is exchanged.
// Thread tag: thread-safe (immutable).
#pragma once

#include <cstdint>

#include "libhongbao/time/reciprocal.h"

namespace hongbao::time {

class Permutation {
 public:
  static constexpr uint64_t kTotalMax = uint64_t{1} << 32;

  // `total` in 1..2^32 users; `offset` is b, any value (taken mod total).
  explicit Permutation(uint64_t total, uint64_t offset = 0);

  uint64_t total() const { return total_; }
  uint64_t multiplier() const { return multiplier_; }

  // User of position `i` < total. No overflow: with a, i, b < 2^32 the largest a*i+b is 2^64 - 2^32.
  uint32_t UserAt(uint64_t i) const { return static_cast<uint32_t>(modulo_.Remainder(multiplier_ * i + offset_)); }
  // Position of `user` < total: the inverse of UserAt.
  uint32_t PositionOf(uint64_t user) const {
    const uint64_t shifted = user >= offset_ ? user - offset_ : user + total_ - offset_;
    return static_cast<uint32_t>(inverse_ * shifted % total_);
  }

 private:
  uint64_t total_;
  Reciprocal modulo_;  // of total_
  uint64_t multiplier_;
  uint64_t inverse_;  // of multiplier_ mod total_
  uint64_t offset_;
};

}  // namespace hongbao::time
