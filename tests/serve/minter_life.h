// Fixture: one life of a minter without its thread: a clock of the test's, a pool that is claimed from, and owners of gifts that
// take what there is room for.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "libhongbao/serve/minter.h"
#include "tests/serve/fake_ledger.h"

namespace hongbao::serve {

inline constexpr int64_t kSecond = time::kNsPerSecond;
inline constexpr int64_t kNow = 1'424'183'400;

struct MinterLife {
  // `with_ledger`: `ledger` records the orders. Begins 0.3 s into the second `now_s`.
  explicit MinterLife(size_t capacity = 1 << 16, bool with_ledger = false, int64_t now_s = kNow)
      : clock(now_s * kSecond + 300'000'000),
        pool(capacity),
        claimer(pool),
        minter(
            &wall, &pool, /*users_max=*/100, /*workers=*/2,
            [this](uint32_t worker, const MintedGift& gift) {
              if (room == 0) {
                return false;
              }
              --room;
              EXPECT_EQ(worker, OwnerOf(gift.gift_id, 2));
              EXPECT_TRUE(gifts.emplace(gift.gift_id, gift).second) << "made twice";
              return true;
            },
            with_ledger ? &ledger : nullptr, &returned) {}

  // Steps as the thread would, to the end of the second that has begun. Returns how many were issued in it.
  uint64_t RunSecond() {
    const uint64_t before = pool.issued().count + gifts.size();
    const int64_t end = (time::UnixSecond(clock.WallNs()) + 1) * kSecond;
    while (clock.WallNs() < end) {
      const int64_t next = minter.Step();
      EXPECT_GT(next, clock.WallNs());
      clock.Advance(std::min(next, end) - clock.WallNs());
      if (claim) {
        ClaimAll();
      }
    }
    return pool.issued().count + gifts.size() - before;
  }
  // By second.
  std::vector<uint64_t> RunFor(int seconds) {
    std::vector<uint64_t> issued;
    for (int i = 0; i < seconds; ++i) {
      issued.push_back(RunSecond());
    }
    return issued;
  }
  // Up to that unix second.
  std::vector<uint64_t> RunTo(int64_t until_s) { return RunFor(static_cast<int>(until_s - time::UnixSecond(clock.WallNs()))); }
  // What is in the pool: `claimed` has all that was, by id.
  void ClaimAll() {
    envelope::LuckyEnvelope one;
    while (claimer.Claim(one)) {
      EXPECT_TRUE(claimed.emplace(one.id, one.amount.value()).second) << "issued twice";
    }
  }
  int64_t ClaimedFen() const {
    int64_t sum = 0;
    for (const auto& [id, fen] : claimed) {
      sum += fen;
    }
    return sum;
  }

  time::FakeClock clock;
  time::WallSteps wall{clock};
  FakeLedger ledger;
  Returned returned;
  envelope::LuckyPool pool;
  envelope::LuckyClaimer claimer;
  bool claim = false;  // at once what is issued
  uint64_t room = 1'000'000;
  std::map<uint32_t, int64_t> claimed;
  std::map<uint32_t, MintedGift> gifts;  // that their owners have, by id
  Minter minter;
};

inline MintOrder ShakeOrder(int64_t rate, int64_t count) { return {.rate = rate, .count = count, .seed = 7}; }
inline MintOrder GiftOrderFor(int64_t rate, int64_t count, uint32_t users = 3, uint32_t first = 0, uint32_t last = 99) {
  return {.kind = MintOrder::Kind::kGift,
          .rate = rate,
          .count = count,
          .seed = 7,
          .users = users,
          .first_user = first,
          .last_user = last};
}

}  // namespace hongbao::serve
