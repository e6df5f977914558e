// The lucky pool against the plainest thing that works, a deque behind a mutex: finding nothing (99.7 % of all shakes),
// publish and claim on one thread, and many threads claiming at once.
#include <benchmark/benchmark.h>

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "libhongbao/envelope/lucky_pool.h"

namespace hongbao::envelope {
namespace {

class LockedPool {
 public:
  void Publish(const LuckyEnvelope& envelope) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(envelope);
  }
  bool Claim(LuckyEnvelope& envelope) {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) return false;
    envelope = queue_.front();
    queue_.pop_front();
    return true;
  }

 private:
  std::mutex mutex_;
  std::deque<LuckyEnvelope> queue_;
};

LuckyPool& SharedPool() {
  static LuckyPool pool(1024);
  return pool;
}
LockedPool& SharedLockedPool() {
  static LockedPool pool;
  return pool;
}

void BM_LuckyPoolFindNothing(benchmark::State& state) {
  LuckyClaimer claimer(SharedPool());
  LuckyEnvelope envelope;
  for (auto _ : state) benchmark::DoNotOptimize(claimer.Claim(envelope));
}
BENCHMARK(BM_LuckyPoolFindNothing)->ThreadRange(1, 2);

void BM_LockedPoolFindNothing(benchmark::State& state) {
  LuckyEnvelope envelope;
  for (auto _ : state) benchmark::DoNotOptimize(SharedLockedPool().Claim(envelope));
}
BENCHMARK(BM_LockedPoolFindNothing)->ThreadRange(1, 2);

void BM_LuckyPoolPublishAndClaim(benchmark::State& state) {
  LuckyPool pool(1024);
  LuckyClaimer claimer(pool);
  LuckyEnvelope envelope{1, Fen(1)};
  for (auto _ : state) {
    pool.Publish({&envelope, 1});
    benchmark::DoNotOptimize(claimer.Claim(envelope));
  }
}
BENCHMARK(BM_LuckyPoolPublishAndClaim);

// `state.range(0)` envelopes at once, published and claimed; the time of one.
void BM_LuckyPoolPublishAndClaimMany(benchmark::State& state) {
  LuckyPool pool(1024);
  LuckyClaimer claimer(pool);
  std::vector<LuckyEnvelope> envelopes(static_cast<size_t>(state.range(0)), LuckyEnvelope{1, Fen(1)});
  for (auto _ : state) {
    pool.Publish(envelopes);
    benchmark::DoNotOptimize(claimer.ClaimMany(absl::MakeSpan(envelopes)));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_LuckyPoolPublishAndClaimMany)->Arg(1)->Arg(16)->Arg(64);

void BM_LockedPoolPublishAndClaim(benchmark::State& state) {
  LockedPool pool;
  LuckyEnvelope envelope{1, Fen(1)};
  for (auto _ : state) {
    pool.Publish(envelope);
    benchmark::DoNotOptimize(pool.Claim(envelope));
  }
}
BENCHMARK(BM_LockedPoolPublishAndClaim);

// Thread 0 is the minter, all others claim: envelopes handed over per second.
void BM_LuckyPoolHandOver(benchmark::State& state) {
  static std::unique_ptr<LuckyPool> pool;
  if (state.thread_index() == 0) pool = std::make_unique<LuckyPool>(1024);
  std::vector<LuckyEnvelope> batch(64, LuckyEnvelope{1, Fen(1)});
  std::unique_ptr<LuckyClaimer> claimer;
  int64_t handed_over = 0;
  for (auto _ : state) {  // all threads start here together, after the pool was made
    if (state.thread_index() == 0) {
      benchmark::DoNotOptimize(pool->Publish(batch));
    } else {
      if (claimer == nullptr) claimer = std::make_unique<LuckyClaimer>(*pool);
      LuckyEnvelope envelope;
      if (claimer->Claim(envelope)) ++handed_over;
    }
  }
  state.SetItemsProcessed(handed_over);
}
BENCHMARK(BM_LuckyPoolHandOver)->Threads(2)->Threads(4)->UseRealTime();

}  // namespace
}  // namespace hongbao::envelope
