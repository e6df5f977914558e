#include "libhongbao/net/slot_table.h"

#include <gtest/gtest.h>

#include <set>

namespace hongbao::net {
namespace {

TEST(SlotTable, EachConnectionOfASlotHasAnotherGeneration) {
  SlotTable table(4);
  std::set<uint32_t> generations;
  for (int i = 0; i < 100; ++i) {
    Connection& connection = table.Open(2, ConnectionState::kOpen);
    EXPECT_EQ(connection.slot, 2u);
    EXPECT_TRUE(generations.insert(connection.generation).second);
    table.Free(connection);
  }
  EXPECT_FALSE(generations.contains(0));
}

TEST(SlotTable, NothingOfTheFormerConnectionStays) {
  SlotTable table(4);
  Connection& former = table.Open(1, ConnectionState::kOpen);
  former.was_open = former.dialed = former.let_go = former.dirty = former.starved = true;
  former.partial_block = former.sending_block = former.pending_block = 7;
  former.deadline_tick = former.last_receive_tick = 9;
  former.close_reason = CloseReason::kIdle;
  former.connect_error = 111;
  table.Free(former);
  const Connection& next = table.Open(1, ConnectionState::kConnecting);
  EXPECT_FALSE(next.was_open || next.dialed || next.let_go || next.dirty || next.starved || next.in_wheel);
  EXPECT_EQ(next.partial_block, kNoIndex);
  EXPECT_EQ(next.sending_block, kNoIndex);
  EXPECT_EQ(next.pending_block, kNoIndex);
  EXPECT_EQ(next.deadline_tick, 0u);
  EXPECT_EQ(next.close_reason, CloseReason::kNone);
  EXPECT_EQ(next.connect_error, 0);
  EXPECT_EQ(next.state, ConnectionState::kConnecting);
}

TEST(SlotTable, FreeSlotsRunOutAndComeBack) {
  SlotTable table(3);
  std::set<uint32_t> taken;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(taken.insert(table.TakeFree()).second);
  }
  EXPECT_EQ(table.TakeFree(), kNoIndex);
  table.GiveFree(1);
  EXPECT_EQ(table.TakeFree(), 1u);
  EXPECT_EQ(table.TakeFree(), kNoIndex);
}

TEST(SlotTableDeathTest, ASlotInUseIsNeverOpened) {
  SlotTable table(2);
  table.Open(0, ConnectionState::kOpen);
  EXPECT_DEATH(table.Open(0, ConnectionState::kOpen), "still in use");
}

}  // namespace
}  // namespace hongbao::net
