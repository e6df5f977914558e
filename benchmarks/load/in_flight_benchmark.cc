// What bookkeeping a simulated request costs the load generator: its record taken and given back; and what a notice costs.
#include "libhongbao/load/in_flight.h"

#include <cstdint>
#include <vector>

#include "benchmark/benchmark.h"
#include "libhongbao/load/seen_notices.h"

namespace hongbao::load {
namespace {

// `range(0)` requests outstanding, each of another user: the memory that a steady load touches.
void BM_SendAndAnswer(benchmark::State& state) {
  const auto users = static_cast<uint32_t>(state.range(0));
  InFlight pool(users + 1);
  std::vector<RequestList> lists(users);
  for (RequestList& list : lists) pool.Append(list, {});
  uint32_t user = 0;
  InFlightRequest found;
  for (auto _ : state) {
    pool.TakeFirstShake(lists[user], found);
    pool.Append(lists[user], {.due_ns = static_cast<int64_t>(found.due_ns + 1)});
    user = user + 1 < users ? user + 1 : 0;
  }
  benchmark::DoNotOptimize(found);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SendAndAnswer)->Arg(16)->Arg(1'024)->Arg(65'536);

void BM_SeenNotice(benchmark::State& state) {
  SeenNotices seen;
  uint32_t envelope = 0;
  for (auto _ : state) {
    ++envelope;
    benchmark::DoNotOptimize(seen.Insert(envelope * 2'654'435'761, envelope));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SeenNotice);

}  // namespace
}  // namespace hongbao::load
