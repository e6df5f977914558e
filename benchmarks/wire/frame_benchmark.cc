// What framing and coding cost. The figure to watch: a stream of shakes in, losing replies out, per request.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <vector>

#include "libhongbao/wire/codec.h"

namespace hongbao::wire {
namespace {

constexpr size_t kShakes = 1024;

std::vector<std::byte> Shakes() {
  std::vector<std::byte> stream(kShakes * kShakeRequestBytes);
  for (uint32_t i = 0; i < kShakes; ++i) {
    EncodeShakeRequest(stream.data() + i * kShakeRequestBytes, {.stamp = 1486824165u + i, .user_id = i});
  }
  return stream;
}

// Peek and decode, as a session does for any type.
void BM_PeekAndDecodeShake(benchmark::State& state) {
  const std::vector<std::byte> stream = Shakes();
  for (auto _ : state) {
    FrameBytes in = stream;
    uint64_t users = 0;
    while (!in.empty()) {
      const Peeked peeked = Peek(in, Side::kServer, Version::k2);
      if (peeked.framing != Framing::kWhole) break;
      ShakeRequest request;
      if (DecodeShakeRequest(in.subspan(0, peeked.length), request) != Decoded::kOk) break;
      users += request.user_id;
      in.remove_prefix(peeked.length);
    }
    benchmark::DoNotOptimize(users);
  }
  state.SetItemsProcessed(state.iterations() * int64_t{kShakes});
}
BENCHMARK(BM_PeekAndDecodeShake);

// Bytes in to bytes out for shakes that find nothing, with the short cut; `state.range(0)`: with it or by Peek.
void BM_ShakesInLosingRepliesOut(benchmark::State& state) {
  const bool short_cut = state.range(0) != 0;
  const std::vector<std::byte> stream = Shakes();
  std::vector<std::byte> replies(kShakes * kShakeResponseBytes);
  for (auto _ : state) {
    FrameBytes in = stream;
    std::byte* out = replies.data();
    while (short_cut ? StartsWithShake(in) : Peek(in, Side::kServer, Version::k2).framing == Framing::kWhole) {
      ShakeRequest request;
      if (DecodeShakeRequest(in.subspan(0, kShakeRequestBytes), request) != Decoded::kOk) break;
      EncodeShakeResponse(out, {.stamp = request.stamp, .user_id = request.user_id});
      out += kShakeResponseBytes;
      in.remove_prefix(kShakeRequestBytes);
    }
    benchmark::DoNotOptimize(replies.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * int64_t{kShakes});
}
BENCHMARK(BM_ShakesInLosingRepliesOut)->ArgName("short_cut")->Arg(0)->Arg(1);

// A stream of losing replies, written one behind the other as into a connection's block.
void BM_EncodeShakeResponse(benchmark::State& state) {
  std::vector<std::byte> replies(kShakes * kShakeResponseBytes);
  for (auto _ : state) {
    for (uint32_t i = 0; i < kShakes; ++i) {
      EncodeShakeResponse(replies.data() + i * kShakeResponseBytes, {.stamp = i, .user_id = i});
    }
    benchmark::DoNotOptimize(replies.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * int64_t{kShakes});
}
BENCHMARK(BM_EncodeShakeResponse);

void BM_EncodeGiftNotice(benchmark::State& state) {
  std::vector<uint32_t> users(static_cast<size_t>(state.range(0)));
  for (uint32_t i = 0; i < users.size(); ++i) users[i] = i;
  std::byte out[kFrameBytesMax];
  for (auto _ : state) {
    EncodeGiftNotice(out, Version::k2, {.stamp = 1, .envelope_id = 2, .amount_fen = 3, .recipient = 0, .users = users});
    benchmark::DoNotOptimize(out);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_EncodeGiftNotice)->Arg(3)->Arg(50);

}  // namespace
}  // namespace hongbao::wire
