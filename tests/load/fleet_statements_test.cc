#include <vector>

#include "fleet_fixture.h"
#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

using wire::FrameType;
using wire::ShakeResult;

class FleetStatements : public UserFixture {
 protected:
  // The user wins `fen` by shaking once; online before and after.
  void Win(uint32_t envelope_id, uint32_t fen) {
    const int64_t at = NextSecond();
    Plan(1, at);
    Plan(0, at + 1);
    Run(2 * kSecond, 5 * kMs);
    const Frame shake = Only(TakeShakes());
    Deliver(shake.slot, Won(shake, envelope_id, fen));
  }
  void Share(uint32_t user, uint32_t envelope_id, uint32_t fen) {
    const Frame open = Invite(user, envelope_id);
    Deliver(slot_of[user], OpenAnswer(open, fen));
  }
  // A user with a history logs in for the first time; the statement that is asked then.
  Frames LogInWithHistory() {
    Make(1);
    LogIn(0, wire::LoginResult::kOk, 1);
    return Take(FrameType::kStatementRequest);
  }
  Frames AskAll() {
    StopAndAskStatements();
    return Take(FrameType::kStatementRequest);
  }
  void Answer(const Frame& request, uint32_t grants, uint64_t fen) {
    Deliver(request.slot, Statement(request, grants, fen));
    Turn();
  }
};

TEST_F(FleetStatements, WhatCameIsWhatTheServerSays) {
  Online(1);
  Win(0x100001, 257);
  Share(0, 0x8000'0001, 43);
  Share(0, 0x8000'0002, 0);  // nothing left: no grant
  const Frame asked = Only(AskAll());
  EXPECT_FALSE(tally.statements_done.load());
  Answer(asked, 2, 300);
  EXPECT_TRUE(tally.statements_done.load());
  ExpectCounts({{kStatementsAsked, 1}, {kStatementsEqual, 1}, {kStatementsDifferent, 0}});
  ExpectIdentities();
}

TEST_F(FleetStatements, ADifferenceInAmountOrNumberIsTold) {
  Online(2);
  Share(0, 0x8000'0001, 43);
  Share(1, 0x8000'0001, 57);
  const auto asked = AskAll();
  ASSERT_EQ(asked.size(), 2u);
  Answer(asked[0], 1, 44);
  Answer(asked[1], 2, 57);
  EXPECT_EQ(Count(Counter::kStatementsDifferent), 2u);
  StatementDifference difference;
  ASSERT_TRUE(tally.differences.Pop(difference));
  EXPECT_EQ(difference.user, 0u);
  EXPECT_EQ(difference.own_fen, 43u);
  EXPECT_EQ(difference.server_fen, 44u);
  ASSERT_TRUE(tally.differences.Pop(difference));
  EXPECT_EQ(difference.own_grants, 1u);
  EXPECT_EQ(difference.server_grants, 2u);
  ExpectIdentities();
}

TEST_F(FleetStatements, AHistoryIsTheBase) {
  const Frame asked_first = Only(LogInWithHistory());
  Answer(asked_first, 3, 1'000);
  ExpectCounts({{kStatementBases, 1}, {kStatementBasesFen, 1'000}});
  Share(0, 0x8000'0001, 43);
  Share(0, 0x8000'0002, 7);
  const Frame asked = Only(AskAll());
  Answer(asked, 5, 1'050);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 1u);
  ExpectIdentities();
}

TEST_F(FleetStatements, ABaseThatMayHaveAShareOfOursInItIsNone) {
  const Frame asked_first = Only(LogInWithHistory());
  Share(0, 0x8000'0001, 43);  // opened by another worker of the server than the one that states: in either order
  Answer(asked_first, 4, 1'043);
  ExpectCounts({{kStatementBases, 0}, {kStatementBasesFen, 0}});
  AskAll();
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 1u);
  ExpectIdentities();
}

TEST_F(FleetStatements, WithoutAHistoryNoBaseIsAsked) {
  Online(3);
  EXPECT_TRUE(Take(FrameType::kStatementRequest).empty());
  // The server knows the user by its second login: from this client.
  EXPECT_TRUE(Reconnect(0, "", nullptr, 1'000).empty());
}

TEST_F(FleetStatements, ABaseThatIsLostIsAskedAgainWhileNothingOfOursCanBeInIt) {
  ASSERT_EQ(LogInWithHistory().size(), 1u);
  const Frame again = Only(Reconnect(0, "", nullptr, 1));
  Answer(again, 3, 1'000);
  Share(0, 0x8000'0001, 43);
  const Frame asked = Only(AskAll());
  Answer(asked, 4, 1'043);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 1u);
}

TEST_F(FleetStatements, AUserWhoseBaseIsLostForGoodIsNotCompared) {
  ASSERT_EQ(LogInWithHistory().size(), 1u);
  Share(0, 0x8000'0001, 43);
  EXPECT_TRUE(Reconnect(0, "", nullptr, 1).empty());
  EXPECT_TRUE(AskAll().empty());
  EXPECT_TRUE(tally.statements_done.load());
  ExpectCounts({{kStatementsSkipped, 1}, {kStatementsAsked, 0}});
  ExpectIdentities();
}

TEST_F(FleetStatements, OfflineOrWaitingUsersAreSkipped) {
  Online(3);
  Invite(1, 0x8000'0001);
  Hang(slot_of[2]);
  const Frame asked = Only(AskAll());
  EXPECT_EQ(asked.Statement().user_id, 0u);
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 2u);
  Answer(asked, 0, 0);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 1u);
  ExpectIdentities();
}

TEST_F(FleetStatements, AnAnswerThatNeverComesIsSkippedAtTheEnd) {
  Online(3);
  ASSERT_EQ(AskAll().size(), 3u);
  Hang(slot_of[0]);
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 1u);
  EXPECT_FALSE(tally.statements_done.load());
  fleet->OnDrain();
  EXPECT_TRUE(tally.statements_done.load());
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 3u);
  Hang(slot_of[1]);
  Hang(slot_of[2]);
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 3u);
  ExpectIdentities();
}

TEST_F(FleetStatements, AStatementThatComesTwiceOrLateCountsOnce) {
  Online(1);
  const Frame asked = Only(AskAll());
  Answer(asked, 0, 0);
  Answer(asked, 9, 9);
  ExpectCounts({{kStatementsEqual, 1}, {kStatementsDifferent, 0}, {kAnswersRepeated, 1}, {kClosed, 0}});
  wire::StatementRequest never = asked.Statement();
  never.stamp += 1;
  Deliver(asked.slot, Statement(never, 0, 0));
  ExpectCounts({{kUnexpected, 1}, {kClosed, 1}});
}

TEST_F(FleetStatements, AStatementOfSomebodyElseEndsTheConnection) {
  Online(2);
  const auto asked = AskAll();
  ASSERT_EQ(asked.size(), 2u);
  Deliver(asked[0].slot, Statement(asked[1], 0, 0));
  ExpectCounts({{kUnexpected, 1}, {kStatementsEqual, 0}});
}

TEST_F(FleetStatements, AFewAtATimeUntilAllHaveBeenAsked) {
  constexpr uint32_t kUsers = 3'000;
  constexpr uint32_t kAtATime = 60;  // the fixture has room for no more
  Make(kUsers, {.connecting_max = kAtATime});
  Run(20 * kMs);
  AcceptAll();
  for (const Frame& request : Take(FrameType::kLoginRequest)) Deliver(request.slot, LoginAnswer(request.Login()));
  const uint64_t online = Count(Counter::kOnline);
  ASSERT_GT(online, 0u);
  StopAndAskStatements();
  EXPECT_EQ(next_turn_ns, clock.MonotonicNs());  // there is more to ask
  EXPECT_LT(Count(Counter::kStatementsAsked) + Count(Counter::kStatementsSkipped), kUsers);
  uint64_t answered = 0;
  for (int i = 0; i < 100 && !tally.statements_done.load(); ++i) {
    Turn();
    for (const Frame& request : Take(FrameType::kStatementRequest)) {
      Answer(request, 0, 0);
      ++answered;
    }
  }
  EXPECT_TRUE(tally.statements_done.load());
  EXPECT_EQ(answered, online);
  EXPECT_EQ(Count(Counter::kStatementsEqual), online);
  ExpectIdentities();
}

TEST_F(FleetStatements, NoneInV1) {
  Online(1, {.version = wire::Version::k1});
  EXPECT_TRUE(AskAll().empty());
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 0u);
}

TEST_F(FleetStatements, WithoutStatementsNoBaseIsAsked) {
  Make(1, {.statements = false});
  LogIn(0, wire::LoginResult::kOk, 1);
  EXPECT_TRUE(TakeAll().empty());
}

// ---- the money log ----

TEST_F(FleetStatements, EveryBookedReplyIsHandedOverOnce) {
  Online(1, {.log_money = true});
  Win(0x100001, 257);
  Deliver(slot_of[0], Notice(0x8000'0001, {0}) + Notice(0x8000'0002, {0}));
  const auto opens = Take(FrameType::kOpenRequest);
  ASSERT_EQ(opens.size(), 2u);
  for (int twice = 0; twice < 2; ++twice) Deliver(slot_of[0], OpenAnswer(opens[1], 43));
  Deliver(slot_of[0], OpenAnswer(opens[0], 0));  // no money
  MoneyRecord record;
  ASSERT_TRUE(tally.money.Pop(record));
  EXPECT_EQ(record.kind, MoneyKind::kShake);
  EXPECT_EQ(record.envelope_id, 0x100001u);
  EXPECT_EQ(record.fen, 257u);
  ASSERT_TRUE(tally.money.Pop(record));
  EXPECT_EQ(record.kind, MoneyKind::kOpen);
  EXPECT_EQ(record.stamp, opens[1].Open().stamp);
  EXPECT_EQ(record.user, 0u);
  EXPECT_EQ(record.envelope_id, 0x8000'0002u);
  EXPECT_EQ(record.fen, 43u);
  EXPECT_FALSE(tally.money.Pop(record));
  EXPECT_EQ(Count(Counter::kMoneyLogFull), 0u);
}

TEST_F(FleetStatements, ARecordWithoutRoomIsCounted) {
  Online(1, {.log_money = true});
  for (uint32_t i = 1; i <= 10; ++i) Share(0, 0x8000'0000 + i, i);  // the fixture's tally has room for 8
  ExpectCounts({{kMoneyLogFull, 2}, {kOpened, 10}});
}

}  // namespace
}  // namespace hongbao::load
