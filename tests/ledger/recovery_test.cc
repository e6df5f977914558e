#include "libhongbao/ledger/recovery.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ledger_fixture.h"
#include "libhongbao/ledger/schema.h"

namespace hongbao::ledger {
namespace {

class RecoveryTest : public ::testing::Test {
 protected:
  RecoveryTest() : ledger_(folder_.File()) {}

  const UnfinishedOrder* OrderOf(uint32_t first_id) const {
    for (const UnfinishedOrder& open : ledger_.state.orders) {
      if (open.order.first_id == first_id) {
        return &open;
      }
    }
    return nullptr;
  }
  static std::vector<bool> Bits(const Places& places, int64_t count) {
    std::vector<bool> bits;
    for (int64_t place = 0; place < count; ++place) {
      bits.push_back(places.NextFree(place) != place);
    }
    return bits;
  }
  static Order GiftSend(uint32_t first_id, int64_t count) {
    return {.is_gift = true,
            .first_id = first_id,
            .count = count,
            .rate = 3,
            .min_fen = 5,
            .max_fen = 9,
            .at_s = 77,
            .key = {1, 2, 3, 0xffff'ffff},
            .users = 4,
            .first_user = 10,
            .last_user = 90};
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
    const UnfinishedOrder* open = OrderOf(kLotId);
    ASSERT_NE(open, nullptr);
    EXPECT_EQ(Bits(open->taken, 8), (std::vector<bool>{true, false, true, false, true, false, false, false}));
    EXPECT_EQ(open->taken_fen, envelope::Fen(300));
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
  const Order order = GiftSend(0x40000001, 5);
  ledger_.AddOrder(order);
  ledger_.Reopen();
  const UnfinishedOrder* open = OrderOf(order.first_id);
  ASSERT_NE(open, nullptr);
  ledger_.Do({MakeGift(0x40000001, kNobody, 7, {4, 5}), MakeGift(0x40000003, kNobody, 7, {4, 5})});
  ledger_.Reopen();
  open = OrderOf(order.first_id);
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(Bits(open->taken, 5), (std::vector<bool>{true, false, true, false, false}))
      << "owners commit apart: there may be holes";
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

// Of a server that took such stamps: they hold nobody back for ever, and are known by name.
TEST_F(RecoveryTest, StampsFarAheadOfTheClockAreNoMeasureOfAUser) {
  constexpr int64_t kNowMs = 1'700'000'000'000;
  constexpr uint64_t kNowNs = uint64_t{kNowMs} * 1'000'000, kHourNs = 3'600'000'000'000, kEver = ~uint64_t{0};
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 1));
  ledger_.Do({Win(3, kLotId, 1, kNowNs), Win(3, kLotId + 1, 1, kEver), Win(3, kLotId + 2, 1, kNowNs + 1),
              Win(4, kLotId + 3, 1, kEver), Win(5, kLotId + 4, 1, kNowNs + kHourNs),
              MakeGift(kGiftId, 6, 2, {3, 6}, kNowNs + kHourNs + 1)});
  for (int start = 0; start < 2; ++start) {
    ledger_.Reopen(kNowMs);
    ASSERT_EQ(ledger_.state.users.size(), 8U);
    EXPECT_EQ(ledger_.state.users[3].last_stamp, kNowNs + 1);
    EXPECT_EQ(ledger_.state.users[4].last_stamp, start == 0 ? kHistoryStamp : kNowNs) << "at first none of a stamp to go by";
    EXPECT_EQ(ledger_.state.users[5].last_stamp, kNowNs + kHourNs);
    EXPECT_EQ(ledger_.state.users[6].last_stamp, 0U);
    EXPECT_EQ(ledger_.state.far_stamps, (std::vector<RequestName>{{3, kEver}, {4, kEver}, {6, kNowNs + kHourNs + 1}}));
    const auto more = static_cast<uint32_t>(start);
    ledger_.Do({Win(4, kLotId + 5 + more, 1, kNowNs + more)});  // its chain goes on
  }
  ledger_.Reopen(kNowMs + 3'600'000);
  EXPECT_EQ(ledger_.state.users[6].last_stamp, kNowNs + kHourNs + 1) << "time has caught up with it";
  EXPECT_EQ(ledger_.state.far_stamps.size(), 2U);
}

// What the file confirmed last: a server whose clock is set back between two lives takes its users' stamps for what they are.
TEST_F(RecoveryTest, StampsAreJudgedByTheLatestClockThatTheFileKnows) {
  constexpr int64_t kNowMs = 1'700'000'000'000;
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 1));
  ledger_.Do({Win(3, kLotId, 1, uint64_t{kNowMs} * 1'000'000)});
  ledger_.writer().Begin();
  ledger_.writer().SetClock(kNowMs);
  ASSERT_TRUE(ledger_.writer().Commit());
  ledger_.Reopen(kNowMs - 86'400'000);
  EXPECT_EQ(ledger_.state.users[3].last_stamp, uint64_t{kNowMs} * 1'000'000);
  EXPECT_TRUE(ledger_.state.far_stamps.empty());
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

TEST_F(RecoveryTest, ACallersKeyAndWhatWasAskedComeBackAlsoOfFinishedOrders) {
  Order order = ShakeOrder(kLotId, 1, 100);
  order.caller_key = "monday";
  order.asked = "shake rate=100";
  order.created_ms = 55;
  ledger_.AddOrder(order);
  ledger_.Do({Win(1, kLotId, 100, 5)});
  Order gifts = GiftSend(0x40000001, 5);
  gifts.caller_key = "tuesday";
  gifts.created_ms = 66;
  ledger_.AddOrder(gifts);
  ledger_.Reopen();
  ASSERT_EQ(ledger_.state.closed.size(), 1u);
  EXPECT_EQ(ledger_.state.closed[0].order.caller_key, "monday");
  EXPECT_EQ(ledger_.state.closed[0].order.asked, "shake rate=100");
  EXPECT_EQ(ledger_.state.closed[0].order.created_ms, 55);
  EXPECT_EQ(ledger_.state.closed[0].issued, 1);
  ASSERT_NE(OrderOf(0x40000001), nullptr);
  EXPECT_EQ(OrderOf(0x40000001)->order.caller_key, "tuesday");
  EXPECT_EQ(OrderOf(0x40000001)->order.created_ms, 66);
  EXPECT_EQ(OrderOf(0x40000001)->order.draw, Draw::kByPlace);
}

TEST_F(RecoveryTest, OfACancelledLotOnlyWhatWasIssuedIsLeft) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 100));
  ledger_.Do({Win(1, kLotId + 1, 100, 5), Win(1, kLotId + 7, 100, 6)});  // 7: in an earlier life
  ledger_.CancelOrder({.first_id = kLotId, .place = 4, .shares = 5, .amount = envelope::Fen(500), .at_ms = 9});
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
  for (int start = 0; start < 2; ++start) {
    ledger_.Reopen();
    const UnfinishedOrder* open = OrderOf(kLotId);
    ASSERT_NE(open, nullptr);
    ASSERT_TRUE(open->cancel.has_value());
    EXPECT_EQ(open->cancel->place, 4);
    EXPECT_EQ(open->cancel->shares, 5);
    EXPECT_EQ(open->cancel->amount, envelope::Fen(500));
    EXPECT_EQ(Bits(open->taken, 4), (std::vector<bool>{false, true, false, false}));
  }
  ledger_.Do({Win(1, kLotId, 100, 7), Win(1, kLotId + 2, 100, 8), Win(1, kLotId + 3, 100, 9)});
  ledger_.Reopen();
  EXPECT_EQ(OrderOf(kLotId), nullptr) << "all of it is won";
  ASSERT_EQ(ledger_.state.closed.size(), 1u);
  EXPECT_EQ(ledger_.state.closed[0].issued, 5);
  EXPECT_EQ(ledger_.state.closed[0].cancel->shares, 5);
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
}

TEST_F(RecoveryTest, ALotThatWasCancelledBeforeItsFirstEnvelopeIsOver) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 100));
  ledger_.CancelOrder({.first_id = kLotId, .place = 0, .shares = 10, .amount = envelope::Fen(1'000)});
  ledger_.Reopen();
  EXPECT_TRUE(ledger_.state.orders.empty());
  EXPECT_EQ(ledger_.state.next_shake_id, kLotId + 10) << "its numbers stay used";
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
}

TEST_F(RecoveryTest, ACancelledGiftOrderMakesNoMore) {
  ledger_.AddOrder(GiftSend(0x40000001, 5));
  ledger_.Do({MakeGift(0x40000001, kNobody, 7, {4, 5}), MakeGift(0x40000003, kNobody, 7, {4, 5})});
  ledger_.CancelOrder({.first_id = 0x40000001, .place = 4});
  ledger_.Reopen();
  EXPECT_TRUE(ledger_.state.orders.empty());
  ASSERT_EQ(ledger_.state.closed.size(), 1u);
  EXPECT_EQ(ledger_.state.closed[0].issued, 2);
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
}

// Two billion envelopes: neither time nor memory may go with their number.
TEST_F(RecoveryTest, AnOrderOfAllTheNumbersThereAreIsReadAsQuickly) {
  ledger_.AddOrder(ShakeOrder(kLotId, 0x7fff'ffff - kLotId, 1));
  ledger_.Do({Win(1, kLotId, 1, 5), Win(1, 0x7fff'fff0, 1, 6)});
  ledger_.Reopen();
  ASSERT_NE(OrderOf(kLotId), nullptr);
  EXPECT_EQ(OrderOf(kLotId)->taken.count(), 2);
  EXPECT_EQ(OrderOf(kLotId)->taken.NextFree(0), 1);
}

TEST_F(RecoveryTest, AFileWithoutRoomForGrantsIsRefusedInWords) {
  EXPECT_TRUE(CheckRoom(0).ok());
  EXPECT_TRUE(CheckRoom(Writer::kGrantsMax - Writer::kGrantsKept).ok());
  for (const uint32_t last : {Writer::kGrantsMax - Writer::kGrantsKept + 1, Writer::kGrantsMax}) {
    const absl::Status status = CheckRoom(last);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_NE(status.ToString().find("start with a new one"), std::string::npos) << status;
  }
}

// ---- a file of version 1 ----

TEST_F(RecoveryTest, AFileOfVersionOneIsServedFromAndBroughtUp) {
  const std::string path = folder_.File("old");
  {
    OpenedLedger made(path);
    made.AddOrder(ShakeOrder(kLotId, 10, 100));
    made.AddOrder(GiftSend(0x40000001, 5));
    made.Do({Win(1, kLotId + 1, 100, 5), MakeGift(0x40000002, kNobody, 7, {4, 5}), MakeGift(kGiftId, 7, 300, {1, 2, 3}, 50)});
    made.db().Run("DROP TABLE order_terms; DROP TABLE cancels; PRAGMA user_version = 1");
    ASSERT_TRUE(made.db().ok()) << made.db().status();
    made.file().Finish();
  }
  {  // looked at only: it stays what it is
    auto file = LedgerFile::Open({.path = path, .read_only = true});
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(Judge(Audit((*file)->db(), AuditScope::kAll, 0)).ok());
    EXPECT_EQ((*file)->db().Number("PRAGMA user_version"), 1);
  }
  OpenedLedger ledger(path);
  EXPECT_EQ(ledger.db().Number("PRAGMA user_version"), kSchemaVersion);
  ASSERT_EQ(ledger.state.orders.size(), 2u);
  EXPECT_EQ(ledger.state.orders[0].order.draw, Draw::kInTurn) << "its amounts are those it had";
  EXPECT_EQ(ledger.state.orders[1].order.draw, Draw::kInTurn);
  ledger.AddOrder(ShakeOrder(kLotId + 10, 5, 10));
  ledger.CancelOrder({.first_id = kLotId, .place = 2, .shares = 8, .amount = envelope::Fen(800)});
  ledger.Reopen();
  EXPECT_EQ(ledger.state.orders[0].order.draw, Draw::kInTurn);
  EXPECT_EQ(ledger.state.orders[1].order.draw, Draw::kByPlace);
  EXPECT_TRUE(ledger.AuditAll().ok()) << ledger.AuditAll();
}

TEST_F(RecoveryTest, AnOlderFileThatDoesNotReconcileIsNotBroughtUp) {
  const std::string path = folder_.File("old");
  {
    OpenedLedger made(path);
    made.AddOrder(ShakeOrder(kLotId, 10, 100));
    made.Do({Win(1, kLotId + 1, 100, 5)});
    made.db().Run("DROP TABLE order_terms; DROP TABLE cancels; PRAGMA user_version = 1; UPDATE entries SET fen = 2");
    made.file().Finish();
  }
  OpenedLedger refused(FileOptions{.path = path});
  EXPECT_EQ(refused.TryOpen().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(refused.db().Number("PRAGMA user_version"), 1);
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
