// Random: the stream of random numbers that money is drawn from.
//
// Owns a ChaCha20 key stream (RFC 8439 block function, 64-bit block counter): whoever sees amounts cannot work out the
// next ones, so nobody can choose the moment to open. One per worker, so drawing needs no lock; seeded by the kernel in
// service and by a number in tests. Never biased: bounded draws reject (Lemire, "Fast Random Integer Generation in an
// Interval", 2019).
// Thread tag: worker-local.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/numeric/int128.h"
#include "libhongbao/check.h"

namespace hongbao::envelope {

class Random {
 public:
  using Key = std::array<uint32_t, 8>;

  // `stream`: one of 2^64 streams of the same key that have nothing in common.
  explicit Random(const Key& key, uint64_t stream = 0) : key_(key), stream_(stream) {}

  // A key from getrandom(2). Aborts when the kernel refuses: no money is drawn from a guessable stream.
  static Key SystemKey();
  // The same numbers for the same seed and stream, for ever: tests and repeatable runs only.
  static Key SeedKey(uint64_t seed, uint64_t stream = 0);

  static Random FromSystem() { return Random(SystemKey()); }
  static Random FromSeed(uint64_t seed, uint64_t stream = 0) { return Random(SeedKey(seed, stream)); }

  uint64_t Next() {
    if (used_ == block_.size()) Refill();
    return block_[used_++];
  }

  // Uniform over 0 .. bound-1, bound >= 1.
  uint64_t Below(uint64_t bound) {
    Check(bound >= 1, "a draw has at least one outcome");
    absl::uint128 product = absl::uint128(Next()) * bound;
    if (absl::Uint128Low64(product) < bound) [[unlikely]] {
      const uint64_t threshold = (0 - bound) % bound;  // 2^64 mod bound: this many low parts belong to no whole share
      while (absl::Uint128Low64(product) < threshold) product = absl::uint128(Next()) * bound;
    }
    return absl::Uint128High64(product);
  }

  // Uniform over low .. high, both included; high - low < 2^64 - 1.
  int64_t Between(int64_t low, int64_t high) {
    Check(low <= high, "a range of amounts is not empty");
    const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    return static_cast<int64_t>(static_cast<uint64_t>(low) + Below(span + 1));
  }

 private:
  void Refill();

  Key key_;
  uint64_t stream_;
  uint64_t block_number_ = 0;
  std::array<uint64_t, 8> block_{};
  size_t used_ = 8;
};

}  // namespace hongbao::envelope
