// Amounts: what each envelope of a shake order holds, as a function of the order's key and the envelope's place alone.
//
// Owns one chunk of 1,024 amounts. Each amount is uniform over the order's range. In a whole chunk the draws come in pairs that
// add up to min + max, and the chunk is shuffled: it holds exactly what 1,024 draws hold on average, and the sum of an order of
// any size is known without drawing it. What is left behind the last whole chunk is drawn freely: small orders are not bound at
// all. Any place can be asked for; places in order cost a draw and a half each. Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <vector>

#include "libhongbao/envelope/fen.h"
#include "libhongbao/envelope/random.h"

namespace hongbao::envelope {

class Amounts {
 public:
  static constexpr int64_t kChunk = 1'024;
  // An order may hold no more than this: the sums of a life of orders stay within 63 bits.
  static constexpr int64_t kTotalMaxFen = int64_t{1} << 62;

  // 1 <= min_fen <= max_fen <= 2^32 - 1; count >= 1.
  Amounts(const Random::Key& key, int64_t min_fen, int64_t max_fen, int64_t count)
      : key_(key), min_fen_(min_fen), max_fen_(max_fen), count_(count) {}

  // Of place 0..count-1.
  Fen At(int64_t place);
  // Of all places. count * max_fen is at most kTotalMaxFen.
  Fen Total();

 private:
  void Draw(int64_t chunk);

  Random::Key key_;
  int64_t min_fen_;
  int64_t max_fen_;
  int64_t count_;
  int64_t chunk_ = -1;  // that is in fen_
  std::vector<uint32_t> fen_;
};

}  // namespace hongbao::envelope
