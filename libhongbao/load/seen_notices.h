// SeenNotices: which gifts a user has been told of, so that a notice that comes twice is opened once and its money counted
// once.
//
// Owns two generations of a hash table of (user, envelope) pairs; when the newer is half full the older is forgotten, so
// memory is fixed and at least the newest `remembered` pairs are known. A notice is repeated only while its gift is
// unopened, and opens that wait for their answer are known to InFlight as well: forgetting an old one loses nothing.
// Never allocates after construction.
// Thread tag: worker-local.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "libhongbao/net/lazy_array.h"

namespace hongbao::load {

class SeenNotices {
 public:
  explicit SeenNotices(uint32_t remembered = 1 << 17)
      : mask_(std::bit_ceil(uint64_t{remembered} * 2) - 1), newer_(mask_ + 1), older_(mask_ + 1) {}

  // True the first time. `envelope_id` is never 0.
  bool Insert(uint32_t user, uint32_t envelope_id) {
    const uint64_t key = uint64_t{user} << 32 | envelope_id;
    if (older_[Find(older_, key)] == key) return false;
    const uint64_t at = Find(newer_, key);
    if (newer_[at] == key) return false;
    newer_[at] = key;
    if (++in_newer_ > (mask_ + 1) / 2) {
      std::swap(newer_, older_);
      std::memset(newer_.data(), 0, newer_.size() * sizeof(uint64_t));
      in_newer_ = 0;
    }
    return true;
  }

 private:
  // Where `key` is, or the free place where it belongs. At most half of the places are taken: there is a free one.
  uint64_t Find(const net::LazyArray<uint64_t>& table, uint64_t key) const {
    uint64_t at = (key * 0x9e37'79b9'7f4a'7c15 >> 20) & mask_;  // Fibonacci hashing: the high bits are the mixed ones
    while (table[at] != 0 && table[at] != key) at = (at + 1) & mask_;
    return at;
  }

  uint64_t mask_;
  net::LazyArray<uint64_t> newer_;
  net::LazyArray<uint64_t> older_;
  uint64_t in_newer_ = 0;
};

}  // namespace hongbao::load
