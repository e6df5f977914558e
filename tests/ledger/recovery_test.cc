#include "libhongbao/ledger/recovery.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

class RecoveryTest : public ::testing::Test {
 protected:
  RecoveryTest() : ledger_(folder_.File()) {}

  const OpenOrder* OrderOf(uint32_t first_id) const {
    for (const OpenOrder& open : ledger_.state.orders) {
      if (open.order.first_id == first_id) {
        return &open;
      }
    }
    return nullptr;
  }
  static Order GiftOrder(uint32_t first_id, int64_t count) {
    return {.is_gift = true, .first_id = first_id, .count = count, .rate = 3, .min_fen = 5, .max_fen = 9, .at_s = 77,
            .key = {1, 2, 3, 0xffff'ffff}, .users = 4, .first_user = 10, .last_user = 90};
  }

  TestFolder folder_;
  OpenedLedger ledger_;
};

TEST_F(RecoveryTest, ANewFileKnowsNothing) {
  EXPECT_EQ(ledger_.state.epoch, 1u);
  EXPECT_TRUE(ledger_.state.orders.empty());
  EXPECT_TRUE(ledger_.state.gifts.empty());
  EXPECT_TRUE(ledger_.state.users.empty());
  EXPECT_EQ(ledger_.state.next_shake_id, 0u);
  EXPECT_EQ(ledger_.state.next_minted_gift_id, 0u);
  EXPECT_EQ(ledger_.state.next_sent_gift_id, 0u);
}

TEST_F(RecoveryTest, EveryStartCounts) {
  for (uint64_t epoch = 2; epoch < 6; ++epoch) {
    ledger_.Reopen();
    EXPECT_EQ(ledger_.state.epoch, epoch);
  }
}

TEST_F(RecoveryTest, AShakeOrderComesBackWithWhatIsTaken) {
  Order order = ShakeOrder(kLotId, 8, 100);
  order.at_s = 1'700'000'000;
  order.key = {9, 8, 7, 6, 5, 4, 3, 2};
  ledger_.AddOrder(order);
  ledger_.Do({Win(1, kLotId, 100, 5), Win(2, kLotId + 4, 100, 6), Win(3, kLotId + 2, 100)});
  for (int start = 0; start < 2; ++start) {
    ledger_.Reopen();
    const OpenOrder* open = OrderOf(kLotId);
    ASSERT_NE(open, nullptr);
    EXPECT_EQ(open->taken, (std::vector<bool>{true, false, true, false, true, false, false, false}));
    EXPECT_EQ(open->order.count, 8);
    EXPECT_EQ(open->order.rate, order.rate);
    EXPECT_EQ(open->order.min_fen, 100);
    EXPECT_EQ(open->order.max_fen, 100);
    EXPECT_EQ(open->order.at_s, order.at_s);
    EXPECT_EQ(open->order.key, order.key);
    EXPECT_EQ(open->order.total, envelope::Fen(800));
    EXPECT_EQ(ledger_.state.next_shake_id, kLotId + 8);
  }
  EXPECT_EQ(ledger_.DoOne(Win(4, kLotId + 7, 100, 9)).settled, Settled::kNew) << "and goes on";
}

TEST_F(RecoveryTest, ASpentLotIsNoOpenOrderButItsNumbersStayUsed) {
  ledger_.AddOrder(ShakeOrder(kLotId, 2, 100));
  ledger_.Do({Win(1, kLotId, 100, 5), Win(2, kLotId + 1, 100, 6)});
  ledger_.Reopen();
  EXPECT_TRUE(ledger_.state.orders.empty());
  EXPECT_EQ(ledger_.state.next_shake_id, kLotId + 2);
  EXPECT_EQ(ledger_.DoOne(Ask(RecordKind::kFindWin, 2, 6)).envelope_id, kLotId + 1);
}

TEST_F(RecoveryTest, AGiftOrderComesBackAsFarAsItWasMade) {
  const Order order = GiftOrder(0x40000001, 5);
  ledger_.AddOrder(order);
  ledger_.Reopen();
  const OpenOrder* open = OrderOf(order.first_id);
  ASSERT_NE(open, nullptr);
  ledger_.Do({MakeGift(0x40000001, kNobody, 7, {4, 5}), MakeGift(0x40000003, kNobody, 7, {4, 5})});
  ledger_.Reopen();
  open = OrderOf(order.first_id);
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(open->taken, (std::vector<bool>{true, false, true, false, false})) << "owners commit apart: there may be holes";
  EXPECT_EQ(open->order.key, order.key);
  EXPECT_EQ(open->order.users, 4u);
  EXPECT_EQ(open->order.first_user, 10u);
  EXPECT_EQ(open->order.last_user, 90u);
  EXPECT_EQ(ledger_.state.next_minted_gift_id, 0x40000006u);
  for (const uint32_t id : {0x40000002u, 0x40000004u, 0x40000005u}) {
    ledger_.DoOne(MakeGift(id, kNobody, 7, {4, 5}));
  }
  ledger_.Reopen();
  EXPECT_TRUE(ledger_.state.orders.empty()) << "all of them are made";
}

TEST_F(RecoveryTest, LiveGiftsComeBackWithWhatWasOpened) {
  ledger_.Do({MakeGift(kGiftId, 7, 300, {1, 2, 3}, 50), MakeGift(kGiftId + 1, kNobody, 2, {8, 9}), OpenGift(2, kGiftId, 120, 60),
              OpenGift(8, kGiftId + 1, 1, 61), OpenGift(9, kGiftId + 1, 1, 61)});
  for (int start = 0; start < 2; ++start) {
    ledger_.Reopen();
    ASSERT_EQ(ledger_.state.gifts.size(), 2u) << "also the one that is spent: someone may ask again";
    const LiveGift& sent = ledger_.state.gifts[0];
    EXPECT_EQ(sent.id, kGiftId);
    EXPECT_EQ(sent.sender, 7u);
    EXPECT_EQ(sent.total_fen, 300u);
    EXPECT_EQ(sent.created_ms, 1);
    EXPECT_EQ(sent.expires_ms, 1'000'000);
    EXPECT_EQ(sent.users, (std::vector<uint32_t>{1, 2, 3}));
    EXPECT_EQ(sent.opened_fen, (std::vector<uint32_t>{0, 120, 0}));
    EXPECT_EQ(ledger_.state.gifts[1].sender, kNobody);
    EXPECT_EQ(ledger_.state.next_sent_gift_id, kGiftId + 1u);
  }
}

TEST_F(RecoveryTest, WhatExpiredMeanwhileGoesBackOnce) {
  ledger_.Do({MakeGift(kGiftId, 7, 300, {1, 2, 3}, 50, 100), MakeGift(kGiftId + 1, kNobody, 9, {1}, std::nullopt, 101),
              MakeGift(kGiftId + 2, 7, 5, {1}, 51, 102), OpenGift(2, kGiftId, 120, 60), OpenGift(1, kGiftId + 2, 5, 70)});
  ledger_.Reopen(99);
  EXPECT_EQ(ledger_.refunded, 0u);
  ledger_.Reopen(101);
  EXPECT_EQ(ledger_.refunded, 2u);
  ASSERT_EQ(ledger_.state.gifts.size(), 1u);
  EXPECT_EQ(ledger_.state.gifts[0].id, kGiftId + 2);
  ledger_.Reopen(200);
  EXPECT_EQ(ledger_.refunded, 0u) << "nor what nothing was left of";
  EXPECT_TRUE(ledger_.state.gifts.empty());
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
  EXPECT_EQ(ledger_.db().Number("SELECT SUM(fen) FROM entries WHERE ref_kind = 3 AND credit = (4294967296 | 7)"), 180);
  EXPECT_EQ(ledger_.db().Number("SELECT SUM(fen) FROM entries WHERE ref_kind = 3 AND credit = 0"), 9);
  EXPECT_EQ(ledger_.DoOne(Ask(RecordKind::kFindOpen, 2, 0, kGiftId)).amount_fen, 120u) << "it can still be asked for";
}

TEST_F(RecoveryTest, UsersComeBackWithTheirLastStampAndTheirWins) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 1));
  ledger_.Do({Win(3, kLotId, 1, 500), Win(3, kLotId + 1, 1, 400), MakeGift(kGiftId, 5, 2, {3, 6}, 900),
              OpenGift(3, kGiftId, 1, 450), OpenGift(6, kGiftId, 1)});
  ledger_.Reopen();
  ASSERT_GE(ledger_.state.users.size(), 7u);
  EXPECT_EQ(ledger_.state.users[3].last_stamp, 500u);
  EXPECT_EQ(ledger_.state.users[3].shake_wins, 2u);
  EXPECT_EQ(ledger_.state.users[5].last_stamp, 900u) << "a send counts";
  EXPECT_EQ(ledger_.state.users[6].last_stamp, 1u) << "grants, but none with a stamp";
  EXPECT_EQ(ledger_.state.users[4].last_stamp, 0u);
}

TEST_F(RecoveryTest, AFileThatDoesNotReconcileIsRefusedAndNotCounted) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 1));
  ledger_.Do({Win(3, kLotId, 1, 500), Win(3, kLotId + 1, 1, 501), MakeGift(kGiftId, 5, 2, {3, 6}, 900, 50)});
  ledger_.db().Run("UPDATE entries SET fen = 2 WHERE ref_kind = 4 AND ref_id = 2");
  OpenedLedger refused(FileOptions{.path = folder_.File()});
  ledger_.Close();
  EXPECT_EQ(refused.TryOpen(60).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(refused.db().Number("SELECT v FROM meta WHERE k = 'epoch'"), 1);
  EXPECT_EQ(refused.db().Number("SELECT state FROM envelopes WHERE kind = 2"), 1) << "nothing was refunded";
}

// The chain from the newest grant to the first, as the next commits go on from it.
TEST_F(RecoveryTest, TheChainGoesOn) {
  ledger_.AddOrder(ShakeOrder(kLotId, 100, 1));
  for (uint32_t i = 0; i < 20; ++i) {
    ledger_.DoOne(Win(i % 3, kLotId + i, 1, 1'000 + i));
    if (i % 7 == 0) {
      ledger_.Reopen();
    }
  }
  EXPECT_EQ(ledger_.DoOne(Ask(RecordKind::kStatement, 1)).grants, 7u);
  EXPECT_EQ(ledger_.Do({Ask(RecordKind::kResume, 1, 0)}).size(), 8u);
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
}

}  // namespace
}  // namespace hongbao::ledger
