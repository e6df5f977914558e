#include "libhongbao/count/histogram.h"

#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <random>

namespace hongbao::count {
namespace {

// Latencies as they come: around 100 us, some ms.
std::array<int64_t, 4'096> Latencies() {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> latency_us(4.6, 0.7);
  std::array<int64_t, 4'096> values{};
  for (int64_t& value : values) {
    value = static_cast<int64_t>(latency_us(random) * 1'000);
  }
  return values;
}

void BM_HistogramRecord(benchmark::State& state) {
  const auto values = Latencies();
  const auto histogram = std::make_unique<Histogram>();
  size_t i = 0;
  for (auto _ : state) {
    histogram->Record(values[i++ % values.size()]);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_HistogramRecord);

void BM_HistogramSnapshotAndDifference(benchmark::State& state) {
  const auto values = Latencies();
  const auto histogram = std::make_unique<Histogram>();
  for (const int64_t value : values) {
    histogram->Record(value);
  }
  HistogramSnapshot before;
  for (auto _ : state) {
    HistogramSnapshot now = histogram->Snapshot();
    benchmark::DoNotOptimize(now.Since(before).Summary());
    before = std::move(now);
  }
}
BENCHMARK(BM_HistogramSnapshotAndDifference)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hongbao::count
