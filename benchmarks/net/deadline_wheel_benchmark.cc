// What deadlines cost with a million connections: a touch, a move, and a tick on which nothing, or a share of them,
// comes round.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>

#include "libhongbao/net/deadline_wheel.h"

namespace hongbao::net {
namespace {

constexpr uint32_t kConnections = 1'000'000;
constexpr uint32_t kIdleTicks = 2'400;  // 240 s

struct Fixture {
  Fixture() : table(kConnections), wheel(table) {
    for (uint32_t slot = 0; slot < kConnections; ++slot) {
      Connection& connection = table.Open(slot, ConnectionState::kOpen);
      wheel.Schedule(connection, 1 + slot % kIdleTicks);
    }
  }
  SlotTable table;
  DeadlineWheel wheel;
};

// What a frame that comes in parts does to the same few connections, again and again: their links are in the cache,
// their neighbours' in the buckets are not all.
void Touch(benchmark::State& state) {
  const auto fixture = std::make_unique<Fixture>();
  uint32_t step = 0;
  for (auto _ : state) {
    ++step;
    fixture->wheel.Schedule(fixture->table[step % 16], 1 + step % kIdleTicks);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Touch);

// Strides through the table, so that each connection is out of the cache, as it would be.
void Schedule(benchmark::State& state) {
  const auto fixture = std::make_unique<Fixture>();
  uint32_t slot = 0;
  for (auto _ : state) {
    slot = (slot + 617'717) % kConnections;
    fixture->wheel.Schedule(fixture->table[slot], 1 + slot % kIdleTicks);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Schedule);

// All are alive: each that comes round goes back in, 417 a tick.
void TickWithAMillionAlive(benchmark::State& state) {
  const auto fixture = std::make_unique<Fixture>();
  uint32_t tick = 0;
  uint64_t looked = 0;
  for (auto _ : state) {
    ++tick;
    fixture->wheel.Advance(tick, [&](Connection& connection) {
      ++looked;
      fixture->wheel.Schedule(connection, tick + kIdleTicks);
    });
  }
  state.counters["looked_per_tick"] = benchmark::Counter(static_cast<double>(looked), benchmark::Counter::kAvgIterations);
}
BENCHMARK(TickWithAMillionAlive);

}  // namespace
}  // namespace hongbao::net
