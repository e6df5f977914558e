#include "libhongbao/serve/ledger_desk.h"

#include <gtest/gtest.h>

#include "libhongbao/serve/returned.h"
#include "tests/serve/fake_ledger.h"

namespace hongbao::serve {
namespace {

struct LedgerDeskTest : testing::Test, ledger::OutcomeSink {
  LedgerDeskTest() { fake.Start(2, 3, this); }
  void Deliver(uint32_t lane, const ledger::Outcome& outcome) override {
    EXPECT_EQ(lane, 1U);
    users.push_back(outcome.user);
    desk.Settle(outcome.kind);
  }
  void Submit(uint32_t user, ledger::RecordKind kind = ledger::RecordKind::kRefund) {
    desk.Submit({.kind = kind, .user = user, .envelope_id = user});
  }

  FakeLedger fake;
  LedgerDesk desk{&fake, 1, 3};
  std::vector<uint32_t> users;
};

TEST_F(LedgerDeskTest, WithoutALedgerNothingIsDurable) { EXPECT_FALSE(LedgerDesk(nullptr, 0, 0).durable()); }

TEST_F(LedgerDeskTest, NeverMoreRecordsUnderWayThanCreditsAndAllInOrder) {
  EXPECT_TRUE(desk.durable());
  for (uint32_t user = 0; user < 10; ++user) {
    EXPECT_EQ(desk.full(), user >= 3);
    EXPECT_EQ(desk.swamped(), user >= 6) << user;
    Submit(user);
    EXPECT_EQ(fake.waiting(), std::min(user + 1, 3U)) << "FakeLedger aborts beyond the credits";
  }
  EXPECT_EQ(desk.parked(), 7U);
  fake.Commit(1);
  EXPECT_TRUE(desk.full()) << "a credit goes to what was parked first";
  EXPECT_EQ(desk.parked(), 6U);
  Submit(10);
  EXPECT_EQ(desk.parked(), 7U) << "nothing overtakes";
  fake.Commit();
  EXPECT_EQ(users, (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(desk.in_flight(), 0U);
  EXPECT_FALSE(desk.full());
}

TEST_F(LedgerDeskTest, QuestionsHaveHalfOfTheCredits) {
  Submit(1, ledger::RecordKind::kStatement);
  EXPECT_FALSE(desk.swamped());
  Submit(2, ledger::RecordKind::kFindWin);
  EXPECT_TRUE(desk.swamped()) << "half of three, rounded up";
  EXPECT_FALSE(desk.full()) << "there is room for money";
  Submit(3);
  EXPECT_TRUE(desk.full());
  fake.Commit();
  EXPECT_FALSE(desk.swamped());
}

TEST(ReturnedTest, GivesBackEachOnce) {
  Returned returned;
  EXPECT_TRUE(returned.TakeAll().empty());
  returned.Give({.id = 1, .amount = envelope::Fen(5)});
  returned.Give({.id = 2, .amount = envelope::Fen(6)});
  EXPECT_EQ(returned.TakeAll().size(), 2U);
  EXPECT_TRUE(returned.TakeAll().empty());
}

}  // namespace
}  // namespace hongbao::serve
