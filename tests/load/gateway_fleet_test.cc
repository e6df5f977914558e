#include <cerrno>
#include <random>
#include <set>

#include "fleet_fixture.h"
#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

using wire::FrameType;
using wire::ShakeResult;

// ---- logging in ----

TEST_F(GatewayFixture, EachGatewayLogsInForItsSliceWithTheToken) {
  Make(20, {.gateways = 3});
  const uint64_t before = static_cast<uint64_t>(clock.WallNs());
  Run(20 * kMs);
  AcceptAll();
  const Frames logins = Take(FrameType::kLoginRequest);
  ASSERT_EQ(logins.size(), 3u);
  uint32_t next = 0;
  for (const Frame& frame : logins) {
    const wire::LoginRequest login = frame.Login();
    EXPECT_EQ(login.version, wire::Version::k2);
    EXPECT_EQ(login.first_user, next);
    EXPECT_GE(login.user_count, 6u);
    EXPECT_EQ(login.token, options.token);
    EXPECT_EQ(login.resume_after, 0u);
    EXPECT_GE(login.stamp, before);
    next += login.user_count;
    Answer(frame);
  }
  EXPECT_EQ(next, 20u);
  LogInAll();
  ExpectCounts({{kEstablished, 20}, {kOnline, 20}, {kLogins, 3}});
  EXPECT_NE(tally.all_online_ns.load(), 0);
  EXPECT_EQ(skew.Best().samples, 3u);
  ExpectIdentities();
}

TEST_F(GatewayFixture, AWrongTokenIsNotTriedAgainAndAFullServerIs) {
  Make(20, {.gateways = 2});
  Run(20 * kMs);
  AcceptAll();
  for (const Frame& frame : Take(FrameType::kLoginRequest)) {
    Deliver(frame.slot, LoginAnswer(frame.Login(), frame.Login().first_user == 0 ? wire::LoginResult::kBadToken
                                                                                 : wire::LoginResult::kFullOrDraining));
  }
  Settle();
  ExpectCounts({{kLoginsRefused, 2}, {kBarred, 10}});
  EXPECT_EQ(tally.all_online_ns.load(), 0);
  LogInAll();
  EXPECT_EQ(Count(Counter::kOnline), 10u);
  EXPECT_NE(tally.all_online_ns.load(), 0);
  EXPECT_EQ(Count(Counter::kConnects), 3u);
  // What is due for the barred one's users is missed, never silent.
  Plan(1'000, kStartSecond + 5);
  clock.Advance((kStartSecond + 5) * kSecond - clock.WallNs());
  Run(500 * kMs);
  EXPECT_GT(Count(Counter::kMissedOffline), 100u);
  EXPECT_GT(Count(Counter::kSent), 100u);
  ExpectIdentities();
}

// As with users: one asks whether the server is there, and once it is answered the others follow.
TEST_F(GatewayFixture, GatewaysThatWereForgottenOnTheirWayAreMadeAnew) {
  Make(6, {.gateways = 3});
  LogInAll();
  Plan(300, NextSecond());
  Run(2 * kSecond);
  const size_t asked = TakeShakes().size();
  ASSERT_GT(asked, 30u);
  ExpectForgottenConnectionsAreMadeAnew(asked);
}

TEST_F(GatewayFixture, WithoutRoomForABulkConnectionItComesAgain) {
  bulk_connections = 0;
  Make(4);
  for (const Frame& login : FirstLogins()) Answer(login);
  EXPECT_EQ(Count(Counter::kOnline), 0u);
  EXPECT_EQ(counters.closes.Get(net::CloseReason::kFull), 1u);
  EXPECT_TRUE(AwaitLogin().has_value());
}

TEST_F(GatewayFixture, BeforeTheLoginNothingElseIsBelieved) {
  Make(4);
  const Frame login = Only(FirstLogins());
  Deliver(login.slot, ShakeAnswer(login.stamp(), 0));
  ExpectCounts({{kUnexpected, 1}, {kClosed, 1}});
  const auto again = AwaitLogin();
  ASSERT_TRUE(again.has_value());
  wire::LoginRequest wrong = again->Login();
  wrong.stamp += 1;
  Deliver(again->slot, LoginAnswer(wrong));
  ExpectCounts({{kStampMismatch, 1}, {kOnline, 0}});
}

// ---- the schedule ----

class GatewayFleetTest : public GatewayFixture {
 protected:
  static constexpr int64_t kRateSecond = kStartSecond + 10;

  // Logged in, and `qps` (of the whole fleet; about half of it is ours) from kRateSecond on, where the clock stands
  // now.
  void Start(uint32_t users, FleetOptions wish, uint32_t qps, uint64_t requests = 0, uint32_t unsent_bytes_max = 65'536) {
    wish.statements = false;
    wish.send_quantum_ns = quantum_ns;
    Make(users, wish, unsent_bytes_max);
    LogInAll();
    ASSERT_EQ(Count(Counter::kOnline), users);
    Plan(qps, kRateSecond, requests);
    clock.Advance(kRateSecond * kSecond - kMs - clock.WallNs());
    Turn();
  }
  uint32_t slot() { return slot_of[0]; }
  int64_t quantum_ns = 0;  // most tests have many turns at one moment
  // Our users' requests that are due in the first `ns` from kRateSecond on.
  std::vector<std::pair<int64_t, uint32_t>> Scheduled(int64_t ns) {
    const int64_t from_ns = kRateSecond * kSecond;
    time::Walker walker(schedule, time::Permutation(options.total_users), options.own, from_ns);
    std::vector<std::pair<int64_t, uint32_t>> requests;
    for (time::Due due; walker.NextDue(from_ns + ns - 1, due);) requests.emplace_back(due.due_ns, due.user);
    return requests;
  }
};

TEST_F(GatewayFleetTest, SendsExactlyTheScheduleOfItsUsers) {
  Start(50, {.gateways = 3}, 20'000);
  Run(201 * kMs);
  std::vector<std::pair<int64_t, uint32_t>> sent;
  std::map<uint32_t, uint64_t> last;
  for (const Frame& shake : TakeShakes()) {
    sent.emplace_back(static_cast<int64_t>(shake.stamp()), shake.user());
    EXPECT_GT(shake.stamp(), last[shake.slot]);
    last[shake.slot] = shake.stamp();
  }
  std::sort(sent.begin(), sent.end());
  EXPECT_EQ(sent, Scheduled(200 * kMs + 1));
  EXPECT_EQ(last.size(), 3u);
  EXPECT_EQ(Count(Counter::kSent), sent.size());
  EXPECT_EQ(Count(Counter::kLate), 0u);
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, ASecondHoldsWhatTheScheduleSays) {
  Start(50, {.gateways = 2}, 30'000);
  for (int i = 0; i < 300; ++i) {
    Run(7 * kMs, 7 * kMs);
    DeliverNothings(TakeShakes());
  }
  count::Values<Counter> end;
  ASSERT_TRUE(tally.history.Read(kRateSecond, end));
  EXPECT_EQ(end[Counter::kScheduled], Scheduled(kSecond).size());
  EXPECT_NEAR(static_cast<double>(end[Counter::kSent]), 15'000, 1'000);
  ExpectIdentities();
}

// However often the worker comes round, as it does with each completion: a quantum's requests leave together.
TEST_F(GatewayFleetTest, WhatIsDueLeavesOnceInAQuantum) {
  quantum_ns = 50'000;
  Start(50, {}, 2'000'000);
  Run(kMs + 1'000);
  size_t sends = 0, taken = TakeShakes().size();
  for (int i = 0; i < 1'000; ++i) {
    Run(1'000, 1'000);
    sends += SlotsOf(ring, Operation::kSend).empty() ? 0u : 1u;
    EXPECT_LE(next_turn_ns - clock.MonotonicNs(), 51'000);
    taken += TakeShakes().size();
  }
  EXPECT_GE(sends, 15u);
  EXPECT_LE(sends, 20u);
  Run(60'000);
  EXPECT_EQ(taken + TakeShakes().size(), Scheduled(kMs + 61'001).size());
  EXPECT_EQ(Count(Counter::kLate), 0u);
}

// But a second ends with all of its requests, wherever the quantum stands.
TEST_F(GatewayFleetTest, TheLastOfASecondDoNotWaitForTheQuantum) {
  quantum_ns = 5 * kMs;
  Start(50, {}, 6'000);
  Run(3 * kMs, 3 * kMs);  // the first leave 2 ms into the second, the next at 7, the last at 997
  Run(996 * kMs);
  EXPECT_LT(Count(Counter::kSent), Scheduled(998 * kMs).size());
  Run(2'500'000, 2'500'000);
  count::Values<Counter> end;
  ASSERT_TRUE(tally.history.Read(kRateSecond, end));
  EXPECT_EQ(end[Counter::kScheduled], Scheduled(kSecond).size());
  EXPECT_EQ(end[Counter::kSent], Scheduled(kSecond).size());
}

TEST_F(GatewayFleetTest, AnswersInOrderAreCountedAndOneIn64IsMeasured) {
  Start(64, {}, 60'000);
  Run(101 * kMs);
  const Frames shakes = TakeShakes();
  ASSERT_GT(shakes.size(), 2'500u);
  clock.Advance(5 * kMs);
  Deliver(slot(), Nothings(shakes));
  EXPECT_EQ(Count(Counter::kAnswered), shakes.size());
  EXPECT_EQ(Count(Counter::kNothing), shakes.size());
  EXPECT_EQ(Count(Counter::kOutstanding), 0u);
  const uint64_t samples = (shakes.size() + 63) / 64;
  EXPECT_EQ(tally.latency.Snapshot().count(), samples);
  EXPECT_EQ(tally.phases[0]->others.Snapshot().count(), samples);
  EXPECT_EQ(tally.phases[0]->service.Snapshot().count(), samples);
  EXPECT_EQ(tally.lag.Snapshot().count(), samples);
  EXPECT_LE(tally.lag.Snapshot().max_ns(), static_cast<uint64_t>(kMs));  // a turn each millisecond
  // From the intended time on: the first of them was due 105 ms before its answer.
  EXPECT_GE(tally.latency.Snapshot().max_ns(), static_cast<uint64_t>(100 * kMs));
  EXPECT_EQ(Count(Counter::kClosed), 0u);
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, FramesMayBeCutAnywhere) {
  Start(64, {}, 10'000);
  Run(51 * kMs);
  const Frames shakes = TakeShakes();
  for (size_t piece = 1; piece < 60; piece += 7) {
    const size_t from = piece * shakes.size() / 60, to = (piece + 7) * shakes.size() / 60;
    Deliver(slot(), Nothings(shakes, from, to), piece);
  }
  Deliver(slot(), Nothings(shakes, 0, shakes.size() / 60));
  ExpectCounts({{kOutstanding, 0}, {kClosed, 0}});
}

TEST_F(GatewayFleetTest, AWinThatComesLaterIsBookedOnce) {
  Start(64, {.log_money = true}, 20'000);
  Run(51 * kMs);
  const Frames shakes = TakeShakes();
  Deliver(slot(), Nothings(shakes, 0, 10) + Nothings(shakes, 11));
  EXPECT_EQ(Count(Counter::kOutstanding), 1u);
  Deliver(slot(), Won(shakes[10], 0x100001, 257));
  ExpectCounts({{kWon, 1}, {kWonFen, 257}, {kOutstanding, 0}});
  MoneyRecord record;
  ASSERT_TRUE(tally.money.Pop(record));
  EXPECT_EQ(record.stamp, shakes[10].stamp());
  EXPECT_EQ(record.user, shakes[10].user());
  EXPECT_EQ(record.fen, 257u);
  // A second time is no answer to anything.
  Deliver(slot(), Won(shakes[10], 0x100001, 257));
  ExpectCounts({{kWonFen, 257}, {kUnexpected, 1}, {kClosed, 1}});
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, EveryResultIsCounted) {
  Start(64, {}, 20'000);
  Run(11 * kMs);
  const Frames shakes = TakeShakes();
  ASSERT_GT(shakes.size(), 10u);
  Deliver(slot(), Nothing(shakes[0]) + ShakeAnswer(shakes[1].Shake(), ShakeResult::kCap) +
                      ShakeAnswer(shakes[2].Shake(), ShakeResult::kOverload) + Won(shakes[3], 9, 1) + Nothings(shakes, 4));
  ExpectCounts({{kCap, 1}, {kRefused, 1}, {kWon, 1}, {kNothing, shakes.size() - 3}});
  EXPECT_EQ(tally.phases[0]->cells.Get(PhaseCounter::kRefused), 1u);
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, WhatNobodyCouldBookEndsTheConnection) {
  Start(64, {}, 20'000);
  uint64_t refused = 0;
  for (int i = 0; i < 6; ++i) {
    Run(2 * kMs);
    const Frames shakes = TakeShakes();
    ASSERT_FALSE(shakes.empty());
    const Frame& first = shakes[0];
    const std::string wrong[] = {
        ShakeAnswer(first.stamp(), first.user() ^ 1),                           // another user's
        ShakeAnswer(first.stamp(), 64),                                         // not ours
        ShakeAnswer(first.stamp(), first.user(), ShakeResult::kNothing, 0, 5),  // an amount without a win
        ShakeAnswer(first.stamp(), first.user(), ShakeResult::kWon, 0, 5),      // a win without an envelope
        ShakeAnswer(first.stamp(), first.user(), ShakeResult::kWon, 5, 0),      // a win without an amount
        ShakeAnswer(shakes.back().stamp() + 1, first.user())};                  // an answer to nothing
    Deliver(slot(), wrong[i]);
    EXPECT_EQ(Count(Counter::kUnexpected), ++refused) << i;
    EXPECT_EQ(Count(Counter::kClosed), refused);
    EXPECT_EQ(Count(Counter::kAnswered), 0u);
    LogIn(0);
    Turn();
    TakeAll();
  }
  Deliver(slot(), std::string("\0\x1c\0\x09", 4));
  EXPECT_EQ(Count(Counter::kMalformed), 1u);
  ExpectIdentities();
}

// ---- never dropped ----

TEST_F(GatewayFleetTest, AFullWindowMakesRequestsLateAndDropsNone) {
  Start(64, {.window = 100}, 20'000);
  Run(101 * kMs);
  Frames shakes = TakeShakes();
  EXPECT_EQ(shakes.size(), 100u);
  EXPECT_EQ(Count(Counter::kLate), 0u);
  EXPECT_GT(next_turn_ns, clock.MonotonicNs());  // it waits for answers, and does not spin
  size_t sent = shakes.size();
  for (int i = 0; i < 100; ++i) {
    Deliver(slot(), Nothings(shakes));
    Turn();
    shakes = TakeShakes();
    sent += shakes.size();
  }
  EXPECT_EQ(sent, Scheduled(100 * kMs + 1).size());
  EXPECT_GT(Count(Counter::kLate), 500u);
  EXPECT_EQ(Missed(tally.cells.Snapshot()), 0u);
  EXPECT_GE(tally.latency.Snapshot().max_ns(), static_cast<uint64_t>(90 * kMs));  // the wait is in it
  EXPECT_GE(tally.lag.Snapshot().max_ns(), static_cast<uint64_t>(80 * kMs));      // and nearly all of it was here
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, ASocketThatDoesNotTakeItMakesRequestsLateAndDropsNone) {
  Start(64, {}, 100'000, 0, /*unsent_bytes_max=*/1'600);
  Run(101 * kMs);  // the kernel takes nothing
  EXPECT_LE(Count(Counter::kSent), 200u);
  EXPECT_EQ(Count(Counter::kClosed), 0u);
  size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    TakeSends(i % 3 == 0 ? 777 : 1'000'000);  // cut anywhere
    Turn();
    const Frames shakes = Parse();
    sent += shakes.size();
    Deliver(slot(), Nothings(shakes));
  }
  EXPECT_EQ(sent, Scheduled(100 * kMs + 1).size());
  EXPECT_EQ(Missed(tally.cells.Snapshot()), 0u);
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, WhatWasNotSentWhenItStopsIsMissedAndToldSo) {
  Start(64, {.window = 100}, 20'000);
  Run(101 * kMs);
  Stop();
  const uint64_t scheduled = Scheduled(100 * kMs + 1).size();
  EXPECT_EQ(Count(Counter::kMissedBacklog), scheduled - 100);
  EXPECT_EQ(Count(Counter::kDue), scheduled);
  const Frames shakes = TakeShakes();
  Deliver(slot(), Nothings(shakes));
  Run(100 * kMs);
  EXPECT_TRUE(TakeShakes().empty());
  EXPECT_TRUE(tally.stopped.load());
  ExpectIdentities();
}

// ---- reconnecting ----

TEST_F(GatewayFleetTest, AfterAReconnectExactlyTheUnansweredAreRepeated) {
  Start(64, {}, 20'000);
  Run(51 * kMs);
  const Frames shakes = TakeShakes();
  ASSERT_GT(shakes.size(), 300u);
  // All but a few in the middle and those behind 200 are answered.
  std::set<size_t> unanswered = {3, 50, 51, 199};
  std::string answers;
  for (size_t i = 0; i < 200; ++i) answers += unanswered.count(i) > 0 ? "" : Nothing(shakes[i]);
  Deliver(slot(), answers);
  Frames expected;
  for (size_t i = 0; i < shakes.size(); ++i) {
    if (i >= 200 || unanswered.count(i) > 0) expected.push_back(shakes[i]);
  }
  Plan(0, kRateSecond + 1);
  clock.Advance((kRateSecond + 2) * kSecond - clock.WallNs());  // and nothing new
  Hang(slot());
  ExpectCounts({{kOnline, 0}, {kLost, 0}});
  LogIn(0);
  Turn();
  Frames repeated = TakeShakes();
  ASSERT_GE(repeated.size(), expected.size());
  EXPECT_EQ(Frames(repeated.begin(), repeated.begin() + static_cast<std::ptrdiff_t>(expected.size())), expected);
  EXPECT_EQ(Count(Counter::kShakesRepeated), expected.size());
  EXPECT_EQ(Count(Counter::kSent), shakes.size() + repeated.size() - expected.size());
  // Their answers count once; one more of a request from before the reconnect is told, and does not end the connection.
  Deliver(slot(), Nothings(repeated) + Nothing(shakes[3]) + Nothing(shakes[100]));
  ExpectCounts({{kAnswersRepeated, 2}, {kOutstanding, 0}, {kClosed, 1}});
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, AnOutcomeThatComesBeforeItsRequestWasRepeatedIsBookedOnce) {
  Start(64, {}, 20'000, 0, /*unsent_bytes_max=*/1'600);
  for (int i = 0; i < 10; ++i) {
    Run(5 * kMs);
    TakeSends();
  }
  const Frames shakes = TakeShakes();
  ASSERT_GT(shakes.size(), 300u);
  Hang(slot());
  LogIn(0);
  Turn();  // one block of repeated requests is on its way, another waits; the rest has no room
  Deliver(slot(), Won(shakes[290], 77, 5));
  EXPECT_EQ(Count(Counter::kWonFen), 5u);
  Frames repeated;
  for (int i = 0; i < 20; ++i) {
    TakeSends();
    Turn();
    for (const Frame& frame : Parse()) repeated.push_back(frame);
  }
  size_t found = 0;
  for (const Frame& frame : repeated) found += frame == shakes[290] ? 1u : 0u;
  EXPECT_EQ(found, 0u);
  EXPECT_EQ(Count(Counter::kShakesRepeated), shakes.size() - 1);
  EXPECT_EQ(Count(Counter::kClosed), 1u);
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, WhileItIsAwayRequestsWaitAndAreSentLate) {
  Start(64, {}, 2'000);
  Run(11 * kMs);
  Deliver(slot(), Nothings(TakeShakes()));
  Reconnect();
  const int64_t away_until = clock.WallNs();
  Turn();
  const Frames shakes = TakeShakes();
  EXPECT_EQ(Count(Counter::kSent), Scheduled(away_until - kRateSecond * kSecond + 1).size());
  EXPECT_GT(Count(Counter::kLate), 0u);
  EXPECT_EQ(Missed(tally.cells.Snapshot()), 0u);
  for (size_t i = 1; i < shakes.size(); ++i) EXPECT_GT(shakes[i].stamp(), shakes[i - 1].stamp());
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, TheEndLosesWhatHasNoAnswer) {
  Start(64, {.gateways = 2}, 20'000);
  Run(11 * kMs);
  const Frames shakes = TakeShakes();
  Deliver(shakes[0].slot, Nothing(shakes[0]));
  Hang(slot_of[32]);
  Stop();
  fleet->OnDrain();
  Hang(slot_of[0]);
  EXPECT_EQ(Count(Counter::kLost), shakes.size() - 1);
  EXPECT_EQ(Count(Counter::kOutstanding), 0u);
  EXPECT_EQ(tally.phases[0]->cells.Get(PhaseCounter::kLost), shakes.size() - 1);
  Run(5 * kSecond, 100 * kMs);
  EXPECT_TRUE(SlotsOf(ring, Operation::kConnect).empty());
  ExpectIdentities();
}

// ---- a number of requests ----

TEST_F(GatewayFleetTest, SoManyRequestsAndThenItSaysSo) {
  Start(64, {.gateways = 3, .limited = true}, 20'000, /*requests=*/3'000);
  EXPECT_FALSE(tally.sent_all.load());
  Run(149 * kMs);
  EXPECT_FALSE(tally.sent_all.load());
  Run(kSecond);
  EXPECT_TRUE(tally.sent_all.load());
  std::vector<std::pair<int64_t, uint32_t>> sent;
  for (const Frame& shake : TakeShakes()) sent.emplace_back(static_cast<int64_t>(shake.stamp()), shake.user());
  std::sort(sent.begin(), sent.end());
  EXPECT_EQ(sent, Scheduled(100 * kSecond));  // ours of the 3,000
  EXPECT_LT(sent.size(), 2'000u);
  EXPECT_GT(sent.size(), 1'000u);
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, ARateChangeKeepsEachRequestInItsPhase) {
  Start(64, {.gateways = 2}, 20'000);
  Plan(40'000, kRateSecond + 1);
  Run(kSecond - 5 * kMs);
  const Frames before = TakeShakes();
  Run(15 * kMs);
  const Frames after = TakeShakes();
  DeliverNothings(after);
  DeliverNothings(before);
  EXPECT_EQ(tally.phases[0]->cells.Get(PhaseCounter::kAnswered), Scheduled(kSecond).size());
  EXPECT_EQ(tally.phases[0]->cells.Get(PhaseCounter::kSent), Scheduled(kSecond).size());
  EXPECT_GT(tally.phases[1]->cells.Get(PhaseCounter::kAnswered), 100u);
  EXPECT_EQ(Count(Counter::kOutstanding), 0u);
  ExpectIdentities();
}

// ---- as fast as possible ----

TEST_F(GatewayFleetTest, AtMaxRateTheWindowIsKeptFull) {
  Start(64, {.gateways = 2, .window = 200, .max_rate = true}, 1);
  Run(2 * kMs);
  Frames shakes = TakeShakes();
  EXPECT_EQ(shakes.size(), 400u);
  std::map<uint32_t, std::set<uint32_t>> users;
  std::map<uint32_t, uint64_t> last;
  for (size_t i = 0; i < shakes.size(); ++i) {
    EXPECT_GT(shakes[i].stamp(), last[shakes[i].slot]);
    last[shakes[i].slot] = shakes[i].stamp();
    const bool fresh = users[shakes[i].slot].insert(shakes[i].user()).second;
    EXPECT_EQ(fresh, i % 200 < 32);  // each in turn, and none twice before all have had theirs
  }
  EXPECT_EQ(users.size(), 2u);
  Run(10 * kMs);
  EXPECT_TRUE(TakeShakes().empty());
  // A few answers make no batch yet; more of them do.
  Deliver(slot(), Nothings(shakes, 0, 10));
  Run(kMs);
  EXPECT_TRUE(TakeShakes().empty());
  clock.Advance(2 * kMs);
  Deliver(slot(), Nothings(shakes, 10, 150));
  Run(kMs);
  EXPECT_EQ(TakeShakes().size(), 150u);
  ExpectCounts({{kOutstanding, 400}, {kScheduled, 0}});
  EXPECT_GT(tally.latency.Snapshot().count(), 1u);
  EXPECT_EQ(tally.lag.Snapshot().count(), 0u);  // without a schedule nothing is behind it
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, AtMaxRateSilenceIsSilenceAndTheQuotaIsTheEnd) {
  Start(64, {.gateways = 3, .window = 100, .max_rate = true, .quota = 1'000, .limited = true}, 0);
  Run(2 * kSecond, 20 * kMs);
  EXPECT_TRUE(TakeShakes().empty());
  Plan(1, kRateSecond + 4);
  clock.Advance((kRateSecond + 4) * kSecond - clock.WallNs());
  size_t sent = 0;
  for (int i = 0; i < 100; ++i) {
    Run(kMs);
    const Frames shakes = TakeShakes();
    sent += shakes.size();
    for (const auto& [first, slot] : slot_of) {
      Frames own;
      std::copy_if(shakes.begin(), shakes.end(), std::back_inserter(own), [slot](const Frame& one) { return one.slot == slot; });
      Deliver(slot, Nothings(own));
    }
  }
  EXPECT_EQ(sent, 1'000u);
  EXPECT_EQ(Count(Counter::kSent), 1'000u);
  EXPECT_TRUE(tally.sent_all.load());
  EXPECT_EQ(Count(Counter::kOutstanding), 0u);
  ExpectIdentities();
}

// ---- gifts ----

TEST_F(GatewayFleetTest, AGiftIsOpenedForEachInvitedUserOfTheGateway) {
  Start(20, {.log_money = true, .gateways = 2}, 0);
  Deliver(slot(), Notice(0x8000'0001, {3, 4, 15}));  // 15 is the other gateway's
  Turn();
  const Frames opens = Take(FrameType::kOpenRequest);
  ASSERT_EQ(opens.size(), 2u);
  EXPECT_EQ(opens[0].user(), 3u);
  EXPECT_EQ(opens[1].user(), 4u);
  Deliver(slot(), Notice(0x8000'0001, {3, 4, 15}) + OpenAnswer(opens[1], 43) + OpenAnswer(opens[0], 0) +
                      Notice(0x8000'0001, {3, 4, 15}) + Notice(0x8000'0002, {15}));
  Turn();
  EXPECT_TRUE(TakeAll().empty());
  ExpectCounts({{kOpened, 1}, {kOpenedFen, 43}, {kOpenedEmpty, 1}, {kNoticesRepeated, 4}, {kNoticesMisdelivered, 1}});
  MoneyRecord record;
  ASSERT_TRUE(tally.money.Pop(record));
  EXPECT_EQ(record.kind, MoneyKind::kOpen);
  EXPECT_EQ(record.user, 4u);
  EXPECT_EQ(Count(Counter::kClosed), 0u);
  Deliver(slot(), OpenAnswer(opens[0], 5));
  ExpectCounts({{kUnexpected, 1}, {kOpenedFen, 43}});
  ExpectIdentities();
}

TEST_F(GatewayFleetTest, AnOpenWithoutAnAnswerIsRepeatedWithItsStamp) {
  Start(20, {}, 0);
  Deliver(slot(), Notice(0x8000'0001, {3}));
  Turn();
  const Frames opens = Take(FrameType::kOpenRequest);
  ASSERT_EQ(opens.size(), 1u);
  Reconnect();
  Turn();
  EXPECT_EQ(Take(FrameType::kOpenRequest), opens);
  ExpectCounts({{kOpensSent, 1}, {kOpensRepeated, 1}});
  Stop();
  Deliver(slot(), Notice(0x8000'0002, {3}));
  EXPECT_EQ(Count(Counter::kNoticesNotOpened), 1u);
  ExpectIdentities();
}

// ---- any course of events ----

TEST_F(GatewayFleetTest, WhateverHappensEveryRequestIsAnsweredOnceOrLost) {
  std::mt19937_64 random(5);
  Start(200, {.gateways = 3, .window = 300}, 60'000);
  std::map<uint32_t, Frames> asked;                            // by slot: not answered yet
  std::map<std::pair<uint64_t, uint32_t>, uint32_t> outcomes;  // by stamp and user: fen, of what was decided
  uint64_t fen = 0;
  for (int i = 0; i < 250; ++i) {
    Run(static_cast<int64_t>(random() % 3) * kMs);
    TakeSends(random() % 2 == 0 ? 1'000'000 : 1 + random() % 999);
    for (const Frame& frame : Parse()) {
      if (frame.type == FrameType::kLoginRequest) {
        Answer(frame);
      } else {
        asked[frame.slot].push_back(frame);
      }
    }
    AcceptAll();
    for (auto& [slot, frames] : asked) {
      if (random() % 2 == 0)
        std::shuffle(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(frames.size() / 4), random);
      std::string answers;
      const size_t n = random() % (frames.size() + 1);
      for (size_t j = 0; j < n; ++j) {
        const auto [known, fresh] = outcomes.try_emplace({frames[j].stamp(), frames[j].user()}, random() % 10 == 0 ? 7 : 0);
        fen += fresh ? known->second : 0;  // decided once, however often it is asked
        answers += known->second > 0 ? Won(frames[j], 5, known->second) : Nothing(frames[j]);
      }
      frames.erase(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(n));
      const bool ends = random() % 40 == 0;
      if (ends) answers.resize(random() % (answers.size() + 1));  // in the middle of an answer
      Deliver(slot, answers);
      if (ends && (ring.InFlight(Operation::kReceiveBulk, slot) || ring.InFlight(Operation::kReceive, slot))) {
        Hang(slot);
        frames.clear();
      }
    }
    ExpectIdentities();
  }
  EXPECT_EQ(Count(Counter::kUnexpected) + Count(Counter::kMalformed), 0u);
  EXPECT_GT(Count(Counter::kShakesRepeated), 0u);
  EXPECT_GT(Count(Counter::kAnswered), 3'000u);
  // Everything that is still unanswered is answered: then both sides know the same money.
  for (int i = 0; i < 250; ++i) {
    if (i == 50) Stop();
    Run(20 * kMs, 10 * kMs);
    AcceptAll();
    for (const Frame& frame : TakeAll()) {
      if (frame.type == FrameType::kLoginRequest) {
        Answer(frame);
        continue;
      }
      const auto [known, fresh] = outcomes.try_emplace({frame.stamp(), frame.user()}, 0);
      Deliver(frame.slot, known->second > 0 ? Won(frame, 5, known->second) : Nothing(frame));
    }
    for (auto& [slot, frames] : asked) {
      Deliver(slot, Nothings({}));
      for (const Frame& frame : frames) {
        const auto [known, fresh] = outcomes.try_emplace({frame.stamp(), frame.user()}, 0);
        Deliver(slot, known->second > 0 ? Won(frame, 5, known->second) : Nothing(frame));
      }
      frames.clear();
    }
  }
  EXPECT_EQ(Count(Counter::kOutstanding), 0u);
  EXPECT_EQ(Count(Counter::kWonFen), fen);
  EXPECT_EQ(Count(Counter::kUnexpected) + Count(Counter::kMalformed), 0u);
  ExpectIdentities();
}

// ---- the wall clock is set ----

class GatewaySteps : public GatewayFleetTest {
 protected:
  void ExpectItGoesOnAfter(const std::vector<int64_t>& steps_ns) {
    Start(50, {.gateways = 2}, 400);
    for (const size_t sent : SentIn(2, 50 * kMs)) EXPECT_NEAR(static_cast<double>(sent), 200, 60);
    for (const int64_t step_ns : steps_ns) {
      clock.StepWall(step_ns);
      for (const size_t sent : SentIn(2, 50 * kMs)) EXPECT_NEAR(static_cast<double>(sent), 200, 60) << step_ns;
    }
    EXPECT_EQ(Count(Counter::kDue), Count(Counter::kSent)) << "nothing is missed because of a step";
    EXPECT_NEAR(static_cast<double>(Count(Counter::kDue) - Count(Counter::kScheduled)), 200, 60) << "the second under way";
    EXPECT_GT(tally.latency.Snapshot().count(), 0u);
    EXPECT_LT(tally.latency.Snapshot().max_ns(), static_cast<uint64_t>(kSecond)) << "a step is no latency";
  }
};

TEST_F(GatewaySteps, AnHourBack) { ExpectItGoesOnAfter({-3'600 * kSecond}); }
TEST_F(GatewaySteps, AnHourAhead) { ExpectItGoesOnAfter({3'600 * kSecond}); }
TEST_F(GatewaySteps, AheadAndTakenBack) { ExpectItGoesOnAfter({3'600 * kSecond, -3'600 * kSecond, -60 * kSecond}); }

}  // namespace
}  // namespace hongbao::load
