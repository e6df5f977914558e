#include "libhongbao/time/permutation.h"

#include <numeric>

#include "libhongbao/check.h"

namespace hongbao::time {
namespace {

// 2^32 / golden ratio, rounded.
constexpr uint64_t kGolden32 = 0x9E3779B9;

// The number nearest to total / golden ratio that is coprime to total, in 1..total-1; 0 for total 1.
uint64_t ChooseMultiplier(uint64_t total) {
  if (total == 1) {
    return 0;
  }
  const uint64_t wanted = total * kGolden32 >> 32;  // below 2^64: total <= 2^32
  for (uint64_t distance = 0;; ++distance) {        // ends: 1 is coprime to everything
    if (wanted + distance < total && std::gcd(wanted + distance, total) == 1) {
      return wanted + distance;
    }
    if (wanted > distance && std::gcd(wanted - distance, total) == 1) {
      return wanted - distance;
    }
  }
}

// x with a * x = 1 (mod total), by the extended Euclidean algorithm.
uint64_t Inverse(uint64_t a, uint64_t total) {
  if (total == 1) {
    return 0;
  }
  int64_t remainder = static_cast<int64_t>(total), next_remainder = static_cast<int64_t>(a);
  int64_t factor = 0, next_factor = 1;
  while (next_remainder != 0) {
    const int64_t quotient = remainder / next_remainder;
    const int64_t new_remainder = remainder - quotient * next_remainder;
    remainder = next_remainder;
    next_remainder = new_remainder;
    const int64_t new_factor = factor - quotient * next_factor;
    factor = next_factor;
    next_factor = new_factor;
  }
  Check(remainder == 1, "the permutation's multiplier is coprime to its total");
  return static_cast<uint64_t>(factor < 0 ? factor + static_cast<int64_t>(total) : factor);
}

}  // namespace

Permutation::Permutation(uint64_t total, uint64_t offset) : total_(total) {
  Check(total >= 1 && total <= kTotalMax, "a permutation has 1..2^32 members");
  modulo_ = Reciprocal(total);
  multiplier_ = ChooseMultiplier(total);
  inverse_ = Inverse(multiplier_, total);
  offset_ = offset % total;
}

}  // namespace hongbao::time
