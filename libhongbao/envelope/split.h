// The split of a gift: exact double mean ("红包二倍均值"), drawn one share at a time, at the moment of opening.
//
// Owns the rule and nothing else. With R = left - shares (one fen is kept back for every share still to draw):
//   last share: all that is left; otherwise 1 + x, x uniform over 0..hi, hi = 2R/k rounded up or down at random with
//   the odds that make E[hi] = 2R/k exactly.
// So E[share] = left / shares for every position, every share is at least 1 fen, the sum is exact, and no clamp or
// rounding favours anybody. (hi <= R for k >= 2: with k = 2 nothing is rounded; with k >= 3, 2R/k + 1 <= R from R = 3
// on, and for R = 1, 2 the quotient rounds up to at most R.)
// Thread tag: worker-local (it draws from `random`).
#pragma once

#include <cstdint>

#include "libhongbao/check.h"
#include "libhongbao/envelope/fen.h"
#include "libhongbao/envelope/random.h"

namespace hongbao::envelope {

// The next share of an envelope that still holds `left` for `shares_left` openers. Needs shares_left >= 1 and
// left >= shares_left fen; the result keeps that true for the openers after this one.
inline Fen DrawShare(Fen left, uint32_t shares_left, Random& random) {
  Check(shares_left >= 1 && left.value() >= static_cast<int64_t>(shares_left), "a fen for every share still to draw");
  if (shares_left == 1) return left;
  const uint64_t rest = static_cast<uint64_t>(left.value()) - shares_left;
  const uint64_t quotient = 2 * rest / shares_left;  // rest < 2^63
  const uint64_t remainder = 2 * rest % shares_left;
  const uint64_t high = quotient + (random.Below(shares_left) < remainder ? 1 : 0);
  return Fen(1 + random.Below(high + 1));
}

}  // namespace hongbao::envelope
