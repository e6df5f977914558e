#include "libhongbao/ledger/places.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace hongbao::ledger {
namespace {

TEST(PlacesTest, AgreesWithASetInAnyOrder) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    Places places;
    std::set<int64_t> model;
    const int64_t range = 1 + static_cast<int64_t>(random() % 60);
    for (int i = 0; i < 80; ++i) {
      const int64_t place = static_cast<int64_t>(random()) % range;
      const int64_t kept = place < 0 ? -place : place;
      ASSERT_EQ(places.Insert(kept), model.insert(kept).second);
      ASSERT_EQ(places.count(), static_cast<int64_t>(model.size()));
      const int64_t asked = static_cast<int64_t>(random() % static_cast<uint64_t>(range + 2));
      int64_t free = asked;
      while (model.contains(free)) {
        ++free;
      }
      ASSERT_EQ(places.NextFree(asked), free);
      ASSERT_EQ(places.CountBelow(asked), std::distance(model.begin(), model.lower_bound(asked)));
    }
  }
}

TEST(PlacesTest, NothingIsTakenOfNone) {
  const Places places;
  EXPECT_EQ(places.NextFree(17), 17);
  EXPECT_EQ(places.count(), 0);
  EXPECT_EQ(places.CountBelow(1'000), 0);
}

}  // namespace
}  // namespace hongbao::ledger
