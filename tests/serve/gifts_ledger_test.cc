// Gifts that are durable before they are told of, and shares that are durable before they are paid.
#include <gtest/gtest.h>

#include "tests/serve/test_workers.h"

namespace hongbao::serve {
namespace {

using ledger::RecordKind;
using ledger::Settled;
using wire::Version;

constexpr uint32_t kGift = kFirstMintedGiftId;
const std::vector<uint32_t> kInvited = {1, 2, 3};

TestOptions WithLedger(uint32_t credits = 64) { return {.gift_expiry_ms = 1'000, .ledger_credits = credits}; }

struct GiftsLedgerTest : testing::Test {
  explicit GiftsLedgerTest(const TestOptions& options = WithLedger()) : workers(options), gifts(workers[0].gifts) {}
  ~GiftsLedgerTest() override {
    gifts.book().Audit();
    ExpectReconciles();
  }

  void Open(uint32_t id, uint32_t user, uint64_t stamp = 1) { gifts.Handle(OpenOf(id, user, stamp)); }
  uint32_t Send(uint64_t stamp, uint32_t fen = 300) {
    uint32_t id = 0;
    EXPECT_EQ(gifts.Send({.sender = 7, .amount_fen = fen, .users = kInvited, .stamp = stamp, .reply_to = 77}, &id),
              wire::SendResult::kOk);
    return id;
  }
  uint32_t Unopened() { return workers.directory.unopened(1) + workers.directory.unopened(2) + workers.directory.unopened(3); }
  // The counters and the book, whatever is under way.
  void ExpectReconciles() {
    const envelope::GiftTotals& totals = gifts.book().totals();
    EXPECT_EQ(workers.Count(Counter::kGiftShares) + gifts.pending_shares().count + totals.restored_shares, totals.shares);
    EXPECT_EQ(static_cast<int64_t>(workers.Count(Counter::kGiftsSentFen)) + gifts.pending_shares().sum.value() +
                  totals.restored.value(),
              totals.issued.value());
    EXPECT_EQ(workers.Count(Counter::kOpened) + gifts.pending_opens().count, totals.opened_shares);
    EXPECT_EQ(static_cast<int64_t>(workers.Count(Counter::kOpenedFen)) + gifts.pending_opens().sum.value(),
              totals.opened.value());
    EXPECT_EQ(static_cast<int64_t>(workers.Count(Counter::kRefundedFen)), totals.refunded.value());
  }

  TestWorkers workers;
  Gifts& gifts;
};

TEST_F(GiftsLedgerTest, AHeldGiftIsNeitherToldOfNorOpened) {
  TestWorkers::Peer one = workers.Login(1);
  gifts.Handle(GiftOf(kGift, 300, kInvited));
  EXPECT_TRUE(workers.posted.empty()) << "nobody is told";
  EXPECT_EQ(workers.Count(Counter::kGiftsSent), 0U);
  ExpectReconciles();
  TestWorkers::Peer two = workers.Login(2);
  workers.HandleGiftMessages();
  EXPECT_TRUE(workers.posted.empty()) << "nor reminded at a login";
  Open(kGift, 1);
  EXPECT_EQ(gifts.book().totals().opened_shares, 0U);
  workers.fake.Commit();
  EXPECT_EQ(workers.Count(Counter::kOpensEmpty), 1U) << "it was a guess";
  ASSERT_EQ(workers.posted.size(), 2U);
  EXPECT_EQ(workers.TakePosted<Notice>().address, one.address);
  EXPECT_EQ(workers.TakePosted<Notice>().address, two.address);
  EXPECT_EQ(workers.Count(Counter::kGiftsSentFen), 300U);
  EXPECT_FALSE(workers.told[0].has_stamp) << "a minted gift answers nobody";
}

TEST_F(GiftsLedgerTest, ACancelledDuplicateLeavesNoTrace) {
  const uint32_t first = Send(50);
  const uint32_t second = Send(50, 400);
  EXPECT_EQ(gifts.book().totals().gifts, 2U);
  EXPECT_EQ(Unopened(), 6U);
  ExpectReconciles();
  workers.fake.Commit();
  EXPECT_EQ(workers.told[1].envelope_id, first);
  EXPECT_EQ(workers.told[1].unused_id, second);
  EXPECT_EQ(gifts.book().Find(second), nullptr);
  EXPECT_EQ(gifts.book().totals().gifts, 1U);
  EXPECT_EQ(gifts.book().totals().issued, envelope::Fen(300));
  EXPECT_EQ(Unopened(), 3U);
  EXPECT_EQ(workers.Count(Counter::kGiftsSent), 1U);
  EXPECT_EQ(workers.Count(Counter::kSendsRepeated), 1U);
  workers.Turn(2'000);
  EXPECT_EQ(workers.Count(Counter::kRefundedFen), 300U) << "only the one that was";
  workers.fake.Commit();
  EXPECT_EQ(workers.fake.refunds(), 1U);
  EXPECT_EQ(Unopened(), 0U);
}

TEST_F(GiftsLedgerTest, AnOpenedShareIsAnsweredByItsOutcomeAndASecondOpenBehindIt) {
  gifts.Handle(GiftOf(kGift, 300, kInvited));
  workers.fake.Commit();
  workers.told.clear();
  Open(kGift, 1, 11);
  Open(kGift, 1, 12);
  EXPECT_EQ(workers.Count(Counter::kOpened), 0U);
  EXPECT_TRUE(workers.posted.empty());
  EXPECT_EQ(workers.directory.last_stamp(1), 11U);
  ExpectReconciles();
  workers.fake.Commit();
  ASSERT_EQ(workers.told.size(), 2U);
  EXPECT_EQ(workers.told[0].kind, RecordKind::kOpen);
  EXPECT_EQ(workers.told[1].kind, RecordKind::kFindOpen);
  EXPECT_GT(workers.told[0].amount_fen, 0U);
  EXPECT_EQ(workers.told[0].amount_fen, workers.told[1].amount_fen);
  EXPECT_EQ(workers.told[1].stamp, 12U) << "each under its own stamp";
  EXPECT_EQ(workers.Count(Counter::kOpened), 1U);
  EXPECT_EQ(workers.Count(Counter::kOpenedAgain), 1U);
  EXPECT_EQ(workers.directory.grants(1), 0U);
  EXPECT_EQ(Unopened(), 2U);
}

TEST_F(GiftsLedgerTest, WhoeverIsNotInvitedGetsTheLedgersNo) {
  gifts.Handle(GiftOf(kGift, 300, kInvited));
  workers.fake.Commit();
  Open(kGift, 9);
  Open(kGift + 1, 1);
  workers.fake.Commit();
  EXPECT_EQ(workers.told.back().settled, Settled::kNone);
  EXPECT_EQ(workers.told.back().amount_fen, 0U);
  EXPECT_EQ(workers.Count(Counter::kOpensEmpty), 2U);
  EXPECT_EQ(workers.fake.grants(), 0U);
}

TEST_F(GiftsLedgerTest, WhatIsNotOpenedIsRefundedBehindTheOpensThatAreUnderWay) {
  const uint32_t id = Send(50);
  workers.fake.Commit();
  Open(id, 1, 11);
  workers.Turn(2'000);  // expires while the open is under way
  EXPECT_EQ(workers.fake.Newest().kind, RecordKind::kRefund);
  EXPECT_EQ(workers.fake.Newest().user_count, 2U);
  EXPECT_EQ(Unopened(), 1U) << "the opened share's count goes with its outcome";
  ExpectReconciles();
  workers.fake.Commit();
  EXPECT_EQ(workers.fake.GrantedFen() + workers.Count(Counter::kRefundedFen), 300U);
  EXPECT_EQ(Unopened(), 0U);
  Open(id, 1, 12);
  workers.fake.Commit();
  EXPECT_EQ(workers.told.back().amount_fen, workers.fake.GrantedFen()) << "the ledger knows also what has expired";
  Open(id, 2, 13);
  workers.fake.Commit();
  EXPECT_EQ(workers.told.back().amount_fen, 0U);
}

TEST_F(GiftsLedgerTest, AHeldGiftDoesNotExpireBeforeTheLedgerHasSpoken) {
  const uint32_t first = Send(50);
  workers.Turn(1'500);
  const uint32_t second = Send(50);
  workers.Turn(9'000);
  EXPECT_NE(gifts.book().Find(first), nullptr);
  EXPECT_NE(gifts.book().Find(second), nullptr);
  EXPECT_EQ(workers.Count(Counter::kRefundedFen), 0U);
  workers.fake.Commit();
  workers.Turn(9'001);
  EXPECT_EQ(gifts.book().Find(first), nullptr);
  EXPECT_EQ(workers.Count(Counter::kRefundedFen), 300U);
  workers.fake.Commit();
  EXPECT_EQ(workers.fake.refunds(), 1U);
  EXPECT_EQ(Unopened(), 0U);
}

TEST_F(GiftsLedgerTest, ANoticeFollowsEachOpenOnlyOnceItIsDurable) {
  for (uint32_t i = 0; i < 40; ++i) {
    gifts.Handle(GiftOf(kGift + i, 10, {1}));
    workers.fake.Commit();
  }
  TestWorkers::Peer one = workers.Login(1);
  workers.HandleGiftMessages();
  EXPECT_EQ(workers.posted.size(), Gifts::kRemindMax);
  workers.posted.clear();
  one.Feed(OpenFrame(1, kGift, 11));
  workers.HandleGiftMessages();
  EXPECT_TRUE(workers.posted.empty());
  workers.fake.Commit();
  EXPECT_EQ(workers.TakePosted<Notice>().gift.gift_id, kGift + Gifts::kRemindMax);
  EXPECT_TRUE(workers.posted.empty());
}

struct GiftsFullLedgerTest : GiftsLedgerTest {
  GiftsFullLedgerTest() : GiftsLedgerTest(WithLedger(/*credits=*/1)) {}
};

TEST_F(GiftsFullLedgerTest, WhatCanBeRefusedIsAndTheRestWaits) {
  gifts.Handle(GiftOf(kGift, 300, kInvited));
  workers.fake.Commit();
  workers.told.clear();
  Open(kGift, 1, 11);
  Open(kGift, 2, 12);  // drawn: it has to be recorded
  EXPECT_EQ(workers[0].ledger.parked(), 1U);
  Open(kGift, 1, 13);
  const OpenRefused refused = workers.TakePosted<OpenRefused>();
  EXPECT_EQ(Unpack(refused.address).slot, 1U) << "it shall come again: there is no answer that says later";
  uint32_t id = 0;
  EXPECT_EQ(gifts.Send({.sender = 7, .amount_fen = 300, .users = kInvited, .stamp = 1}, &id), wire::SendResult::kOverload);
  EXPECT_EQ(Unopened(), 3U);
  gifts.Handle(GiftOf(kGift + 1, 50, {3}));
  EXPECT_EQ(workers[0].ledger.parked(), 2U) << "a minted gift has nobody who could come again";
  EXPECT_EQ(workers.Count(Counter::kLedgerFull), 2U);
  ExpectReconciles();
  workers.fake.Commit();
  ASSERT_EQ(workers.told.size(), 3U);
  EXPECT_EQ(workers.told[0].stamp, 11U);
  EXPECT_EQ(workers.told[1].stamp, 12U);
  EXPECT_EQ(workers.told[2].envelope_id, kGift + 1);
}

// ---- what an earlier life left ----

struct GiftsRestoreTest : GiftsLedgerTest {
  bool confirmed = true;
  // `lives_ms` from now on (the fixture's clocks stand at 1,000 ms; the wall clock of the earlier life has gone on).
  void Restore(uint32_t id, int64_t lives_ms, const std::vector<uint32_t>& opened_fen = {0, 0, 0}) {
    const ledger::LiveGift gift{.id = id,
                                .sender = 7,
                                .total_fen = 300,
                                .created_ms = 1,
                                .expires_ms = kWallMs + lives_ms,
                                .users = kInvited,
                                .opened_fen = opened_fen};
    Gifts::CountUnopened(gift, workers.directory);
    gifts.Restore(gift, 1'000 * time::kNsPerMs, kWallMs * time::kNsPerMs, confirmed);
  }
  static constexpr int64_t kWallMs = 1'424'183'400'000;
};

TEST_F(GiftsRestoreTest, OpenedSharesStayOpenedAndTheRestIsToldOfAndOpened) {
  Restore(kGift, 500, {120, 0, 0});
  EXPECT_EQ(Unopened(), 2U);
  workers.Login(1);
  workers.HandleGiftMessages();
  EXPECT_TRUE(workers.posted.empty()) << "has opened it";
  TestWorkers::Peer two = workers.Login(2);
  workers.HandleGiftMessages();
  EXPECT_EQ(workers.TakePosted<Notice>().address, two.address);
  Open(kGift, 1, 11);
  EXPECT_EQ(workers.fake.Newest().kind, RecordKind::kFindOpen) << "the ledger has it";
  Open(kGift, 2, 12);
  Open(kGift, 3, 13);
  workers.fake.Commit();
  EXPECT_EQ(workers.fake.GrantedFen(), 180U);
}

TEST_F(GiftsRestoreTest, TheExpiryIsThatOfTheWallClock) {
  Restore(kGift, 500, {120, 0, 0});
  Restore(kGift + 1, -5'000);  // while nobody ran; the recovery has not seen it yet
  workers.Turn(1'001);
  EXPECT_EQ(gifts.book().Find(kGift + 1), nullptr);
  EXPECT_EQ(workers.Count(Counter::kRefundedFen), 300U);
  workers.Turn(1'499);
  EXPECT_NE(gifts.book().Find(kGift), nullptr);
  workers.Turn(1'500);
  EXPECT_EQ(gifts.book().Find(kGift), nullptr);
  EXPECT_EQ(workers.Count(Counter::kRefundedFen), 480U) << "what was opened before is not";
  EXPECT_EQ(Unopened(), 0U);
}

// A restart with a shorter --gift-expiry, or after the wall clock was set back.
TEST_F(GiftsRestoreTest, ByAClockThatNobodyConfirmedNothingExpires) {
  constexpr int64_t kDayMs = 86'400'000;
  confirmed = false;  // and it is a day ahead
  Restore(kGift, -kDayMs + 500);
  Restore(kGift + 1, -kDayMs - 5'000);
  gifts.BeginTurn((1'000 + 30 * kDayMs) * time::kNsPerMs, (kWallMs + 30 * kDayMs) * time::kNsPerMs);
  EXPECT_EQ(workers.Count(Counter::kRefundedShares), 0U);
  // Set right: the one has expired while nobody ran, the other has half a second.
  gifts.ConfirmClock(1'000 * time::kNsPerMs, (kWallMs - kDayMs) * time::kNsPerMs);
  gifts.BeginTurn(1'002 * time::kNsPerMs, (kWallMs - kDayMs + 2) * time::kNsPerMs);
  EXPECT_EQ(workers.Count(Counter::kRefundedShares), 3U);
  gifts.BeginTurn(1'499 * time::kNsPerMs, (kWallMs - kDayMs + 499) * time::kNsPerMs);
  EXPECT_EQ(workers.Count(Counter::kRefundedShares), 3U);
  gifts.BeginTurn(1'500 * time::kNsPerMs, (kWallMs - kDayMs + 500) * time::kNsPerMs);
  EXPECT_EQ(workers.Count(Counter::kRefundedShares), 6U);
}

TEST_F(GiftsRestoreTest, AWallClockThatIsSetBackMakesNoLifeShorter) {
  gifts.SetFloor((kWallMs - 1'000) * time::kNsPerMs);
  gifts.BeginTurn(1'000 * time::kNsPerMs, (kWallMs - 3'600'000) * time::kNsPerMs);
  Send(5);
  ASSERT_EQ(workers.fake.Newest().kind, RecordKind::kGift);
  EXPECT_EQ(workers.fake.Newest().expires_ms, kWallMs + 1'000);
}

TEST_F(GiftsRestoreTest, GiftsThatAreMadeLaterMayExpireEarlier) {
  Restore(kGift, 50'000);
  Restore(kGift + 1, 60'000);
  const uint32_t id = Send(50);
  workers.fake.Commit();
  EXPECT_EQ(Unopened(), 9U);
  workers.Turn(2'000);
  EXPECT_EQ(gifts.book().Find(id), nullptr);
  EXPECT_EQ(Unopened(), 6U);
  const uint32_t late = Send(51);
  workers.fake.Commit();
  workers.Turn(100'000);
  EXPECT_EQ(gifts.book().Find(late), nullptr);
  EXPECT_EQ(gifts.book().Find(kGift), nullptr);
  EXPECT_EQ(Unopened(), 0U);
  workers.fake.Commit();
  EXPECT_EQ(workers.fake.refunds(), 4U);
}

TEST_F(GiftsRestoreTest, NewIdsBeginBehindTheOnesThatWereUsed) {
  for (const uint64_t first_id : {kFirstSentGiftId + uint64_t{1'000}, kLastSentGiftId + uint64_t{1}}) {
    TestWorkers three({.workers = 3, .first_sent_id = first_id, .ledger_credits = 8});
    for (uint32_t worker = 0; worker < 3; ++worker) {
      uint32_t id = 0;
      const wire::SendResult result =
          three[worker].gifts.Send({.sender = 7, .amount_fen = 300, .users = kInvited, .stamp = 1}, &id);
      if (first_id > kLastSentGiftId) {
        EXPECT_EQ(result, wire::SendResult::kOverload) << "none is left";
        continue;
      }
      ASSERT_EQ(result, wire::SendResult::kOk);
      EXPECT_GE(id, first_id);
      EXPECT_LT(id, first_id + 3);
      EXPECT_EQ(OwnerOf(id, 3), worker);
    }
  }
}

// 65,535 is what is counted for a user; a file may hold more, of a clock that was set back, or of an older server.
TEST_F(GiftsRestoreTest, MoreUnopenedGiftsThanAreCountedAreNoReasonToFail) {
  const ledger::LiveGift gift{.id = kGift,
                              .sender = 7,
                              .total_fen = 300,
                              .created_ms = 1,
                              .expires_ms = kWallMs + 500,
                              .users = kInvited,
                              .opened_fen = {0, 0, 0}};
  for (int i = 0; i < 70'000; ++i) {
    Gifts::CountUnopened(gift, workers.directory);
  }
  EXPECT_EQ(workers.directory.sent(7), 70'000U);
  for (int i = 0; i < 70'000; ++i) {
    workers.directory.RemoveUnopened(1);
  }
  EXPECT_GT(workers.directory.unopened(1), 0U) << "nobody knows any more: a login asks";
}

TEST_F(GiftsLedgerTest, ADuplicateIsNotCountedAsTheSendersSecondGift) {
  Send(50);
  Send(50, 400);
  EXPECT_EQ(workers.directory.sent(7), 2U);
  workers.fake.Commit();
  EXPECT_EQ(workers.directory.sent(7), 1U);
}

TEST_F(GiftsLedgerTest, AFullFileTakesNothingOnThatMayEndInAGrant) {
  gifts.Handle(GiftOf(kGift, 300, kInvited));
  workers.fake.is_full = true;
  workers.fake.Commit();
  uint32_t id = 0;
  EXPECT_EQ(gifts.Send({.sender = 7, .amount_fen = 300, .users = kInvited, .stamp = 1}, &id), wire::SendResult::kOverload);
  Open(kGift, 1, 11);
  bool refused = false;
  for (const auto& [worker, message] : workers.posted) {
    refused = refused || std::holds_alternative<OpenRefused>(message);
  }
  EXPECT_TRUE(refused);
  EXPECT_EQ(gifts.book().totals().opened_shares, 0U) << "nothing is drawn that cannot be recorded";
}

}  // namespace
}  // namespace hongbao::serve
