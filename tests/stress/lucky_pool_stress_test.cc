// The lucky pool under real threads: one minter and several claimers that never wait, some one by one, some in batches,
// on rings so small that slots are reused all the time: an envelope that was read while the minter wrote over it would
// show as one of two halves, taken twice or never. ThreadSanitizer sees the rest of it; the slots are atomic, so for
// their order there is the reason beside LuckyClaimer::Take.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "libhongbao/envelope/lucky_pool.h"

namespace hongbao::envelope {
namespace {

constexpr uint32_t kEnvelopes = 100'000;

struct Shape {
  size_t capacity = 0;
  std::vector<size_t> batches;  // one claimer each: 0 claims one by one, n up to n at once, and kMixed both by turns
};
constexpr size_t kMixed = SIZE_MAX;

Fen AmountOf(uint32_t id) { return Fen(1 + id % 309); }

void Mint(LuckyPool& pool) {
  std::vector<LuckyEnvelope> batch;
  for (uint32_t id = 0; id < kEnvelopes;) {
    batch.clear();
    for (uint32_t i = id; i < kEnvelopes && i < id + 1 + id % 7; ++i) batch.push_back({i, AmountOf(i)});
    const size_t fitted = pool.Publish(batch);
    id += static_cast<uint32_t>(fitted);
    if (fitted == 0) std::this_thread::yield();
  }
}

// One look of a claimer into the pool: appends what it took. False: nothing.
bool Take(LuckyClaimer& claimer, size_t batch, std::vector<LuckyEnvelope>& claimed) {
  const size_t turn = claimed.size() % 6;
  const size_t at_most = batch == kMixed ? turn : batch;
  if (at_most == 0) {
    LuckyEnvelope envelope;
    if (!claimer.Claim(envelope)) return false;
    claimed.push_back(envelope);
    return true;
  }
  LuckyEnvelope envelopes[64];
  const size_t taken = claimer.ClaimMany(absl::MakeSpan(envelopes, at_most));
  claimed.insert(claimed.end(), envelopes, envelopes + taken);
  return taken != 0;
}

class LuckyPoolStress : public ::testing::TestWithParam<Shape> {};

TEST_P(LuckyPoolStress, EveryEnvelopeIsClaimedExactlyOnceInOrder) {
  const Shape& shape = GetParam();
  const auto hands = static_cast<uint32_t>(shape.batches.size());
  LuckyPool pool(shape.capacity);
  std::vector<std::unique_ptr<LuckyClaimer>> claimers;
  std::vector<std::vector<LuckyEnvelope>> claimed(hands);
  for (uint32_t i = 0; i < hands; ++i) claimers.push_back(std::make_unique<LuckyClaimer>(pool));
  std::atomic<bool> minted{false};
  std::atomic<uint32_t> claiming{hands};

  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < hands; ++i) {
    threads.emplace_back([&, i] {
      for (;;) {
        // Acquire: with the minter seen as done, all it published is seen too, so one more empty answer is the end.
        const bool last = minted.load(std::memory_order_acquire);
        bool any = false;
        while (Take(*claimers[i], shape.batches[i], claimed[i])) any = true;
        if (last && !any) break;
        std::this_thread::yield();
      }
      claiming.fetch_sub(1, std::memory_order_release);  // Release: nothing but the count of threads still at work
    });
  }
  threads.emplace_back([&] {  // a reporter: claimed first, issued after it
    while (claiming.load(std::memory_order_acquire) != 0) {
      uint64_t count = 0;
      Fen sum;
      for (const auto& claimer : claimers) {
        const Tally tally = claimer->claimed();
        count += tally.count;
        sum += tally.sum;
      }
      const Tally issued = pool.issued();
      EXPECT_LE(count, issued.count);
      EXPECT_LE(sum, issued.sum);
      EXPECT_LE(pool.left(), kEnvelopes);
      std::this_thread::yield();
    }
  });
  Mint(pool);
  minted.store(true, std::memory_order_release);  // Release: pairs with the claimers' acquire
  for (std::thread& thread : threads) thread.join();

  std::vector<int> times(kEnvelopes);
  Tally total;
  for (uint32_t i = 0; i < hands; ++i) {
    uint32_t next = 0;
    Fen sum;
    for (const LuckyEnvelope& envelope : claimed[i]) {
      ASSERT_LT(envelope.id, kEnvelopes);
      ASSERT_GE(envelope.id, next) << "a claimer's envelopes come in the order of publishing";
      next = envelope.id + 1;
      ASSERT_EQ(envelope.amount, AmountOf(envelope.id)) << "an envelope torn between two";
      ++times[envelope.id];
      sum += envelope.amount;
    }
    EXPECT_EQ(claimers[i]->claimed(), (Tally{claimed[i].size(), sum}));
    total.count += claimed[i].size();
    total.sum += sum;
  }
  for (uint32_t id = 0; id < kEnvelopes; ++id) ASSERT_EQ(times[id], 1) << "envelope " << id;
  EXPECT_EQ(pool.issued(), total);
  EXPECT_EQ(pool.LeftAtRest(), Tally());
}

std::string NameOf(const ::testing::TestParamInfo<Shape>& info) {
  std::string name = std::to_string(info.param.capacity);
  for (const size_t batch : info.param.batches) {
    name += batch == kMixed ? "_mixed" : batch == 0 ? "_one" : "_many" + std::to_string(batch);
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Capacities, LuckyPoolStress,
                         ::testing::Values(Shape{1, {0, 0, 0, 0}}, Shape{2, {0, 0, 0, 0}}, Shape{8, {0, 0, 0, 0}},
                                           Shape{1024, {0, 0, 0, 0}}, Shape{1, {0, 4, kMixed, kMixed}},
                                           Shape{2, {0, 2, 4, kMixed}}, Shape{8, {0, 3, 64, kMixed}},
                                           Shape{1024, {0, 7, 64, kMixed}}, Shape{8, {5, 5}}, Shape{64, {0, 16}},
                                           Shape{1024, {64, 64}}),
                         NameOf);

}  // namespace
}  // namespace hongbao::envelope
