#include "libhongbao/envelope/amounts.h"

#include <algorithm>
#include <utility>

#include "libhongbao/check.h"

namespace hongbao::envelope {

void Amounts::Draw(int64_t chunk) {
  const auto size = static_cast<size_t>(std::min(kChunk, count_ - chunk * kChunk));
  Random random(key_, static_cast<uint64_t>(chunk) + 1);
  fen_.resize(size);
  chunk_ = chunk;
  if (size < kChunk) {
    for (uint32_t& fen : fen_) {
      fen = static_cast<uint32_t>(random.Between(min_fen_, max_fen_));
    }
    return;
  }
  for (size_t i = 0; i < size; i += 2) {
    fen_[i] = static_cast<uint32_t>(random.Between(min_fen_, max_fen_));
    fen_[i + 1] = static_cast<uint32_t>(min_fen_ + max_fen_ - fen_[i]);
  }
  for (size_t i = size - 1; i > 0; --i) {  // Fisher-Yates
    std::swap(fen_[i], fen_[random.Below(i + 1)]);
  }
}

Fen Amounts::At(int64_t place) {
  Check(place >= 0 && place < count_, "an order's places are 0..count-1");
  if (place / kChunk != chunk_) {
    Draw(place / kChunk);
  }
  return Fen(fen_[static_cast<size_t>(place % kChunk)]);
}

Fen Amounts::Total() {
  const int64_t whole = count_ / kChunk;
  Fen total(whole * (kChunk / 2) * (min_fen_ + max_fen_));
  if (count_ % kChunk != 0) {
    Draw(whole);
    for (const uint32_t fen : fen_) {
      total += Fen(fen);
    }
  }
  return total;
}

}  // namespace hongbao::envelope
