#include "libhongbao/envelope/fen.h"

namespace hongbao::envelope {

std::string ToYuan(Fen amount) {
  // Through the unsigned magnitude: the smallest int64_t has no positive counterpart.
  const bool negative = amount.value() < 0;
  const uint64_t bits = static_cast<uint64_t>(amount.value());
  const uint64_t magnitude = negative ? 0 - bits : bits;
  const uint64_t fen = magnitude % 100;
  std::string text = negative ? "-" : "";
  text += std::to_string(magnitude / 100);
  text += fen < 10 ? ".0" : ".";
  text += std::to_string(fen);
  return text;
}

}  // namespace hongbao::envelope
