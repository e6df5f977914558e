#include "libhongbao/net/deadline_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

namespace hongbao::net {
namespace {

class Wheel {
 public:
  explicit Wheel(uint32_t slots) : table(slots), wheel(table) {
    for (uint32_t slot = 0; slot < slots; ++slot) {
      table.Open(slot, ConnectionState::kOpen);
    }
  }
  std::vector<uint32_t> Advance(uint32_t tick) {
    std::vector<uint32_t> looked;
    wheel.Advance(tick, [&](Connection& connection) { looked.push_back(connection.slot); });
    return looked;
  }
  SlotTable table;
  DeadlineWheel wheel;
};

TEST(DeadlineWheel, LooksAtTheTickNotBefore) {
  Wheel w(4);
  w.wheel.Schedule(w.table[2], 10);
  EXPECT_TRUE(w.Advance(9).empty());
  EXPECT_EQ(w.Advance(10), std::vector<uint32_t>{2});
  EXPECT_FALSE(w.table[2].in_wheel);
  EXPECT_TRUE(w.Advance(10'000).empty()) << "once";
}

TEST(DeadlineWheel, ThePastIsTheNextTick) {
  Wheel w(4);
  w.Advance(100);
  w.wheel.Schedule(w.table[0], 0);
  w.wheel.Schedule(w.table[1], 100);
  EXPECT_TRUE(w.Advance(100).empty());
  EXPECT_EQ(w.Advance(101).size(), 2u);
}

TEST(DeadlineWheel, BeyondATurnItIsLookedAtInBetween) {
  Wheel w(1);
  w.wheel.Schedule(w.table[0], 10 * DeadlineWheel::kBuckets);
  EXPECT_TRUE(w.Advance(DeadlineWheel::kBuckets - 2).empty());
  EXPECT_EQ(w.Advance(DeadlineWheel::kBuckets - 1).size(), 1u);
}

TEST(DeadlineWheel, LookMayScheduleAgainOrRemoveOthers) {
  Wheel w(3);
  for (uint32_t slot = 0; slot < 3; ++slot) {
    w.wheel.Schedule(w.table[slot], 5);
  }
  std::vector<uint32_t> looked;
  w.wheel.Advance(20, [&](Connection& connection) {
    looked.push_back(connection.slot);
    if (looked.size() == 1) {
      w.wheel.Remove(w.table[(connection.slot + 1) % 3]);
      w.wheel.Schedule(connection, 7);
    }
  });
  EXPECT_EQ(looked.size(), 3u) << "the first twice, one removed, one once";
  EXPECT_EQ(looked.front(), looked.back());
}

TEST(DeadlineWheel, RandomStepsAgreeWithANaiveModel) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    constexpr uint32_t kSlots = 200;
    Wheel w(kSlots);
    std::map<uint32_t, uint32_t> model;  // slot -> the tick it is looked at
    const auto schedule = [&](uint32_t slot, uint32_t tick) {
      w.wheel.Schedule(w.table[slot], tick);
      const uint32_t current = w.wheel.current();
      model[slot] = std::clamp(tick, current + 1, current + DeadlineWheel::kBuckets - 1);
    };
    uint32_t now = 0;
    for (int step = 0; step < 3'000; ++step) {
      const uint32_t slot = static_cast<uint32_t>(random() % kSlots);
      const uint64_t what = random() % 8;
      if (what < 5) {
        schedule(slot, now + static_cast<uint32_t>(random() % (what == 0 ? 20'000 : 100)));
      } else if (what == 5) {
        w.wheel.Remove(w.table[slot]);
        model.erase(slot);
      } else {
        now += static_cast<uint32_t>(random() % (what == 6 ? 5 : 400));
        uint32_t last = 0;
        w.wheel.Advance(now, [&](Connection& connection) {
          ASSERT_TRUE(model.contains(connection.slot)) << "seed " << seed;
          const uint32_t due = model[connection.slot];
          model.erase(connection.slot);
          ASSERT_EQ(due, w.wheel.current()) << "seed " << seed;
          ASSERT_GE(due, last) << "out of order";
          last = due;
          if (random() % 2 == 0) {
            schedule(connection.slot, now + 1 + static_cast<uint32_t>(random() % 50));
          }
        });
        for (const auto& [waiting, due] : model) {
          ASSERT_GT(due, now) << "seed " << seed << ": slot " << waiting << " was forgotten";
        }
      }
      ASSERT_EQ(w.table[slot].in_wheel, model.contains(slot));
    }
  }
}

TEST(DeadlineWheel, AMillionAtOnceAreSpreadOverTicksAndNoneIsLost) {
  constexpr uint32_t kSlots = 1'000'000;
  Wheel w(kSlots);
  std::mt19937_64 random(1);
  std::vector<uint16_t> due(kSlots);
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    due[slot] = static_cast<uint16_t>(1 + random() % 50);
    w.wheel.Schedule(w.table[slot], due[slot]);
  }
  uint32_t looked = 0;
  uint32_t tick = 0;
  while (looked < kSlots && tick < 1'000) {
    ++tick;
    uint32_t in_this_call = 0;
    w.wheel.Advance(tick, [&](Connection& connection) {
      ++in_this_call;
      EXPECT_GE(tick, due[connection.slot]) << "too early";
      EXPECT_NE(due[connection.slot], 0) << "twice";
      due[connection.slot] = 0;
    });
    EXPECT_LE(in_this_call, DeadlineWheel::kChecksPerTick) << "a call must stay short";
    looked += in_this_call;
  }
  EXPECT_EQ(looked, kSlots);
  EXPECT_LE(tick, 1 + kSlots / DeadlineWheel::kChecksPerTick + 1) << "each call did its share";
}

}  // namespace
}  // namespace hongbao::net
