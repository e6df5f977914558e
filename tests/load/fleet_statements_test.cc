#include <vector>

#include "fleet_fixture.h"
#include "gtest/gtest.h"
#include "libhongbao/load/fleet.h"

namespace hongbao::load {
namespace {

using wire::FrameType;
using wire::ShakeResult;

class FleetStatements : public FleetFixture {
 protected:
  // The user wins `fen` by shaking once; online before and after.
  void Win(uint32_t envelope_id, uint32_t fen) {
    const int64_t at = time::UnixSecond(clock.WallNs()) + 1;
    Plan(1, at);
    Plan(0, at + 1);
    Run(2 * kSecond, 5 * kMs);
    const auto shakes = Take(FrameType::kShakeRequest);
    ASSERT_EQ(shakes.size(), 1u);
    Deliver(shakes[0].slot, ShakeAnswer(shakes[0].Shake(), ShakeResult::kWon, envelope_id, fen));
  }
  void Share(uint32_t user, uint32_t envelope_id, uint32_t fen) {
    Deliver(slot_of[user], Notice(envelope_id, {user}));
    const auto opens = Take(FrameType::kOpenRequest);
    ASSERT_EQ(opens.size(), 1u);
    Deliver(slot_of[user], OpenAnswer(opens[0].Open(), user, fen));
  }
  // A user with a history logs in for the first time; the statement that is asked then.
  std::vector<Request> LogInWithHistory() {
    Make(1);
    const auto login = AwaitLogin(0);
    EXPECT_TRUE(login.has_value());
    Deliver(login->slot, LoginAnswer(login->Login(), wire::LoginResult::kOk, 1));
    return Take(FrameType::kStatementRequest);
  }
  std::vector<Request> AskAll() {
    fleet->OnMessage(Fleet::Message::kStop);
    fleet->OnMessage(Fleet::Message::kStatements);
    Turn();
    return Take(FrameType::kStatementRequest);
  }
  void Answer(const Request& request, uint32_t grants, uint64_t fen) {
    Deliver(request.slot, StatementAnswer(request.Statement(), grants, fen));
    Turn();
  }
};

TEST_F(FleetStatements, WhatCameIsWhatTheServerSays) {
  Make(1);
  LogInAll();
  Win(0x100001, 257);
  Share(0, 0x8000'0001, 43);
  Share(0, 0x8000'0002, 0);  // nothing left: no grant
  const auto asked = AskAll();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_FALSE(tally.statements_done.load());
  Answer(asked[0], 2, 300);
  EXPECT_TRUE(tally.statements_done.load());
  EXPECT_EQ(Count(Counter::kStatementsAsked), 1u);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 1u);
  EXPECT_EQ(Count(Counter::kStatementsDifferent), 0u);
  ExpectIdentities();
}

TEST_F(FleetStatements, ADifferenceInAmountOrNumberIsTold) {
  Make(2);
  LogInAll();
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
  const auto bases = LogInWithHistory();
  ASSERT_EQ(bases.size(), 1u);
  Answer(bases[0], 3, 1'000);
  EXPECT_EQ(Count(Counter::kStatementBases), 1u);
  EXPECT_EQ(Count(Counter::kStatementBasesFen), 1'000u);
  Share(0, 0x8000'0001, 43);
  Share(0, 0x8000'0002, 7);
  const auto asked = AskAll();
  ASSERT_EQ(asked.size(), 1u);
  Answer(asked[0], 5, 1'050);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 1u);
  ExpectIdentities();
}

TEST_F(FleetStatements, ABaseThatMayHaveAShareOfOursInItIsNone) {
  const auto bases = LogInWithHistory();
  ASSERT_EQ(bases.size(), 1u);
  Share(0, 0x8000'0001, 43);  // opened by another worker of the server than the one that states: in either order
  Answer(bases[0], 4, 1'043);
  EXPECT_EQ(Count(Counter::kStatementBases), 0u);
  EXPECT_EQ(Count(Counter::kStatementBasesFen), 0u);
  AskAll();
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 1u);
  ExpectIdentities();
}

TEST_F(FleetStatements, WithoutAHistoryNoBaseIsAsked) {
  Make(3);
  LogInAll();
  EXPECT_TRUE(Take(FrameType::kStatementRequest).empty());
  // The server knows the user by its second login: from this client.
  EXPECT_TRUE(Reconnect(0, "", nullptr, 1'000).empty());
}

TEST_F(FleetStatements, ABaseThatIsLostIsAskedAgainWhileNothingOfOursCanBeInIt) {
  ASSERT_EQ(LogInWithHistory().size(), 1u);
  const auto again = Reconnect(0, "", nullptr, 1);
  ASSERT_EQ(again.size(), 1u);
  Answer(again[0], 3, 1'000);
  Share(0, 0x8000'0001, 43);
  const auto asked = AskAll();
  ASSERT_EQ(asked.size(), 1u);
  Answer(asked[0], 4, 1'043);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 1u);
}

TEST_F(FleetStatements, AUserWhoseBaseIsLostForGoodIsNotCompared) {
  ASSERT_EQ(LogInWithHistory().size(), 1u);
  Share(0, 0x8000'0001, 43);
  EXPECT_TRUE(Reconnect(0, "", nullptr, 1).empty());
  EXPECT_TRUE(AskAll().empty());
  EXPECT_TRUE(tally.statements_done.load());
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 1u);
  EXPECT_EQ(Count(Counter::kStatementsAsked), 0u);
  ExpectIdentities();
}

TEST_F(FleetStatements, OfflineOrWaitingUsersAreSkipped) {
  Make(3);
  LogInAll();
  Deliver(slot_of[1], Notice(0x8000'0001, {1}));
  ASSERT_EQ(Take(FrameType::kOpenRequest).size(), 1u);
  Hang(slot_of[2]);
  const auto asked = AskAll();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].Statement().user_id, 0u);
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 2u);
  Answer(asked[0], 0, 0);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 1u);
  ExpectIdentities();
}

TEST_F(FleetStatements, AnAnswerThatNeverComesIsSkippedAtTheEnd) {
  Make(3);
  LogInAll();
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
  Make(1);
  LogInAll();
  const auto asked = AskAll();
  ASSERT_EQ(asked.size(), 1u);
  Answer(asked[0], 0, 0);
  Answer(asked[0], 9, 9);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 1u);
  EXPECT_EQ(Count(Counter::kStatementsDifferent), 0u);
  EXPECT_EQ(Count(Counter::kAnswersRepeated), 1u);
  EXPECT_EQ(Count(Counter::kClosed), 0u);
  wire::StatementRequest never = asked[0].Statement();
  never.stamp += 1;
  Deliver(asked[0].slot, StatementAnswer(never, 0, 0));
  EXPECT_EQ(Count(Counter::kUnexpected), 1u);
  EXPECT_EQ(Count(Counter::kClosed), 1u);
}

TEST_F(FleetStatements, AStatementOfSomebodyElseEndsTheConnection) {
  Make(2);
  LogInAll();
  const auto asked = AskAll();
  ASSERT_EQ(asked.size(), 2u);
  Deliver(asked[0].slot, StatementAnswer(asked[1].Statement(), 0, 0));
  EXPECT_EQ(Count(Counter::kUnexpected), 1u);
  EXPECT_EQ(Count(Counter::kStatementsEqual), 0u);
}

TEST_F(FleetStatements, AFewAtATimeUntilAllHaveBeenAsked) {
  constexpr uint32_t kUsers = 3'000;
  constexpr uint32_t kOnline = 60;  // the fixture has room for no more
  Make(kUsers, {.connecting_max = kOnline});
  Run(20 * kMs);
  AcceptAll();
  for (const Request& request : Take(FrameType::kLoginRequest)) Deliver(request.slot, LoginAnswer(request.Login()));
  const uint64_t online = Count(Counter::kOnline);
  ASSERT_GT(online, 0u);
  fleet->OnMessage(Fleet::Message::kStop);
  fleet->OnMessage(Fleet::Message::kStatements);
  Turn();
  EXPECT_EQ(next_turn_ns, clock.MonotonicNs());  // there is more to ask
  EXPECT_LT(Count(Counter::kStatementsAsked) + Count(Counter::kStatementsSkipped), kUsers);
  uint64_t answered = 0;
  for (int i = 0; i < 100 && !tally.statements_done.load(); ++i) {
    Turn();
    for (const Request& request : Take(FrameType::kStatementRequest)) {
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
  Make(1, {.version = wire::Version::k1});
  LogInAll();
  EXPECT_TRUE(AskAll().empty());
  EXPECT_EQ(Count(Counter::kStatementsSkipped), 0u);
}

TEST_F(FleetStatements, WithoutStatementsNoBaseIsAsked) {
  Make(1, {.statements = false});
  const auto login = AwaitLogin(0);
  ASSERT_TRUE(login.has_value());
  Deliver(login->slot, LoginAnswer(login->Login(), wire::LoginResult::kOk, 1));
  EXPECT_TRUE(TakeRequests().empty());
}

// ---- the money log ----

TEST_F(FleetStatements, EveryBookedReplyIsHandedOverOnce) {
  Make(1, {.log_money = true});
  LogInAll();
  Win(0x100001, 257);
  Deliver(slot_of[0], Notice(0x8000'0001, {0}) + Notice(0x8000'0002, {0}));
  const auto opens = Take(FrameType::kOpenRequest);
  ASSERT_EQ(opens.size(), 2u);
  for (int twice = 0; twice < 2; ++twice) Deliver(slot_of[0], OpenAnswer(opens[1].Open(), 0, 43));
  Deliver(slot_of[0], OpenAnswer(opens[0].Open(), 0, 0));  // no money
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
  Make(1, {.log_money = true});
  LogInAll();
  for (uint32_t i = 1; i <= 10; ++i) Share(0, 0x8000'0000 + i, i);  // the fixture's tally has room for 8
  EXPECT_EQ(Count(Counter::kMoneyLogFull), 2u);
  EXPECT_EQ(Count(Counter::kOpened), 10u);
}

}  // namespace
}  // namespace hongbao::load
