#include "libhongbao/net/block_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <vector>

namespace hongbao::net {
namespace {

TEST(BlockPool, BlocksAreDistinctAndWhole) {
  BlockPool pool(48, 100);
  std::vector<uint32_t> blocks;
  for (uint32_t i = 0; i < 100; ++i) {
    blocks.push_back(pool.Take());
    std::memset(pool.Data(blocks.back()), static_cast<int>(i), 48);
  }
  EXPECT_EQ(std::set<uint32_t>(blocks.begin(), blocks.end()).size(), 100u);
  for (uint32_t i = 0; i < 100; ++i) {
    for (uint32_t at = 0; at < 48; ++at) {
      ASSERT_EQ(pool.Data(blocks[i])[at], static_cast<std::byte>(i));
    }
  }
  EXPECT_EQ(pool.in_use(), 100u);
}

TEST(BlockPool, LastGivenIsFirstTaken) {
  BlockPool pool(16, 8);
  const uint32_t first = pool.Take();
  const uint32_t second = pool.Take();
  pool.Give(first);
  pool.Give(second);
  EXPECT_EQ(pool.Take(), second);
  EXPECT_EQ(pool.Take(), first);
}

TEST(BlockPool, RandomUseAgreesWithASet) {
  BlockPool pool(16, 64);
  std::mt19937_64 random(7);
  std::set<uint32_t> held;
  for (int step = 0; step < 100'000; ++step) {
    if (held.empty() || (held.size() < 64 && random() % 2 == 0)) {
      EXPECT_TRUE(held.insert(pool.Take()).second) << "given out twice";
    } else {
      auto it = held.lower_bound(static_cast<uint32_t>(random() % 64));
      it = it == held.end() ? held.begin() : it;
      pool.Give(*it);
      held.erase(it);
    }
    ASSERT_EQ(pool.in_use(), held.size());
  }
}

TEST(BlockPoolDeathTest, RunningOutIsABug) {
  BlockPool pool(16, 2);
  pool.Take();
  pool.Take();
  EXPECT_DEATH(pool.Take(), "ran out of blocks");
}

}  // namespace
}  // namespace hongbao::net
