// The lucky pool under real threads: one minter and several claimers that never wait, on rings so small that slots are
// reused all the time. Run it under ThreadSanitizer to check the memory orders, not just the outcome.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "libhongbao/envelope/lucky_pool.h"

namespace hongbao::envelope {
namespace {

constexpr uint32_t kEnvelopes = 100'000;
constexpr uint32_t kClaimers = 4;

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

class LuckyPoolStress : public ::testing::TestWithParam<size_t> {};

TEST_P(LuckyPoolStress, EveryEnvelopeIsClaimedExactlyOnceInOrder) {
  LuckyPool pool(GetParam());
  std::vector<std::unique_ptr<LuckyClaimer>> claimers;
  std::vector<std::vector<LuckyEnvelope>> claimed(kClaimers);
  for (uint32_t i = 0; i < kClaimers; ++i) claimers.push_back(std::make_unique<LuckyClaimer>(pool));
  std::atomic<bool> minted{false};
  std::atomic<uint32_t> claiming{kClaimers};

  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kClaimers; ++i) {
    threads.emplace_back([&, i] {
      LuckyEnvelope envelope;
      for (;;) {
        // Acquire: with the minter seen as done, all it published is seen too, so one more empty answer is the end.
        const bool last = minted.load(std::memory_order_acquire);
        bool any = false;
        while (claimers[i]->Claim(envelope)) {
          claimed[i].push_back(envelope);
          any = true;
        }
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
  for (uint32_t i = 0; i < kClaimers; ++i) {
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

INSTANTIATE_TEST_SUITE_P(Capacities, LuckyPoolStress, ::testing::Values(1, 2, 8, 1024));

}  // namespace
}  // namespace hongbao::envelope
