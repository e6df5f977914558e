// Gifts that are durable before they are told of, and shares that are durable before they are paid.
#include <gtest/gtest.h>

#include "tests/serve/desk_fixture.h"

namespace hongbao::serve {
namespace {

using ledger::RecordKind;
using ledger::Settled;
using wire::Version;

constexpr uint32_t kGift = kFirstMintedGiftId;
const std::vector<uint32_t> kInvited = {1, 2, 3};

OfficeOptions WithLedger(uint32_t credits = 64) { return {.gift_expiry_ms = 1'000, .ledger_credits = credits}; }

Message Gift(uint32_t id, uint32_t fen, const std::vector<uint32_t>& users) {
  Message message{.kind = MessageKind::kGift, .user_count = static_cast<uint8_t>(users.size()), .envelope_id = id,
                  .amount_fen = fen};
  std::copy(users.begin(), users.end(), message.users);
  return message;
}

struct GiftDeskLedgerTest : testing::Test {
  explicit GiftDeskLedgerTest(const OfficeOptions& options = WithLedger()) : offices(options), desk(offices.desks[0]->gifts) {}
  ~GiftDeskLedgerTest() override {
    desk.book().Audit();
    ExpectReconciles();
  }

  void Open(uint32_t id, uint32_t user, uint64_t stamp = 1) {
    desk.Handle({.kind = MessageKind::kOpen, .has_identity = true, .user = user, .address = Pack({.generation = 1, .slot = user}),
                 .stamp = stamp, .envelope_id = id});
  }
  uint32_t Send(uint64_t stamp, uint32_t fen = 300) {
    uint32_t id = 0;
    EXPECT_EQ(desk.Send({.sender = 7, .amount_fen = fen, .users = kInvited, .stamp = stamp, .reply_to = 77}, &id),
              wire::SendResult::kOk);
    return id;
  }
  uint32_t Unopened() { return offices.directory.unopened(1) + offices.directory.unopened(2) + offices.directory.unopened(3); }
  // The counters and the book, whatever is under way.
  void ExpectReconciles() {
    const envelope::GiftTotals& totals = desk.book().totals();
    EXPECT_EQ(offices.Count(Counter::kGiftShares) + desk.pending_shares().count + totals.restored_shares, totals.shares);
    EXPECT_EQ(static_cast<int64_t>(offices.Count(Counter::kGiftsSentFen)) + desk.pending_shares().sum.value() +
                  totals.restored.value(),
              totals.issued.value());
    EXPECT_EQ(offices.Count(Counter::kOpened) + desk.pending_opens().count, totals.opened_shares);
    EXPECT_EQ(static_cast<int64_t>(offices.Count(Counter::kOpenedFen)) + desk.pending_opens().sum.value(),
              totals.opened.value());
    EXPECT_EQ(static_cast<int64_t>(offices.Count(Counter::kRefundedFen)), totals.refunded.value());
  }

  TestOffices offices;
  GiftDesk& desk;
};

TEST_F(GiftDeskLedgerTest, AHeldGiftIsNeitherToldOfNorOpened) {
  TestOffices::Peer one = offices.Login(1);
  desk.Handle(Gift(kGift, 300, kInvited));
  EXPECT_TRUE(offices.posted.empty()) << "nobody is told";
  EXPECT_EQ(offices.Count(Counter::kGiftsSent), 0U);
  ExpectReconciles();
  TestOffices::Peer two = offices.Login(2);
  offices.DeliverToDesks();
  EXPECT_TRUE(offices.posted.empty()) << "nor reminded at a login";
  Open(kGift, 1);
  EXPECT_EQ(desk.book().totals().opened_shares, 0U);
  offices.fake.Commit();
  EXPECT_EQ(offices.Count(Counter::kOpensEmpty), 1U) << "it was a guess";
  ASSERT_EQ(offices.posted.size(), 2U);
  EXPECT_EQ(offices.TakePosted(MessageKind::kNotice).address, one.address);
  EXPECT_EQ(offices.TakePosted(MessageKind::kNotice).address, two.address);
  EXPECT_EQ(offices.Count(Counter::kGiftsSentFen), 300U);
  EXPECT_FALSE(offices.told[0].has_stamp) << "a minted gift answers nobody";
}

TEST_F(GiftDeskLedgerTest, ACancelledDuplicateLeavesNoTrace) {
  const uint32_t first = Send(50);
  const uint32_t second = Send(50, 400);
  EXPECT_EQ(desk.book().totals().gifts, 2U);
  EXPECT_EQ(Unopened(), 6U);
  ExpectReconciles();
  offices.fake.Commit();
  EXPECT_EQ(offices.told[1].envelope_id, first);
  EXPECT_EQ(offices.told[1].unused_id, second);
  EXPECT_EQ(desk.book().Find(second), nullptr);
  EXPECT_EQ(desk.book().totals().gifts, 1U);
  EXPECT_EQ(desk.book().totals().issued, envelope::Fen(300));
  EXPECT_EQ(Unopened(), 3U);
  EXPECT_EQ(offices.Count(Counter::kGiftsSent), 1U);
  EXPECT_EQ(offices.Count(Counter::kSendsRepeated), 1U);
  offices.Turn(2'000);
  EXPECT_EQ(offices.Count(Counter::kRefundedFen), 300U) << "only the one that was";
  offices.fake.Commit();
  EXPECT_EQ(offices.fake.refunds(), 1U);
  EXPECT_EQ(Unopened(), 0U);
}

TEST_F(GiftDeskLedgerTest, AnOpenedShareIsAnsweredByItsOutcomeAndASecondOpenBehindIt) {
  desk.Handle(Gift(kGift, 300, kInvited));
  offices.fake.Commit();
  offices.told.clear();
  Open(kGift, 1, 11);
  Open(kGift, 1, 12);
  EXPECT_EQ(offices.Count(Counter::kOpened), 0U);
  EXPECT_TRUE(offices.posted.empty());
  EXPECT_EQ(offices.directory.last_stamp(1), 11U);
  ExpectReconciles();
  offices.fake.Commit();
  ASSERT_EQ(offices.told.size(), 2U);
  EXPECT_EQ(offices.told[0].kind, RecordKind::kOpen);
  EXPECT_EQ(offices.told[1].kind, RecordKind::kFindOpen);
  EXPECT_GT(offices.told[0].amount_fen, 0U);
  EXPECT_EQ(offices.told[0].amount_fen, offices.told[1].amount_fen);
  EXPECT_EQ(offices.told[1].stamp, 12U) << "each under its own stamp";
  EXPECT_EQ(offices.Count(Counter::kOpened), 1U);
  EXPECT_EQ(offices.Count(Counter::kOpenedAgain), 1U);
  EXPECT_EQ(offices.directory.grants(1), 0U);
  EXPECT_EQ(Unopened(), 2U);
}

TEST_F(GiftDeskLedgerTest, WhoeverIsNotInvitedGetsTheLedgersNo) {
  desk.Handle(Gift(kGift, 300, kInvited));
  offices.fake.Commit();
  Open(kGift, 9);
  Open(kGift + 1, 1);
  offices.fake.Commit();
  EXPECT_EQ(offices.told.back().settled, Settled::kNone);
  EXPECT_EQ(offices.told.back().amount_fen, 0U);
  EXPECT_EQ(offices.Count(Counter::kOpensEmpty), 2U);
  EXPECT_EQ(offices.fake.grants(), 0U);
}

TEST_F(GiftDeskLedgerTest, WhatIsNotOpenedIsRefundedBehindTheOpensThatAreUnderWay) {
  const uint32_t id = Send(50);
  offices.fake.Commit();
  Open(id, 1, 11);
  offices.Turn(2'000);  // expires while the open is under way
  EXPECT_EQ(offices.fake.Newest().kind, RecordKind::kRefund);
  EXPECT_EQ(offices.fake.Newest().user_count, 2U);
  EXPECT_EQ(Unopened(), 1U) << "the opened share's count goes with its outcome";
  ExpectReconciles();
  offices.fake.Commit();
  EXPECT_EQ(offices.fake.GrantedFen() + offices.Count(Counter::kRefundedFen), 300U);
  EXPECT_EQ(Unopened(), 0U);
  Open(id, 1, 12);
  offices.fake.Commit();
  EXPECT_EQ(offices.told.back().amount_fen, offices.fake.GrantedFen()) << "the ledger knows also what has expired";
  Open(id, 2, 13);
  offices.fake.Commit();
  EXPECT_EQ(offices.told.back().amount_fen, 0U);
}

TEST_F(GiftDeskLedgerTest, AHeldGiftDoesNotExpireBeforeTheLedgerHasSpoken) {
  const uint32_t first = Send(50);
  offices.Turn(1'500);
  const uint32_t second = Send(50);
  offices.Turn(9'000);
  EXPECT_NE(desk.book().Find(first), nullptr);
  EXPECT_NE(desk.book().Find(second), nullptr);
  EXPECT_EQ(offices.Count(Counter::kRefundedFen), 0U);
  offices.fake.Commit();
  offices.Turn(9'001);
  EXPECT_EQ(desk.book().Find(first), nullptr);
  EXPECT_EQ(offices.Count(Counter::kRefundedFen), 300U);
  offices.fake.Commit();
  EXPECT_EQ(offices.fake.refunds(), 1U);
  EXPECT_EQ(Unopened(), 0U);
}

TEST_F(GiftDeskLedgerTest, ANoticeFollowsEachOpenOnlyOnceItIsDurable) {
  for (uint32_t i = 0; i < 40; ++i) {
    desk.Handle(Gift(kGift + i, 10, {1}));
    offices.fake.Commit();
  }
  TestOffices::Peer one = offices.Login(1);
  offices.DeliverToDesks();
  EXPECT_EQ(offices.posted.size(), GiftDesk::kRemindMax);
  offices.posted.clear();
  one.Feed(OpenFrame(1, kGift, 11));
  offices.DeliverToDesks();
  EXPECT_TRUE(offices.posted.empty());
  offices.fake.Commit();
  EXPECT_EQ(offices.TakePosted(MessageKind::kNotice).envelope_id, kGift + GiftDesk::kRemindMax);
  EXPECT_TRUE(offices.posted.empty());
}

struct GiftDeskFullLedgerTest : GiftDeskLedgerTest {
  GiftDeskFullLedgerTest() : GiftDeskLedgerTest(WithLedger(/*credits=*/1)) {}
};

TEST_F(GiftDeskFullLedgerTest, WhatCanBeRefusedIsAndTheRestWaits) {
  desk.Handle(Gift(kGift, 300, kInvited));
  offices.fake.Commit();
  offices.told.clear();
  Open(kGift, 1, 11);
  Open(kGift, 2, 12);  // drawn: it has to be recorded
  EXPECT_EQ(offices.desks[0]->ledger.parked(), 1U);
  Open(kGift, 1, 13);
  const Message refused = offices.TakePosted(MessageKind::kRefuseOpen);
  EXPECT_EQ(refused.user, 1U) << "it shall come again: there is no answer that says later";
  uint32_t id = 0;
  EXPECT_EQ(desk.Send({.sender = 7, .amount_fen = 300, .users = kInvited, .stamp = 1}, &id), wire::SendResult::kOverload);
  EXPECT_EQ(Unopened(), 3U);
  desk.Handle(Gift(kGift + 1, 50, {3}));
  EXPECT_EQ(offices.desks[0]->ledger.parked(), 2U) << "a minted gift has nobody who could come again";
  EXPECT_EQ(offices.Count(Counter::kLedgerFull), 2U);
  ExpectReconciles();
  offices.fake.Commit();
  ASSERT_EQ(offices.told.size(), 3U);
  EXPECT_EQ(offices.told[0].stamp, 11U);
  EXPECT_EQ(offices.told[1].stamp, 12U);
  EXPECT_EQ(offices.told[2].envelope_id, kGift + 1);
}

// ---- what an earlier life left ----

struct GiftDeskRestoreTest : GiftDeskLedgerTest {
  bool confirmed = true;
  // `lives_ms` from now on (the fixture's clocks stand at 1,000 ms; the wall clock of the earlier life has gone on).
  void Restore(uint32_t id, int64_t lives_ms, const std::vector<uint32_t>& opened_fen = {0, 0, 0}) {
    const ledger::LiveGift gift{.id = id, .sender = 7, .total_fen = 300, .created_ms = 1,
                                .expires_ms = kWallMs + lives_ms, .users = kInvited, .opened_fen = opened_fen};
    GiftDesk::CountUnopened(gift, offices.directory);
    desk.Restore(gift, 1'000 * time::kNsPerMs, kWallMs * time::kNsPerMs, confirmed);
  }
  static constexpr int64_t kWallMs = 1'424'183'400'000;
};

TEST_F(GiftDeskRestoreTest, OpenedSharesStayOpenedAndTheRestIsToldOfAndOpened) {
  Restore(kGift, 500, {120, 0, 0});
  EXPECT_EQ(Unopened(), 2U);
  offices.Login(1);
  offices.DeliverToDesks();
  EXPECT_TRUE(offices.posted.empty()) << "has opened it";
  TestOffices::Peer two = offices.Login(2);
  offices.DeliverToDesks();
  EXPECT_EQ(offices.TakePosted(MessageKind::kNotice).address, two.address);
  Open(kGift, 1, 11);
  EXPECT_EQ(offices.fake.Newest().kind, RecordKind::kFindOpen) << "the ledger has it";
  Open(kGift, 2, 12);
  Open(kGift, 3, 13);
  offices.fake.Commit();
  EXPECT_EQ(offices.fake.GrantedFen(), 180U);
}

TEST_F(GiftDeskRestoreTest, TheExpiryIsThatOfTheWallClock) {
  Restore(kGift, 500, {120, 0, 0});
  Restore(kGift + 1, -5'000);  // while nobody ran; the recovery has not seen it yet
  offices.Turn(1'001);
  EXPECT_EQ(desk.book().Find(kGift + 1), nullptr);
  EXPECT_EQ(offices.Count(Counter::kRefundedFen), 300U);
  offices.Turn(1'499);
  EXPECT_NE(desk.book().Find(kGift), nullptr);
  offices.Turn(1'500);
  EXPECT_EQ(desk.book().Find(kGift), nullptr);
  EXPECT_EQ(offices.Count(Counter::kRefundedFen), 480U) << "what was opened before is not";
  EXPECT_EQ(Unopened(), 0U);
}

// A restart with a shorter --gift-expiry, or after the wall clock was set back.
TEST_F(GiftDeskRestoreTest, ByAClockThatNobodyConfirmedNothingExpires) {
  constexpr int64_t kDayMs = 86'400'000;
  confirmed = false;  // and it is a day ahead
  Restore(kGift, -kDayMs + 500);
  Restore(kGift + 1, -kDayMs - 5'000);
  desk.BeginTurn((1'000 + 30 * kDayMs) * time::kNsPerMs, (kWallMs + 30 * kDayMs) * time::kNsPerMs);
  EXPECT_EQ(offices.Count(Counter::kRefundedShares), 0U);
  // Set right: the one has expired while nobody ran, the other has half a second.
  desk.ConfirmClock(1'000 * time::kNsPerMs, (kWallMs - kDayMs) * time::kNsPerMs);
  desk.BeginTurn(1'002 * time::kNsPerMs, (kWallMs - kDayMs + 2) * time::kNsPerMs);
  EXPECT_EQ(offices.Count(Counter::kRefundedShares), 3U);
  desk.BeginTurn(1'499 * time::kNsPerMs, (kWallMs - kDayMs + 499) * time::kNsPerMs);
  EXPECT_EQ(offices.Count(Counter::kRefundedShares), 3U);
  desk.BeginTurn(1'500 * time::kNsPerMs, (kWallMs - kDayMs + 500) * time::kNsPerMs);
  EXPECT_EQ(offices.Count(Counter::kRefundedShares), 6U);
}

TEST_F(GiftDeskRestoreTest, AWallClockThatIsSetBackMakesNoLifeShorter) {
  desk.SetFloor((kWallMs - 1'000) * time::kNsPerMs);
  desk.BeginTurn(1'000 * time::kNsPerMs, (kWallMs - 3'600'000) * time::kNsPerMs);
  Send(5);
  ASSERT_EQ(offices.fake.Newest().kind, RecordKind::kGift);
  EXPECT_EQ(offices.fake.Newest().expires_ms, kWallMs + 1'000);
}

TEST_F(GiftDeskRestoreTest, GiftsThatAreMadeLaterMayExpireEarlier) {
  Restore(kGift, 50'000);
  Restore(kGift + 1, 60'000);
  const uint32_t id = Send(50);
  offices.fake.Commit();
  EXPECT_EQ(Unopened(), 9U);
  offices.Turn(2'000);
  EXPECT_EQ(desk.book().Find(id), nullptr);
  EXPECT_EQ(Unopened(), 6U);
  const uint32_t late = Send(51);
  offices.fake.Commit();
  offices.Turn(100'000);
  EXPECT_EQ(desk.book().Find(late), nullptr);
  EXPECT_EQ(desk.book().Find(kGift), nullptr);
  EXPECT_EQ(Unopened(), 0U);
  offices.fake.Commit();
  EXPECT_EQ(offices.fake.refunds(), 4U);
}

TEST_F(GiftDeskRestoreTest, NewIdsBeginBehindTheOnesThatWereUsed) {
  for (uint32_t worker = 0; worker < 3; ++worker) {
    TestOffices three({.workers = 3, .ledger_credits = 8});
    LedgerDesk ledger(&three.fake, worker, 8);
    GiftDesk next({.worker = worker, .workers = 3, .first_sent_id = kFirstSentGiftId + 1'000}, &three.directory, &ledger,
                  &three.desks[0]->cells, three.Poster());
    uint32_t id = 0;
    ASSERT_EQ(next.Send({.sender = 7, .amount_fen = 300, .users = kInvited, .stamp = 1}, &id), wire::SendResult::kOk);
    EXPECT_GE(id, kFirstSentGiftId + 1'000);
    EXPECT_LT(id, kFirstSentGiftId + 1'003);
    EXPECT_EQ(OwnerOf(id, 3), worker);
  }
  LedgerDesk ledger(&offices.fake, 0, 8);
  GiftDesk last({.first_sent_id = uint64_t{kLastSentGiftId} + 1}, &offices.directory, &ledger, &offices.desks[0]->cells,
                offices.Poster());
  uint32_t id = 0;
  EXPECT_EQ(last.Send({.sender = 7, .amount_fen = 300, .users = kInvited, .stamp = 1}, &id), wire::SendResult::kOverload)
      << "none is left";
}

// 65,535 is what is counted for a user; a file may hold more, of a clock that was set back, or of an older server.
TEST_F(GiftDeskRestoreTest, MoreUnopenedGiftsThanAreCountedAreNoReasonToFail) {
  const ledger::LiveGift gift{.id = kGift, .sender = 7, .total_fen = 300, .created_ms = 1, .expires_ms = kWallMs + 500,
                              .users = kInvited, .opened_fen = {0, 0, 0}};
  for (int i = 0; i < 70'000; ++i) {
    GiftDesk::CountUnopened(gift, offices.directory);
  }
  EXPECT_EQ(offices.directory.sent(7), 70'000U);
  for (int i = 0; i < 70'000; ++i) {
    offices.directory.RemoveUnopened(1);
  }
  EXPECT_GT(offices.directory.unopened(1), 0U) << "nobody knows any more: a login asks";
}

TEST_F(GiftDeskLedgerTest, ADuplicateIsNotCountedAsTheSendersSecondGift) {
  Send(50);
  Send(50, 400);
  EXPECT_EQ(offices.directory.sent(7), 2U);
  offices.fake.Commit();
  EXPECT_EQ(offices.directory.sent(7), 1U);
}

TEST_F(GiftDeskLedgerTest, AFullFileTakesNothingOnThatMayEndInAGrant) {
  desk.Handle(Gift(kGift, 300, kInvited));
  offices.fake.is_full = true;
  offices.fake.Commit();
  uint32_t id = 0;
  EXPECT_EQ(desk.Send({.sender = 7, .amount_fen = 300, .users = kInvited, .stamp = 1}, &id), wire::SendResult::kOverload);
  Open(kGift, 1, 11);
  bool refused = false;
  for (const auto& [worker, message] : offices.posted) {
    refused = refused || message.kind == MessageKind::kRefuseOpen;
  }
  EXPECT_TRUE(refused);
  EXPECT_EQ(desk.book().totals().opened_shares, 0U) << "nothing is drawn that cannot be recorded";
}

}  // namespace
}  // namespace hongbao::serve
