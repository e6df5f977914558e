// The lucky pool against its peers, all driven by the same code: finding nothing (99.7 % of all shakes), publishing,
// claiming what lies there with one thread and with two, and handing over from one thread to another.
//
// Only the pool has one publisher; so there is no row of two threads that publish, and kHandOver is the contended one.
// All times are of one envelope (or one look): in the rows that hand out many, see items_per_second.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/envelope/lucky_pool_peers.h"
#include "libhongbao/check.h"

namespace hongbao::envelope {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kCapacity = 1 << 15;  // as boost's fixed queue can just hold; the server's pool is of this order
constexpr size_t kHandOverCapacity = 1 << 10;
constexpr size_t kHandedOver = 1 << 15;
constexpr int kRounds = 9;
constexpr size_t kPolls = 1 << 18;
constexpr size_t kBatch = 64;
constexpr size_t kClaimBatch = 16;

template <class Hand>
concept ClaimsMany = requires(Hand hand, absl::Span<LuckyEnvelope> span) {
  { hand.ClaimMany(span) } -> std::same_as<size_t>;
};

std::vector<LuckyEnvelope> Envelopes(size_t count) {
  std::vector<LuckyEnvelope> envelopes(count);
  for (uint32_t i = 0; i < count; ++i) envelopes[i] = {.id = i + 1, .amount = Fen(100 + i % 200)};
  return envelopes;
}

double SecondsSince(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

double SecondsOf(const std::function<void()>& work) {
  const Clock::time_point begun = Clock::now();
  work();
  return SecondsSince(begun);
}

// One iteration of a benchmark: several rounds, each of `items` operations, all taken to be as long as the median one.
// `round` returns its seconds.
template <class Round>
void MeasureRounds(benchmark::State& state, size_t items, Round&& round) {
  for (auto _ : state) {
    std::array<double, kRounds> seconds;
    for (double& one : seconds) one = round();
    std::nth_element(seconds.begin(), seconds.begin() + kRounds / 2, seconds.end());
    state.SetIterationTime(seconds[kRounds / 2] * kRounds);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(items) * kRounds);
}

// Two threads that begin a round at the same moment: the benchmark's own, and one more that lives as long as this.
class Pair {
 public:
  explicit Pair(std::function<void()> second) : second_(std::move(second)), thread_([this] { Loop(); }) {}
  ~Pair() {
    ending_ = true;
    rounds_.fetch_add(1);  // sequentially consistent, as all here: a round is long, its borders are not what is measured
    thread_.join();
  }
  // Seconds from the start that both saw to the end of whoever was slower.
  double Round(const std::function<void()>& first) {
    const uint64_t round = rounds_.fetch_add(1) + 1;
    while (ready_.load() != round) {
    }
    const Clock::time_point begun = Clock::now();
    go_.store(round);
    first();
    while (done_.load() != round) {
    }
    return SecondsSince(begun);
  }

 private:
  void Loop() {
    for (uint64_t round = 1;; ++round) {
      while (rounds_.load() < round) std::this_thread::yield();
      if (ending_) return;
      ready_.store(round);
      while (go_.load() != round) {
      }
      second_();
      done_.store(round);
    }
  }
  std::function<void()> second_;
  bool ending_ = false;  // written before a round begins that ends the thread
  alignas(kCacheLineBytes) std::atomic<uint64_t> rounds_{0};
  std::atomic<uint64_t> ready_{0};
  alignas(kCacheLineBytes) std::atomic<uint64_t> go_{0};
  alignas(kCacheLineBytes) std::atomic<uint64_t> done_{0};
  std::thread thread_;  // last: it uses all of the above
};

template <class Hand>
size_t ClaimAll(Hand& hand) {
  LuckyEnvelope envelope;
  size_t claimed = 0;
  while (hand.Claim(envelope)) {
    benchmark::DoNotOptimize(envelope);
    ++claimed;
  }
  return claimed;
}

template <class Hand>
size_t ClaimAllInBatches(Hand& hand) {
  LuckyEnvelope envelopes[kClaimBatch];
  size_t claimed = 0;
  while (const size_t taken = hand.ClaimMany(absl::MakeSpan(envelopes))) {
    benchmark::DoNotOptimize(envelopes);
    claimed += taken;
  }
  return claimed;
}

template <class Pool>
void Poll(Pool& pool) {
  typename Pool::Hand hand(pool);
  LuckyEnvelope envelope;
  for (size_t i = 0; i < kPolls; ++i) benchmark::DoNotOptimize(hand.Claim(envelope));
}

template <class Pool>
void EmptyPoll(benchmark::State& state) {
  Pool pool(kCapacity);
  MeasureRounds(state, kPolls, [&] { return SecondsOf([&] { Poll(pool); }); });
}

// Time of a look as each of the two sees it.
template <class Pool>
void EmptyPollByTwo(benchmark::State& state) {
  Pool pool(kCapacity);
  Pair pair([&] { Poll(pool); });
  MeasureRounds(state, kPolls, [&] { return pair.Round([&] { Poll(pool); }); });
}

// Into an empty pool until it is full; it is emptied outside the time.
template <class Pool>
void Publish(benchmark::State& state, size_t batch) {
  Pool pool(kCapacity);
  typename Pool::Publisher publisher(pool);
  typename Pool::Hand hand(pool);
  const std::vector<LuckyEnvelope> envelopes = Envelopes(batch);
  MeasureRounds(state, kCapacity, [&] {
    const double seconds = SecondsOf([&] {
      for (size_t i = 0; i < kCapacity; i += batch) benchmark::DoNotOptimize(publisher.Publish(envelopes));
    });
    Check(ClaimAll(hand) == kCapacity, "a pool takes as many as it has room for");
    return seconds;
  });
}

template <class Pool>
void Fill(typename Pool::Publisher& publisher, const std::vector<LuckyEnvelope>& envelopes) {
  for (size_t i = 0; i < kCapacity; i += envelopes.size()) {
    Check(publisher.Publish(envelopes) == envelopes.size(), "an empty pool has room");
  }
}

// A full pool, emptied; `take_all` is ClaimAll or ClaimAllInBatches.
template <class Pool>
void Drain(benchmark::State& state, size_t (*take_all)(typename Pool::Hand&)) {
  Pool pool(kCapacity);
  typename Pool::Publisher publisher(pool);
  typename Pool::Hand hand(pool);
  const std::vector<LuckyEnvelope> envelopes = Envelopes(kBatch);
  size_t claimed = 0;
  MeasureRounds(state, kCapacity, [&] {
    Fill<Pool>(publisher, envelopes);
    const double seconds = SecondsOf([&] { claimed = take_all(hand); });
    Check(claimed == kCapacity, "every envelope is claimed once");
    return seconds;
  });
}

// The same by two threads at once.
template <class Pool>
void DrainByTwo(benchmark::State& state, size_t (*take_all)(typename Pool::Hand&)) {
  Pool pool(kCapacity);
  typename Pool::Publisher publisher(pool);
  const auto first = std::make_unique<typename Pool::Hand>(pool);
  const auto second = std::make_unique<typename Pool::Hand>(pool);
  const std::vector<LuckyEnvelope> envelopes = Envelopes(kBatch);
  size_t by_first = 0;
  size_t by_second = 0;
  Pair pair([&] { by_second = take_all(*second); });
  MeasureRounds(state, kCapacity, [&] {
    Fill<Pool>(publisher, envelopes);
    const double seconds = pair.Round([&] { by_first = take_all(*first); });
    Check(by_first + by_second == kCapacity, "every envelope is claimed once");
    return seconds;
  });
}

// One thread publishes in batches, another claims one by one.
template <class Pool>
void HandOver(benchmark::State& state) {
  Pool pool(kHandOverCapacity);
  typename Pool::Publisher publisher(pool);
  typename Pool::Hand hand(pool);
  const std::vector<LuckyEnvelope> envelopes = Envelopes(kBatch);
  Pair pair([&] {
    LuckyEnvelope envelope;
    for (size_t claimed = 0; claimed < kHandedOver;) claimed += size_t{hand.Claim(envelope)};
  });
  MeasureRounds(state, kHandedOver, [&] {
    return pair.Round([&] {
      for (size_t published = 0; published < kHandedOver;) {  // what did not fit is offered again
        published += publisher.Publish(absl::MakeConstSpan(envelopes).subspan(published % kBatch));
      }
    });
  });
}

template <class Pool>
void Register(const std::string& name) {
  using benchmark::State;
  using Hand = typename Pool::Hand;
  const auto add = [&name](const std::string& row, auto function) {
    benchmark::RegisterBenchmark((row + "/" + name).c_str(), function)->UseManualTime();
  };
  add("empty_poll_by_1_thread", EmptyPoll<Pool>);
  add("empty_poll_by_2_threads", EmptyPollByTwo<Pool>);
  add("publish_one_by_one", [](State& state) { Publish<Pool>(state, 1); });
  add("publish_by_64", [](State& state) { Publish<Pool>(state, kBatch); });
  add("claim_by_1_thread", [](State& state) { Drain<Pool>(state, ClaimAll<Hand>); });
  add("claim_by_2_threads", [](State& state) { DrainByTwo<Pool>(state, ClaimAll<Hand>); });
  if constexpr (ClaimsMany<Hand>) {
    add("claim_16_by_1_thread", [](State& state) { Drain<Pool>(state, ClaimAllInBatches<Hand>); });
    add("claim_16_by_2_threads", [](State& state) { DrainByTwo<Pool>(state, ClaimAllInBatches<Hand>); });
  }
  add("hand_over", HandOver<Pool>);
}

void RegisterAll() {
  Register<OurPool>("lucky_pool");
#if HONGBAO_HAS_BOOST_LOCKFREE
  Register<BoostPool>("boost_lockfree");
#endif
#if HONGBAO_HAS_TBB
  Register<TbbPool>("onetbb");
#endif
#if HONGBAO_HAS_MOODYCAMEL
  Register<MoodycamelPool>("moodycamel");
#endif
#if HONGBAO_HAS_ATOMIC_QUEUE
  Register<AtomicQueuePool>("atomic_queue");
#endif
  Register<LockedPool>("mutex_deque");
}

}  // namespace
}  // namespace hongbao::envelope

int main(int argc, char** argv) {
  if (hongbao::envelope::kMissingPeers[0] != '\0') {
    std::fprintf(stderr, "lucky_pool_benchmark: not installed, left out:%s (see tools/setup)\n",
                 hongbao::envelope::kMissingPeers);
  }
  hongbao::envelope::RegisterAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
