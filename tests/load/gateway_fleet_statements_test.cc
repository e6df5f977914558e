#include "fleet_fixture.h"
#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

using wire::FrameType;

class GatewayStatements : public GatewayFixture {
 protected:
  // Until nothing more is asked; every user got `won` beside the base.
  void AskAll(std::map<uint32_t, std::pair<uint32_t, uint64_t>> won = {}) {
    StopAndAskStatements();
    for (int i = 0; i < 50 && !tally.statements_done.load(); ++i) {
      Turn();
      for (const Frame& frame : Take(FrameType::kStatementRequest)) {
        const auto base = bases[frame.user()];
        Deliver(frame.slot, Statement(frame, base.first + won[frame.user()].first, base.second + won[frame.user()].second));
      }
    }
    EXPECT_TRUE(tally.statements_done.load());
  }
  Frames AwaitStatements() {
    for (int i = 0; i < 300; ++i) {
      Run(20 * kMs, 10 * kMs);
      AcceptAll();
      Frames asked;
      for (const Frame& frame : TakeAll()) {
        if (frame.type == FrameType::kStatementRequest)
          asked.push_back(frame);
        else
          Answer(frame);
      }
      if (!asked.empty()) return asked;
    }
    return {};
  }
};

TEST_F(GatewayStatements, BasesAreAskedBeforeTheFirstRequestASetAtATime) {
  Make(2'000, {.gateways = 2});
  Plan(10'000, kStartSecond + 1);
  Frames asked = AwaitStatements();
  clock.Advance((kStartSecond + 1) * kSecond + 100 * kMs - clock.WallNs());
  EXPECT_EQ(asked.size(), 2 * kGatewayStatementsMax);
  EXPECT_EQ(tally.all_online_ns.load(), 0);
  uint64_t bases_asked = 0;
  while (!asked.empty()) {
    for (const Frame& frame : asked) {
      EXPECT_EQ(frame.type, FrameType::kStatementRequest);
      Deliver(frame.slot, Statement(frame, frame.user() == 7 ? 2 : 0, frame.user() == 7 ? 358 : 0));
      ++bases_asked;
    }
    Turn();
    if (tally.all_online_ns.load() != 0) break;
    asked = Take(FrameType::kStatementRequest);
    if (asked.empty()) asked = AwaitStatements();
  }
  EXPECT_EQ(bases_asked, 2'000u);
  ExpectCounts({{kStatementBases, 1}, {kStatementBasesFen, 358}, {kOnline, 2'000}, {kStatementsAsked, 0}});
  Turn();
  EXPECT_FALSE(TakeShakes().empty());  // and now it sends, late, what was due meanwhile
  EXPECT_GT(Count(Counter::kLate), 0u);
  ExpectIdentities();
}

TEST_F(GatewayStatements, EveryUserIsComparedAtTheEnd) {
  bases[3] = {2, 358};
  Make(1'200, {.gateways = 2});
  LogInAll();
  ASSERT_EQ(Count(Counter::kOnline), 1'200u);
  Plan(20'000, kStartSecond + 100);
  clock.Advance((kStartSecond + 100) * kSecond - kMs - clock.WallNs());
  Run(100 * kMs);
  std::map<uint32_t, std::pair<uint32_t, uint64_t>> won;
  uint32_t i = 0;
  for (const Frame& shake : TakeShakes()) {
    if (++i % 10 != 0) {
      Deliver(shake.slot, Nothing(shake));
    } else {
      Deliver(shake.slot, Won(shake, i, 100 + i));
      ++won[shake.user()].first;
      won[shake.user()].second += 100 + i;
    }
  }
  AskAll(won);
  ExpectCounts({{kStatementsAsked, 1'200}, {kStatementsEqual, 1'200}});
  ExpectIdentities();
}

TEST_F(GatewayStatements, ADifferenceIsToldWithBothSides) {
  Make(20);
  LogInAll();
  AskAll({{5, {1, 77}}});
  ExpectCounts({{kStatementsEqual, 19}, {kStatementsDifferent, 1}});
  StatementDifference difference;
  ASSERT_TRUE(tally.differences.Pop(difference));
  EXPECT_EQ(difference.user, 5u);
  EXPECT_EQ(difference.own_grants, 0u);
  EXPECT_EQ(difference.server_grants, 1u);
  EXPECT_EQ(difference.server_fen, 77u);
  ExpectIdentities();
}

TEST_F(GatewayStatements, AReconnectRepeatsBasesAndStatementsThatWereNotAnswered) {
  Make(20);
  Frames asked = AwaitStatements();
  ASSERT_EQ(asked.size(), 20u);
  for (size_t i = 0; i < 15; ++i) Deliver(asked[i].slot, Statement(asked[i], 1, i));
  Hang(asked[0].slot);
  Frames again = AwaitStatements();
  EXPECT_EQ(again, Frames(asked.begin() + 15, asked.end()));
  for (const Frame& frame : again) Deliver(frame.slot, Statement(frame, 1, frame.user()));
  ExpectCounts({{kOnline, 20}, {kStatementBases, 20}});
  for (uint32_t user = 0; user < 20; ++user) bases[user] = {1, user};
  StopAndAskStatements();
  asked = Take(FrameType::kStatementRequest);
  ASSERT_EQ(asked.size(), 20u);
  Hang(asked[0].slot);
  for (const Frame& frame : AwaitStatements()) Deliver(frame.slot, Statement(frame, 1, frame.user()));
  Turn();
  EXPECT_TRUE(tally.statements_done.load());
  EXPECT_EQ(Count(Counter::kStatementsEqual), 20u);
  ExpectIdentities();
}

TEST_F(GatewayStatements, AStatementThatWasNotAskedEndsTheConnection) {
  Make(20);
  LogInAll();
  StopAndAskStatements();
  const Frames asked = Take(FrameType::kStatementRequest);
  ASSERT_EQ(asked.size(), 20u);
  Deliver(asked[3].slot, Statement(asked[3], 0, 0));
  Deliver(asked[3].slot, Statement(asked[3], 9, 9));
  ExpectCounts({{kStatementsDifferent, 0}, {kUnexpected, 1}, {kClosed, 1}});
}

TEST_F(GatewayStatements, GiftsWaitForTheBases) {
  Make(4);
  const Frames asked = AwaitStatements();
  ASSERT_EQ(asked.size(), 4u);
  Deliver(asked[0].slot, Notice(0x8000'0001, {1}));
  Turn();
  EXPECT_TRUE(Take(FrameType::kOpenRequest).empty());
  for (const Frame& frame : asked) Deliver(frame.slot, Statement(frame, 0, 0));
  Turn();
  const Frame open = Only(Take(FrameType::kOpenRequest));
  Deliver(open.slot, OpenAnswer(open, 43));
  AskAll({{1, {1, 43}}});
  EXPECT_EQ(Count(Counter::kStatementsEqual), 4u);
  ExpectIdentities();
}

TEST_F(GatewayStatements, WhoCannotBeComparedIsSkipped) {
  Make(30, {.gateways = 3});
  LogInAll();
  Plan(3'000, kStartSecond + 100);
  clock.Advance((kStartSecond + 100) * kSecond - kMs - clock.WallNs());
  Run(100 * kMs);
  for (const Frame& shake : TakeShakes()) {
    if (shake.user() >= 10) Deliver(shake.slot, Nothing(shake));  // the first gateway waits for answers
  }
  AskAll();
  ExpectCounts({{kStatementsSkipped, 10}, {kStatementsEqual, 20}});
  ExpectIdentities();
}

TEST_F(GatewayStatements, TheEndSkipsWhoHasNotAnswered) {
  Make(2'000);
  const Frames bases_asked = AwaitStatements();
  ASSERT_EQ(bases_asked.size(), kGatewayStatementsMax);
  StopAndAskStatements();
  EXPECT_TRUE(tally.statements_done.load());  // without a base nothing can be compared
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 2'000u);
  Deliver(bases_asked[0].slot, Statement(bases_asked[0], 1, 1));  // too late, but no offence
  EXPECT_EQ(Count(Counter::kUnexpected), 0u);
  ExpectIdentities();
}

TEST_F(GatewayStatements, TheEndInTheMiddleOfTheQuestionsSkipsTheRest) {
  Make(2'000);
  LogInAll();
  ASSERT_EQ(Count(Counter::kOnline), 2'000u);
  StopAndAskStatements();
  const Frames asked = Take(FrameType::kStatementRequest);
  ASSERT_EQ(asked.size(), kGatewayStatementsMax);
  for (size_t i = 0; i < 100; ++i) Deliver(asked[i].slot, Statement(asked[i], 0, 0));
  fleet->OnDrain();
  EXPECT_TRUE(tally.statements_done.load());
  ExpectCounts({{kStatementsEqual, 100}, {kStatementsSkipped, 1'900}});
  ExpectIdentities();
}

TEST_F(GatewayStatements, WithoutStatementsNoBaseIsAsked) {
  Make(20, {.statements = false});
  Run(kMs);
  AcceptAll();
  for (const Frame& frame : TakeAll()) Answer(frame);
  Turn();
  EXPECT_TRUE(TakeAll().empty());
  EXPECT_EQ(Count(Counter::kOnline), 20u);
}

}  // namespace
}  // namespace hongbao::load
