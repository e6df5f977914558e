#include "libhongbao/count/cells.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <memory>

#include "libhongbao/count/history.h"

namespace hongbao::count {
namespace {

enum class Counter { kA, kB, kC, kD, kE, kF, kG, kH, kCount };

void BM_CellsAdd(benchmark::State& state) {
  static Cells<Counter> workers[8];
  Cells<Counter>& cells = workers[state.thread_index() % 8];
  for (auto _ : state) {
    cells.Add(Counter::kC);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_CellsAdd)->Threads(1)->Threads(2)->UseRealTime();

// What the prototype did: one counter for all threads.
void BM_SharedAtomicAdd(benchmark::State& state) {
  static std::atomic<uint64_t> shared;
  for (auto _ : state) {
    shared.fetch_add(1, std::memory_order_relaxed);
  }
}
BENCHMARK(BM_SharedAtomicAdd)->Threads(1)->Threads(2)->UseRealTime();

void BM_RollInTheSameSecond(benchmark::State& state) {
  Cells<Counter> cells;
  const auto history = std::make_unique<History<Counter>>();
  for (auto _ : state) {
    history->Roll(1'800'000'000, cells);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_RollInTheSameSecond);

void BM_RollToANewSecond(benchmark::State& state) {
  Cells<Counter> cells;
  const auto history = std::make_unique<History<Counter>>();
  int64_t second = 1'800'000'000;
  for (auto _ : state) {
    history->Roll(second++, cells);
  }
}
BENCHMARK(BM_RollToANewSecond);

}  // namespace
}  // namespace hongbao::count
