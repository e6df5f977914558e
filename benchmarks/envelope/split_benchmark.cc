// What a draw costs: the generator, a bounded number, a share.
#include <benchmark/benchmark.h>

#include "libhongbao/envelope/split.h"

namespace hongbao::envelope {
namespace {

void BM_Next(benchmark::State& state) {
  Random random = Random::FromSeed(1);
  for (auto _ : state) benchmark::DoNotOptimize(random.Next());
}
BENCHMARK(BM_Next);

void BM_Below(benchmark::State& state) {
  Random random = Random::FromSeed(1);
  for (auto _ : state) benchmark::DoNotOptimize(random.Below(300));
}
BENCHMARK(BM_Below);

void BM_DrawShare(benchmark::State& state) {
  Random random = Random::FromSeed(1);
  const uint32_t shares = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(DrawShare(Fen(10'000), shares, random));
}
BENCHMARK(BM_DrawShare)->Arg(3)->Arg(50);

}  // namespace
}  // namespace hongbao::envelope
