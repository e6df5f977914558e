#include "libhongbao/serve/ledger_lane.h"

#include <gtest/gtest.h>

#include "libhongbao/serve/returned.h"
#include "tests/serve/fake_ledger.h"

namespace hongbao::serve {
namespace {

struct LedgerLaneTest : testing::Test, ledger::OutcomeSink {
  LedgerLaneTest() { fake.Start(2, 3, this); }
  void Deliver(uint32_t of_worker, const ledger::Outcome& outcome) override {
    EXPECT_EQ(of_worker, 1U);
    users.push_back(outcome.user);
    lane.ReturnCredit(outcome.kind);
  }
  void Submit(uint32_t user, ledger::RecordKind kind = ledger::RecordKind::kRefund) {
    lane.Submit({.kind = kind, .user = user, .envelope_id = user});
  }

  FakeLedger fake;
  LedgerLane lane{&fake, 1, 3};
  std::vector<uint32_t> users;
};

TEST_F(LedgerLaneTest, WithoutALedgerNothingIsDurable) { EXPECT_FALSE(LedgerLane(nullptr, 0, 0).durable()); }

TEST_F(LedgerLaneTest, NeverMoreRecordsUnderWayThanCreditsAndAllInOrder) {
  EXPECT_TRUE(lane.durable());
  for (uint32_t user = 0; user < 10; ++user) {
    EXPECT_EQ(lane.full(), user >= 3);
    EXPECT_EQ(lane.swamped(), user >= 6) << user;
    Submit(user);
    EXPECT_EQ(fake.waiting(), std::min(user + 1, 3U)) << "FakeLedger aborts beyond the credits";
  }
  EXPECT_EQ(lane.parked(), 7U);
  fake.Commit(1);
  EXPECT_TRUE(lane.full()) << "a credit goes to what was parked first";
  EXPECT_EQ(lane.parked(), 6U);
  Submit(10);
  EXPECT_EQ(lane.parked(), 7U) << "nothing overtakes";
  fake.Commit();
  EXPECT_EQ(users, (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(lane.in_flight(), 0U);
  EXPECT_FALSE(lane.full());
}

TEST_F(LedgerLaneTest, QuestionsHaveHalfOfTheCredits) {
  Submit(1, ledger::RecordKind::kStatement);
  EXPECT_FALSE(lane.swamped());
  Submit(2, ledger::RecordKind::kFindWin);
  EXPECT_TRUE(lane.swamped()) << "half of three, rounded up";
  EXPECT_FALSE(lane.full()) << "there is room for money";
  Submit(3);
  EXPECT_TRUE(lane.full());
  fake.Commit();
  EXPECT_FALSE(lane.swamped());
}

TEST(ReturnedTest, GivesBackEachOnce) {
  Returned returned;
  EXPECT_TRUE(returned.TakeEnvelopes().empty());
  returned.GiveEnvelope({.id = 1, .amount = envelope::Fen(5)});
  returned.GiveEnvelope({.id = 2, .amount = envelope::Fen(6)});
  EXPECT_EQ(returned.TakeEnvelopes().size(), 2U);
  EXPECT_TRUE(returned.TakeEnvelopes().empty());
}

}  // namespace
}  // namespace hongbao::serve
