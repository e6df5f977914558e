#include "libhongbao/ledger/user_heads.h"

#include <gtest/gtest.h>

namespace hongbao::ledger {
namespace {

TEST(UserHeads, AUserWhoNeverAppearedHasNothing) {
  UserHeads heads;
  EXPECT_EQ(heads.Get(0).last_id, 0u);
  EXPECT_EQ(heads.Get(0xffff'fffe).grants, 0u) << "and asking makes no room for one";
}

TEST(UserHeads, KeepsWhatItWasTold) {
  UserHeads heads;
  heads[5] = {.total_fen = 7, .last_id = 8, .grants = 9};
  heads[100'000].last_id = 1;
  EXPECT_EQ(heads.Get(5).total_fen, 7);
  EXPECT_EQ(heads.Get(5).last_id, 8u);
  EXPECT_EQ(heads.Get(5).grants, 9u);
  EXPECT_EQ(heads.Get(6).last_id, 0u);
  EXPECT_EQ(heads.Get(100'000).last_id, 1u);
}

}  // namespace
}  // namespace hongbao::ledger
