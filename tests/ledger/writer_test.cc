#include "libhongbao/ledger/writer.h"

#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

class WriterTest : public ::testing::Test {
 protected:
  WriterTest() : ledger_(folder_.File()) {}

  TestFolder folder_;
  OpenedLedger ledger_;
};

TEST_F(WriterTest, AWinIsRecordedOncePerStamp) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 100));
  const Outcome first = ledger_.DoOne(Win(7, kLotId + 3, 100, 5'000));
  EXPECT_EQ(first.settled, Settled::kNew);
  EXPECT_EQ(first.envelope_id, kLotId + 3);
  const Outcome again = ledger_.DoOne(Win(7, kLotId + 4, 100, 5'000));
  EXPECT_EQ(again.settled, Settled::kRepeat);
  EXPECT_EQ(again.envelope_id, kLotId + 3);
  EXPECT_EQ(again.unused_id, kLotId + 4);
  EXPECT_EQ(again.unused_fen, 100u);
  EXPECT_EQ(ledger_.DoOne(Win(8, kLotId + 4, 100, 5'000)).settled, Settled::kNew) << "another user's stamp is another key";
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
}

TEST_F(WriterTest, ARepeatWithinOneBatchGetsTheFirstOutcome) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 100));
  std::vector<Outcome> outcomes;
  ledger_.writer().Begin();
  ledger_.writer().Apply(Win(7, kLotId, 100, 5'000), outcomes);
  ledger_.writer().Apply(Ask(RecordKind::kFindWin, 7, 5'000), outcomes);
  ASSERT_TRUE(ledger_.writer().Commit());
  EXPECT_EQ(outcomes[1].settled, Settled::kRepeat);
  EXPECT_EQ(outcomes[1].envelope_id, kLotId);
  EXPECT_EQ(outcomes[1].amount_fen, 100u);
}

// A worker that asks may be ahead of the one that has the request from an earlier connection of the user.
TEST_F(WriterTest, AGiftThatWasLookedForAndNotFoundIsTooLateForAnEarlierLogin) {
  Record ask = Ask(RecordKind::kFindSend, 7, 50);
  ask.login = 3;
  EXPECT_EQ(ledger_.DoOne(ask).settled, Settled::kNone);
  Record gift = MakeGift(kGiftId, 7, 300, {1, 2, 3}, 50);
  gift.login = 2;
  const Outcome late = ledger_.DoOne(gift);
  EXPECT_EQ(late.settled, Settled::kNone);
  EXPECT_EQ(late.unused_id, kGiftId);
  EXPECT_EQ(late.unused_fen, 300u);
  gift.login = 3;
  EXPECT_EQ(ledger_.DoOne(gift).settled, Settled::kNew) << "the session that was told so may try again";
  const Outcome found = ledger_.DoOne(ask);
  EXPECT_EQ(found.settled, Settled::kRepeat);
  EXPECT_EQ(found.envelope_id, kGiftId);
  EXPECT_EQ(found.amount_fen, 300u);
  gift.login = 2;
  gift.envelope_id = kGiftId + 1;
  EXPECT_EQ(ledger_.DoOne(gift).envelope_id, kGiftId) << "an earlier one learns what there is";
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
}

TEST_F(WriterTest, LoginsAreCountedAround) {
  Record ask = Ask(RecordKind::kFindSend, 7, 50);
  ask.login = 2;
  ledger_.DoOne(ask);
  Record gift = MakeGift(kGiftId, 7, 300, {1, 2, 3}, 50);
  gift.login = 0xffff'ffff;
  EXPECT_EQ(ledger_.DoOne(gift).settled, Settled::kNone);
}

TEST_F(WriterTest, WinsWithoutIdentityAreAllRecorded) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 100));
  EXPECT_EQ(ledger_.DoOne(Win(7, kLotId, 100)).settled, Settled::kNew);
  EXPECT_EQ(ledger_.DoOne(Win(7, kLotId + 1, 100)).settled, Settled::kNew);
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
}

TEST_F(WriterTest, TheSameShareTwiceFailsTheBatch) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 100));
  ledger_.DoOne(Win(7, kLotId, 100, 1));
  std::vector<Outcome> outcomes;
  ledger_.writer().Begin();
  ledger_.writer().Apply(Win(8, kLotId, 100, 2), outcomes);
  EXPECT_FALSE(ledger_.writer().Commit());
}

TEST_F(WriterTest, MoreThanTheLotHoldsFailsTheBatch) {
  ledger_.AddOrder(ShakeOrder(kLotId, 2, 100));
  std::vector<Outcome> outcomes;
  ledger_.writer().Begin();
  ledger_.writer().Apply(Win(8, kLotId, 201, 2), outcomes);
  EXPECT_FALSE(ledger_.writer().Commit());
}

TEST_F(WriterTest, ACancelledShareIsNotWonAnyMore) {
  ledger_.AddOrder(ShakeOrder(kLotId, 3, 100));
  ledger_.CancelOrder({.first_id = kLotId, .place = 1, .shares = 2, .amount = envelope::Fen(200)});
  EXPECT_EQ(ledger_.DoOne(Win(7, kLotId, 100, 1)).settled, Settled::kNew) << "what was issued stays";
  std::vector<Outcome> outcomes;
  ledger_.writer().Begin();
  ledger_.writer().Apply(Win(8, kLotId + 1, 100, 2), outcomes);
  EXPECT_FALSE(ledger_.writer().Commit());
}

TEST_F(WriterTest, ACancelInTheBatchOfTheLastWins) {
  ledger_.AddOrder(ShakeOrder(kLotId, 3, 100));
  std::vector<Outcome> outcomes;
  ledger_.writer().Begin();
  ledger_.writer().Apply(Win(8, kLotId, 100, 2), outcomes);
  ledger_.writer().ApplyCancel({.first_id = kLotId, .place = 1, .shares = 2, .amount = envelope::Fen(200)});
  ASSERT_TRUE(ledger_.writer().Commit()) << ledger_.writer().status();
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
  EXPECT_EQ(ledger_.db().Number("SELECT state FROM envelopes WHERE kind = 1"), 2);
}

TEST_F(WriterTest, MoreThanIsLeftIsNotCancelled) {
  ledger_.AddOrder(ShakeOrder(kLotId, 3, 100));
  ledger_.DoOne(Win(7, kLotId, 100, 1));
  ledger_.writer().Begin();
  ledger_.writer().ApplyCancel({.first_id = kLotId, .place = 0, .shares = 3, .amount = envelope::Fen(300)});
  EXPECT_FALSE(ledger_.writer().Commit());
}

TEST_F(WriterTest, ACommitLooksAtTheLotsThatItsBatchTouchedAndNoOther) {
  for (uint32_t i = 0; i < 100; ++i) {
    ledger_.AddOrder(ShakeOrder(kLotId + i * 10, 10, 100));
  }
  const auto looked_at = [&](const std::vector<Record>& records) {
    const uint64_t before = ledger_.writer().lots_looked_at();
    std::vector<Outcome> outcomes;
    ledger_.writer().Begin();
    for (const Record& record : records) {
      ledger_.writer().Apply(record, outcomes);
    }
    EXPECT_TRUE(ledger_.writer().Commit());
    return ledger_.writer().lots_looked_at() - before;
  };
  EXPECT_EQ(looked_at({Win(1, kLotId, 100, 1), Win(2, kLotId + 1, 100, 1), Win(3, kLotId + 10, 100, 1)}), 2U);
  EXPECT_EQ(looked_at({Ask(RecordKind::kStatement, 1)}), 0U);
  EXPECT_EQ(looked_at({Win(1, kLotId + 990, 100, 2)}), 1U);
}

TEST_F(WriterTest, TheGrantBehindTheLastThatAFileCanHoldIsRefusedInWords) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 100));
  Writer writer(ledger_.db(), {}, Writer::kGrantsMax - 1);
  writer.AddLots({{.order = ShakeOrder(kLotId, 10, 100)}});
  std::vector<Outcome> outcomes;
  writer.Begin();
  writer.Apply(Win(8, kLotId, 100, 2), outcomes);
  EXPECT_TRUE(writer.Commit()) << writer.status();
  writer.Begin();
  writer.Apply(Win(8, kLotId + 1, 100, 3), outcomes);
  EXPECT_FALSE(writer.Commit());
  EXPECT_NE(writer.status().ToString().find("start with a new file"), std::string::npos) << writer.status();
}

TEST_F(WriterTest, AnUnknownLotFailsTheBatch) {
  std::vector<Outcome> outcomes;
  ledger_.writer().Begin();
  ledger_.writer().Apply(Win(8, kLotId, 1, 2), outcomes);
  EXPECT_FALSE(ledger_.writer().Commit());
}

TEST_F(WriterTest, AGiftIsSentOncePerStampAndOpenedOncePerUser) {
  EXPECT_EQ(ledger_.DoOne(MakeGift(kGiftId, 7, 300, {1, 2, 3}, 50)).settled, Settled::kNew);
  const Outcome again = ledger_.DoOne(MakeGift(kGiftId + 1, 7, 300, {1, 2, 3}, 50));
  EXPECT_EQ(again.settled, Settled::kRepeat);
  EXPECT_EQ(again.envelope_id, kGiftId);
  EXPECT_EQ(again.unused_id, kGiftId + 1);
  EXPECT_EQ(ledger_.DoOne(OpenGift(2, kGiftId, 120, 60)).settled, Settled::kNew);
  EXPECT_EQ(ledger_.DoOne(Ask(RecordKind::kFindOpen, 2, 61, kGiftId)).amount_fen, 120u);
  EXPECT_EQ(ledger_.DoOne(Ask(RecordKind::kFindOpen, 1, 61, kGiftId)).settled, Settled::kNone);
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
}

TEST_F(WriterTest, AStampOfAnotherRequestDoesNotCostTheShare) {
  ledger_.AddOrder(ShakeOrder(kLotId, 2, 100));
  ledger_.Do({Win(1, kLotId, 100, 9), MakeGift(kGiftId, kNobody, 5, {1})});
  const Outcome opened = ledger_.DoOne(OpenGift(1, kGiftId, 5, 9));
  EXPECT_EQ(opened.settled, Settled::kNew);
  EXPECT_EQ(opened.amount_fen, 5u);
  EXPECT_EQ(ledger_.DoOne(Ask(RecordKind::kStatement, 1)).total_fen, 105u);
}

TEST_F(WriterTest, NobodyOpensUninvited) {
  ledger_.Do({MakeGift(kGiftId, kNobody, 300, {1, 2, 3})});
  std::vector<Outcome> outcomes;
  ledger_.writer().Begin();
  ledger_.writer().Apply(OpenGift(4, kGiftId, 100, 1), outcomes);
  EXPECT_FALSE(ledger_.writer().Commit());
}

TEST_F(WriterTest, ARefundIsWhatIsLeft) {
  ledger_.Do({MakeGift(kGiftId, 7, 300, {1, 2, 3}, 1),
              OpenGift(1, kGiftId, 100, 2),
              {.kind = RecordKind::kRefund, .user_count = 2, .envelope_id = kGiftId, .amount_fen = 200}});
  EXPECT_TRUE(ledger_.AuditAll().ok()) << ledger_.AuditAll();
  EXPECT_EQ(ledger_.db().Number("SELECT SUM(fen) FROM entries WHERE ref_kind = 3 AND credit = (4294967296 | 7)"), 200);
}

TEST_F(WriterTest, AResumeFindsWhatIsAboveTheStampPageByPage) {
  ledger_.AddOrder(ShakeOrder(kLotId, 200, 1));
  for (uint32_t i = 0; i < 150; ++i) {
    ledger_.DoOne(Win(7, kLotId + i, 1, 1'000 + i));
  }
  ledger_.DoOne(Win(7, kLotId + 150, 1));  // without identity: nothing to resume
  std::vector<uint64_t> stamps;
  uint32_t cursor = 0;
  int pages = 0;
  do {
    Record ask = Ask(RecordKind::kResume, 7, 1'009);
    ask.cursor = cursor;
    const std::vector<Outcome> outcomes = ledger_.Do({ask});
    for (const Outcome& outcome : outcomes) {
      if (outcome.resumed) {
        stamps.push_back(outcome.stamp);
      }
    }
    cursor = outcomes.back().cursor;
    ++pages;
  } while (cursor != 0);
  ASSERT_EQ(stamps.size(), 140u);
  EXPECT_EQ(stamps.front(), 1'149u);
  EXPECT_EQ(stamps.back(), 1'010u);
  EXPECT_EQ(pages, 3);
}

TEST_F(WriterTest, AResumeSeesPastGrantsThatWereCommittedOutOfStampOrder) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 1));
  ledger_.Do({Win(7, kLotId, 1, 2'000), Win(7, kLotId + 1, 1, 1'000), Win(7, kLotId + 2, 1, 1'001)});
  const std::vector<Outcome> outcomes = ledger_.Do({Ask(RecordKind::kResume, 7, 1'500)});
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_EQ(outcomes[0].stamp, 2'000u);
}

TEST_F(WriterTest, StampsAboveTheSignedRangeKeepTheirOrder) {
  ledger_.AddOrder(ShakeOrder(kLotId, 10, 1));
  const uint64_t huge = ~uint64_t{0};
  ledger_.Do({Win(7, kLotId, 1, 5), Win(7, kLotId + 1, 1, huge)});
  EXPECT_EQ(ledger_.DoOne(Win(7, kLotId + 2, 1, huge)).settled, Settled::kRepeat);
  EXPECT_EQ(ledger_.Do({Ask(RecordKind::kResume, 7, huge - 1)}).front().stamp, huge);
  ledger_.Reopen();
  EXPECT_EQ(ledger_.state.far_stamps, (std::vector<RequestName>{{7, huge}}));
  EXPECT_EQ(ledger_.DoOne(Win(7, kLotId + 3, 1, huge)).settled, Settled::kRepeat);
}

}  // namespace
}  // namespace hongbao::ledger
