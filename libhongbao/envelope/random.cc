#include "libhongbao/envelope/random.h"

#include <sys/random.h>

#include <bit>
#include <cerrno>

namespace hongbao::envelope {
namespace {

using State = std::array<uint32_t, 16>;

void QuarterRound(State& state, size_t a, size_t b, size_t c, size_t d) {
  state[a] += state[b];
  state[d] = std::rotl(state[d] ^ state[a], 16);
  state[c] += state[d];
  state[b] = std::rotl(state[b] ^ state[c], 12);
  state[a] += state[b];
  state[d] = std::rotl(state[d] ^ state[a], 8);
  state[c] += state[d];
  state[b] = std::rotl(state[b] ^ state[c], 7);
}

}  // namespace

Random::Key Random::SystemKey() {
  Key key{};
  size_t have = 0;
  while (have < sizeof key) {
    const ssize_t got = getrandom(reinterpret_cast<char*>(key.data()) + have, sizeof key - have, 0);
    if (got < 0 && errno == EINTR) continue;
    Check(got > 0, "the kernel gives random bytes (getrandom)");
    have += static_cast<size_t>(got);
  }
  return key;
}

Random::Key Random::SeedKey(uint64_t seed, uint64_t stream) {
  return {static_cast<uint32_t>(seed),
          static_cast<uint32_t>(seed >> 32),
          static_cast<uint32_t>(stream),
          static_cast<uint32_t>(stream >> 32),
          0,
          0,
          0,
          0};
}

void Random::Refill() {
  const State start = {0x61707865,
                       0x3320646e,
                       0x79622d32,
                       0x6b206574,
                       key_[0],
                       key_[1],
                       key_[2],
                       key_[3],
                       key_[4],
                       key_[5],
                       key_[6],
                       key_[7],
                       static_cast<uint32_t>(block_number_),
                       static_cast<uint32_t>(block_number_ >> 32),
                       static_cast<uint32_t>(stream_),
                       static_cast<uint32_t>(stream_ >> 32)};
  ++block_number_;
  State state = start;
  for (int double_round = 0; double_round < 10; ++double_round) {
    QuarterRound(state, 0, 4, 8, 12);
    QuarterRound(state, 1, 5, 9, 13);
    QuarterRound(state, 2, 6, 10, 14);
    QuarterRound(state, 3, 7, 11, 15);
    QuarterRound(state, 0, 5, 10, 15);
    QuarterRound(state, 1, 6, 11, 12);
    QuarterRound(state, 2, 7, 8, 13);
    QuarterRound(state, 3, 4, 9, 14);
  }
  for (size_t i = 0; i < block_.size(); ++i) {
    block_[i] = uint64_t{state[2 * i] + start[2 * i]} | uint64_t{state[2 * i + 1] + start[2 * i + 1]} << 32;
  }
  used_ = 0;
}

}  // namespace hongbao::envelope
