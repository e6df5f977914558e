// A gift's whole life (create, three opens, expiry) in a book that is full of others, its opens alone, and the two
// calls that come most.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <vector>

#include "libhongbao/envelope/gift_book.h"

namespace hongbao::envelope {
namespace {

constexpr uint32_t kUsers = 100'000;

std::array<uint32_t, 3> ThreeUsers(Random& random) {
  const uint32_t first = static_cast<uint32_t>(random.Below(kUsers - 2));
  return {first, first + 1, first + 2};
}

// `state.range(0)`: gifts that live at the same time.
void BM_GiftsWholeLife(benchmark::State& state) {
  const int64_t live = state.range(0);
  GiftBook book({.gifts_max = static_cast<uint32_t>(live) + 1, .users_max = kUsers});
  Random random = Random::FromSeed(1);
  uint32_t id = 0;
  int64_t now_ms = 0;
  const auto one = [&] {
    const std::array<uint32_t, 3> users = ThreeUsers(random);
    book.Create(id, 1, Fen(300), users, now_ms, now_ms + live);
    for (uint32_t user : users) book.Open(id, user, now_ms, random);
    ++id;
    ++now_ms;
    book.Expire(now_ms, 10, [](const GiftRefund&) {});
  };
  for (int64_t i = 0; i < live; ++i) one();
  for (auto _ : state) one();
}
BENCHMARK(BM_GiftsWholeLife)->Arg(1'000)->Arg(100'000);

// Each share of each gift once; `state.range(0)`: shares of a gift. The book is made anew outside the time.
void BM_Open(benchmark::State& state) {
  constexpr uint32_t kGifts = 1'000;
  std::vector<uint32_t> users(static_cast<size_t>(state.range(0)));
  for (uint32_t i = 0; i < users.size(); ++i) users[i] = i;
  Random random = Random::FromSeed(1);
  for (auto _ : state) {
    GiftBook book({.gifts_max = kGifts, .users_max = kUsers});
    for (uint32_t id = 0; id < kGifts; ++id) book.Create(id, 1, Fen(10'000), users, 0, 1);
    const auto begun = std::chrono::steady_clock::now();
    for (uint32_t user : users) {
      for (uint32_t id = 0; id < kGifts; ++id) benchmark::DoNotOptimize(book.Open(id, user, 0, random));
    }
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  }
  state.SetItemsProcessed(state.iterations() * kGifts * state.range(0));
}
BENCHMARK(BM_Open)->Arg(3)->Arg(50)->UseManualTime();

void BM_OpenAgain(benchmark::State& state) {
  GiftBook book({.gifts_max = 1'000, .users_max = 10});
  Random random = Random::FromSeed(1);
  const std::array<uint32_t, 3> users{1, 2, 3};
  for (uint32_t id = 0; id < 1'000; ++id) book.Create(id, 1, Fen(300), users, 0, 1);
  uint32_t id = 0;
  for (auto _ : state) benchmark::DoNotOptimize(book.Open(id++ % 1'000, 2, 0, random));
}
BENCHMARK(BM_OpenAgain);

void BM_LoginOfAUserWithoutGifts(benchmark::State& state) {
  GiftBook book({.gifts_max = 1'000, .users_max = 10});
  const std::array<uint32_t, 3> users{1, 2, 3};
  book.Create(1, 1, Fen(300), users, 0, 1);
  for (auto _ : state) benchmark::DoNotOptimize(book.ForEachUnopened(4, 0, 100, [](const Gift&) {}));
}
BENCHMARK(BM_LoginOfAUserWithoutGifts);

}  // namespace
}  // namespace hongbao::envelope
