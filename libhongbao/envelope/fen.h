// Fen: an amount of money, in fen (1/100 yuan), as a type of its own.
//
// Owns the arithmetic of money: an overflow aborts, in release builds too, and there is no way in or out but by name,
// so fen never mixes with counts, ids or floating point. May be negative in between (differences); what goes on the
// wire may not (ToWire). Never rounds: there is no division.
// Thread tag: thread-compatible.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "libhongbao/check.h"

namespace hongbao::envelope {

class Fen {
 public:
  constexpr Fen() = default;

  // From a count of fen. Only integers, and only those that fit (a uint64_t above INT64_MAX aborts).
  template <std::integral T>
  requires(!std::same_as<T, bool>) explicit constexpr Fen(T fen) : fen_(static_cast<int64_t>(fen)) {
    if constexpr (std::is_unsigned_v<T> && sizeof(T) == sizeof(int64_t)) {
      Check(fen <= static_cast<T>(std::numeric_limits<int64_t>::max()), "an amount fits in 63 bits");
    }
  }
  explicit Fen(std::floating_point auto) = delete;

  constexpr int64_t value() const { return fen_; }

  // The amount as the wire carries it. Aborts when it is negative or does not fit: a wrong amount must never leave.
  uint32_t ToWire() const {
    Check(fen_ >= 0 && fen_ <= std::numeric_limits<uint32_t>::max(), "an amount on the wire is 0..2^32-1 fen");
    return static_cast<uint32_t>(fen_);
  }

  Fen& operator+=(Fen other) {
    Check(!__builtin_add_overflow(fen_, other.fen_, &fen_), "a sum of money fits in 63 bits");
    return *this;
  }
  Fen& operator-=(Fen other) {
    Check(!__builtin_sub_overflow(fen_, other.fen_, &fen_), "a difference of money fits in 63 bits");
    return *this;
  }
  friend Fen operator+(Fen a, Fen b) { return a += b; }
  friend Fen operator-(Fen a, Fen b) { return a -= b; }
  friend constexpr auto operator<=>(Fen, Fen) = default;

 private:
  int64_t fen_ = 0;
};

static_assert(sizeof(Fen) == sizeof(int64_t) && std::is_trivially_copyable_v<Fen>);

// In yuan, exact: "12.34", "0.05", "-1.00".
std::string ToYuan(Fen amount);

}  // namespace hongbao::envelope
