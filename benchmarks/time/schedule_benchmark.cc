#include "libhongbao/time/schedule.h"

#include <benchmark/benchmark.h>

#include <vector>

#include "libhongbao/time/walker.h"

namespace hongbao::time {
namespace {

constexpr int64_t kT = 1'800'000'000;

void BM_DueNs(benchmark::State& state) {
  const auto qps = static_cast<uint32_t>(state.range(0));
  uint64_t number = static_cast<uint64_t>(kT) * qps;
  for (auto _ : state) {
    benchmark::DoNotOptimize(DueNs(number++, qps));
  }
}
BENCHMARK(BM_DueNs)->Arg(60'000)->Arg(14'000'000);

// One own request: users in all, own users, rate. What a worker pays per request before it has sent anything.
void BM_WalkerNextDue(benchmark::State& state) {
  Schedule schedule;
  (void)schedule.Add({.at_second = kT, .qps = static_cast<uint32_t>(state.range(2))});
  Walker walker(schedule, Permutation(static_cast<uint64_t>(state.range(0))), {0, static_cast<uint64_t>(state.range(1))},
                kT * kNsPerSecond);
  Due due;
  for (auto _ : state) {
    benchmark::DoNotOptimize(walker.NextDue(kNever - 1, due));
    benchmark::DoNotOptimize(due.user);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_WalkerNextDue)
    ->Args({1'000'000, 1'000'000, 60'000})
    ->Args({1'000'000, 500'000, 60'000})
    ->Args({1'000'000, 500'000, 14'000'000})
    ->Args({1'000'000, 1'000, 60'000});

// The same in batches of 1,024, per request.
void BM_WalkerNextDueMany(benchmark::State& state) {
  Schedule schedule;
  (void)schedule.Add({.at_second = kT, .qps = static_cast<uint32_t>(state.range(2))});
  Walker walker(schedule, Permutation(static_cast<uint64_t>(state.range(0))), {0, static_cast<uint64_t>(state.range(1))},
                kT * kNsPerSecond);
  std::vector<DueUser> due(1'024);
  uint32_t segment = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(walker.NextDueMany(kNever - 1, absl::MakeSpan(due), segment));
    benchmark::DoNotOptimize(due.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(due.size()));
}
BENCHMARK(BM_WalkerNextDueMany)
    ->Args({1'000'000, 1'000'000, 60'000})
    ->Args({1'000'000, 500'000, 14'000'000})
    ->Args({10'000'000, 1'250'000, 14'000'000});

// A turn with nothing due: the price of looking.
void BM_WalkerIdleTurn(benchmark::State& state) {
  Schedule schedule;
  (void)schedule.Add({.at_second = kT, .qps = 60'000});
  Walker walker(schedule, Permutation(1'000'000), {0, 500'000}, kT * kNsPerSecond);
  Due due;
  for (auto _ : state) {
    walker.Refresh();
    benchmark::DoNotOptimize(walker.NextDue(0, due));
  }
}
BENCHMARK(BM_WalkerIdleTurn);

void BM_WalkerSkip(benchmark::State& state) {
  Schedule schedule;
  (void)schedule.Add({.at_second = kT, .qps = 60'000});
  Walker walker(schedule, Permutation(1'000'000), {0, 500'000}, kT * kNsPerSecond);
  int64_t wall_ns = kT * kNsPerSecond;
  for (auto _ : state) {
    wall_ns += 1'000'000;
    benchmark::DoNotOptimize(walker.SkipTo(wall_ns));
  }
}
BENCHMARK(BM_WalkerSkip);

// An evening of which each second has its own rate.
void AddEvening(Schedule& schedule) {
  std::vector<Segment> evening;
  for (uint32_t i = 0; i < 14'400; ++i) {
    evening.push_back({.at_second = kT + i, .qps = 60'000 + i % 100});
  }
  (void)schedule.AddPhase(evening);
}

// One own request of it, the change of the rate each second included.
void BM_WalkerNextDueOfProfile(benchmark::State& state) {
  Schedule schedule;
  AddEvening(schedule);
  Walker walker(schedule, Permutation(1'000'000), {0, 500'000}, kT * kNsPerSecond);
  Due due;
  for (auto _ : state) {
    benchmark::DoNotOptimize(walker.NextDue(kNever - 1, due));
    benchmark::DoNotOptimize(due.user);
  }
}
BENCHMARK(BM_WalkerNextDueOfProfile);

// What a worker does once, in its turn, when the profile is planned.
void BM_WalkerLearnProfile(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    Schedule schedule;
    Walker walker(schedule, Permutation(1'000), {0, 500}, kT * kNsPerSecond);
    AddEvening(schedule);
    state.ResumeTiming();
    walker.Refresh();
    benchmark::DoNotOptimize(walker.next_due_ns());
  }
}
BENCHMARK(BM_WalkerLearnProfile)->Unit(benchmark::kMicrosecond);

// Which rate is in force in the last hour of it.
void BM_ScheduleIndexAtOfProfile(benchmark::State& state) {
  Schedule schedule;
  AddEvening(schedule);
  int64_t wall_ns = (kT + 13'000) * kNsPerSecond;
  for (auto _ : state) {
    benchmark::DoNotOptimize(schedule.IndexAt(wall_ns));
    wall_ns += 1'000'000;
  }
}
BENCHMARK(BM_ScheduleIndexAtOfProfile);

void BM_WalkerConstruct(benchmark::State& state) {
  Schedule schedule;
  (void)schedule.Add({.at_second = kT, .qps = 60'000});
  for (auto _ : state) {
    Walker walker(schedule, Permutation(1'000'000), {0, 500'000}, kT * kNsPerSecond);
    benchmark::DoNotOptimize(walker.next_due_ns());
  }
}
BENCHMARK(BM_WalkerConstruct)->Unit(benchmark::kMillisecond);

void BM_RealClockWallNs(benchmark::State& state) {
  const RealClock clock;
  for (auto _ : state) {
    benchmark::DoNotOptimize(clock.WallNs());
  }
}
BENCHMARK(BM_RealClockWallNs);

}  // namespace
}  // namespace hongbao::time
