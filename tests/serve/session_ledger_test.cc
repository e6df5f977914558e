// Sessions whose money is durable before it is told of.
#include <gtest/gtest.h>

#include "tests/serve/test_workers.h"

namespace hongbao::serve {
namespace {

using ledger::RecordKind;
using ledger::Settled;
using net::CloseReason;
using wire::ShakeResult;
using wire::Version;

TestOptions WithLedger() { return {.workers = 2, .ledger_credits = 8}; }

// Two workers with a ledger; in the end all shakes reconcile.
struct SessionLedgerTest : testing::Test {
  explicit SessionLedgerTest(const TestOptions& options = WithLedger()) : workers(options) {}
  ~SessionLedgerTest() override { workers.ExpectShakesReconcile(); }
  TestWorkers workers;
};

TEST_F(SessionLedgerTest, AWinIsAnsweredByItsOutcomeAndByNothingElse) {
  TestWorkers::Peer peer = workers.Login(7);
  workers.Publish(kFirstShakeId, 257);
  peer.Feed(ShakeFrame(7, 5'000));
  EXPECT_TRUE(peer.replies.empty()) << "the commit is under way";
  EXPECT_EQ(workers.Count(Counter::kWon), 0U);
  EXPECT_EQ(workers[0].sessions.shakes().pending_shakes(), 1U);
  EXPECT_EQ(workers[0].sessions.shakes().pending_wins().sum, envelope::Fen(257));
  workers.ExpectShakesReconcile();

  const ledger::Outcome outcome = workers.CommitAll();
  EXPECT_EQ(outcome.settled, Settled::kNew);
  EXPECT_EQ(outcome.reply_to, peer.address);
  EXPECT_EQ(outcome.envelope_id, kFirstShakeId);
  EXPECT_EQ(outcome.stamp, 5'000U);
  EXPECT_EQ(workers.Count(Counter::kWonFen), 257U);
  EXPECT_EQ(workers[0].sessions.shakes().pending_shakes(), 0U);
  EXPECT_EQ(workers.directory.grants(7), 0U) << "what the ledger knows is not kept twice";
}

TEST_F(SessionLedgerTest, ALosingShakeIsAnsweredAtOnceAndTouchesNothing) {
  TestWorkers::Peer peer = workers.Login(7);
  for (uint64_t stamp = 1; stamp <= 100; ++stamp) {
    const wire::ShakeResponse response = peer.Shake(7, stamp);
    EXPECT_EQ(response.result, ShakeResult::kNothing);
    EXPECT_EQ(response.stamp, stamp);
  }
  EXPECT_EQ(workers.fake.waiting(), 0U);
  EXPECT_EQ(workers.directory.last_stamp(7), 0U);
}

// Also when there was something, and another worker has taken it.
TEST(SessionLedger, AnEmptyPoolIsForgottenUntilSomethingNewComes) {
  for (const uint32_t cap : {0U, 3U}) {
    TestWorkers workers({.workers = 2, .wins_per_user = cap, .ledger_credits = 8});
    TestWorkers::Peer winner = workers.Login(8, Version::k2, 1);
    TestWorkers::Peer peer = workers.Login(7, Version::k2, 0);
    workers.Publish(kFirstShakeId, 1);
    winner.Feed(ShakeFrame(8, 10));
    peer.Feed(ShakeFrame(7, 20));  // looks for itself
    EXPECT_EQ(peer.TakeShake().result, ShakeResult::kNothing);
    const uint64_t seen = workers.directory.last_stamp(7);
    for (uint64_t stamp = 21; stamp < 30; ++stamp) {
      EXPECT_EQ(peer.Shake(7, stamp).result, ShakeResult::kNothing);
    }
    EXPECT_EQ(workers.directory.last_stamp(7), seen) << "cap " << cap << ": a losing shake leaves no trace";
    EXPECT_EQ(workers.directory.shake_wins(7), 0U);
    EXPECT_EQ(workers.fake.waiting(), 1U) << "only the winner's";
  }
}

// ---- stamps too far ahead of the clock ----

constexpr uint64_t kEver = ~uint64_t{0};
constexpr int64_t kLimit = 1'000'000;

TEST_F(SessionLedgerTest, AStampTooFarAheadMakesNothingAndHoldsNobodyBack) {
  workers[0].sessions.shakes().LimitStamps(kLimit);
  TestWorkers::Peer peer = workers.Login(7);
  for (const bool something : {false, true}) {
    if (something) {
      workers.Publish(kFirstShakeId, 257);
    }
    peer.Feed(ShakeFrame(7, kEver) + ShakeFrame(7, kLimit + 1));
    for (const uint64_t stamp : {kEver, uint64_t{kLimit + 1}}) {
      const wire::ShakeResponse response = peer.TakeShake();
      EXPECT_EQ(response.result, ShakeResult::kAhead);
      EXPECT_EQ(response.stamp, stamp);
    }
  }
  EXPECT_EQ(peer.Send(7, 100, {8, 9}, kEver).result, wire::SendResult::kAhead);
  EXPECT_EQ(workers.fake.waiting(), 0U);
  EXPECT_EQ(workers.directory.last_stamp(7), 0U);
  EXPECT_EQ(workers.Count(Counter::kStampsAhead), 5U);
  peer.Feed(ShakeFrame(7, kLimit));
  EXPECT_EQ(workers.CommitAll().settled, Settled::kNew) << "it wins as ever";
}

TEST(SessionLedger, OfAGatewayOnlyTheRequestsThatAreTooFarAheadAreRefused) {
  const wire::Token token{std::byte{1}};
  for (const bool something : {false, true}) {
    TestOptions options = WithLedger();
    options.gateway_token = token;
    TestWorkers workers(options);
    workers[0].sessions.shakes().LimitStamps(kLimit);
    TestWorkers::Peer gateway = workers.Connect();
    gateway.Feed(LoginFrame(0, Version::k2, 1, 100, 0, token));
    gateway.TakeLogin();
    if (something) {
      workers.Publish(kFirstShakeId, 257);
    }
    gateway.Feed(ShakeFrame(1, kLimit) + ShakeFrame(2, kEver) + ShakeFrame(3, kLimit) + ShakeFrame(4, kLimit + 1));
    std::vector<std::pair<uint32_t, ShakeResult>> answers;
    while (!gateway.replies.empty()) {
      const wire::ShakeResponse response = gateway.TakeShake();
      answers.emplace_back(response.user_id, response.result);
    }
    std::vector<std::pair<uint32_t, ShakeResult>> expected = {
        {2, ShakeResult::kAhead}, {3, ShakeResult::kNothing}, {4, ShakeResult::kAhead}};
    if (!something) {
      expected.insert(expected.begin(), {1, ShakeResult::kNothing});
    }
    EXPECT_EQ(answers, expected) << "with something to win the first waits for its commit";
    EXPECT_LE(gateway.session.stamp_floor, uint64_t{kLimit});
    EXPECT_EQ(workers.directory.last_stamp(2), 0U);
    workers.ExpectShakesReconcile();
  }
}

TEST_F(SessionLedgerTest, StampsOfVersionOneAreNoTimeOfOurs) {
  workers[0].sessions.shakes().LimitStamps(kLimit);
  TestWorkers::Peer peer = workers.Login(7, Version::k1);
  EXPECT_EQ(peer.Shake(7, kEver).result, ShakeResult::kNothing);
}

TEST_F(SessionLedgerTest, AnOpenOfAStampTooFarAheadIsServedWithoutIt) {
  workers[0].sessions.shakes().LimitStamps(kLimit);
  TestWorkers::Peer peer = workers.Login(7);
  peer.Feed(OpenFrame(7, kFirstMintedGiftId, kEver) + OpenFrame(7, kFirstMintedGiftId, kLimit));
  ASSERT_EQ(workers.posted.size(), 2U);
  EXPECT_FALSE(std::get<OpenGift>(workers.posted[0].second).has_identity);
  EXPECT_TRUE(std::get<OpenGift>(workers.posted[1].second).has_identity);
}

// Of a ledger that has such stamps from before: also when the clock has caught up with them.
TEST(SessionLedger, ARequestThatIsKnownByNameIsLookedUpWhateverTheClock) {
  for (const int64_t limit : {int64_t{50}, kLimit}) {
    TestOptions options = WithLedger();
    const std::vector<ledger::RequestName> far = {{7, 500}, {7, kEver}, {9, 700}};
    options.far_stamps = far;
    TestWorkers workers(options);
    workers[0].sessions.shakes().LimitStamps(limit);
    TestWorkers::Peer peer = workers.Login(7);
    for (const bool something : {false, true}) {
      if (something) {
        workers.Publish(kFirstShakeId, 257);
      }
      for (const uint64_t stamp : {uint64_t{500}, kEver}) {
        peer.Feed(ShakeFrame(7, stamp));
        EXPECT_TRUE(peer.replies.empty());
        EXPECT_EQ(workers.fake.Newest().kind, RecordKind::kFindWin);
        workers.fake.Commit();
        peer.Feed(SendFrame(7, 100, {8}, stamp));
        EXPECT_TRUE(peer.replies.empty());
        EXPECT_EQ(workers.fake.Newest().kind, RecordKind::kFindSend);
        workers.fake.Commit();
      }
    }
    EXPECT_EQ(workers.directory.last_stamp(7), 0U);
    EXPECT_EQ(workers.pool.left(), 1U);
    peer.Feed(ShakeFrame(7, 700));  // another user's
    if (limit < 700) {
      EXPECT_EQ(peer.TakeShake().result, ShakeResult::kAhead);
    } else {
      EXPECT_EQ(workers.fake.Newest().kind, RecordKind::kWin);
    }
  }
}

TEST_F(SessionLedgerTest, ARepeatGetsTheFirstOutcomeBeforeAndAfterItsCommit) {
  TestWorkers::Peer peer = workers.Login(7);
  workers.Publish(kFirstShakeId, 100);
  workers.Publish(kFirstShakeId + 1, 200);
  peer.Feed(ShakeFrame(7, 5'000) + ShakeFrame(7, 5'000));
  EXPECT_TRUE(peer.replies.empty());
  workers.fake.Commit();
  ASSERT_EQ(workers.told.size(), 2U);
  EXPECT_EQ(workers.told[0].settled, Settled::kNew);
  EXPECT_EQ(workers.told[1].settled, Settled::kRepeat);
  peer.Feed(ShakeFrame(7, 5'000));
  workers.fake.Commit();
  ASSERT_EQ(workers.told.size(), 3U);
  for (const ledger::Outcome& outcome : workers.told) {
    EXPECT_EQ(outcome.envelope_id, kFirstShakeId);
    EXPECT_EQ(outcome.amount_fen, 100U);
  }
  EXPECT_EQ(workers.pool.left(), 1U) << "a repeat claims nothing";
  EXPECT_EQ(workers.Count(Counter::kRepeated), 2U);
  EXPECT_EQ(workers.Count(Counter::kWon), 1U);
}

TEST_F(SessionLedgerTest, ARepeatOnANewerSessionWhileTheFirstIsUnderWay) {
  workers.Publish(kFirstShakeId, 100);
  TestWorkers::Peer old_one = workers.Login(7, Version::k2, 0);
  old_one.Feed(ShakeFrame(7, 5'000));
  TestWorkers::Peer new_one = workers.Login(7, Version::k2, 1, /*resume_after=*/5'000);
  workers.Publish(kFirstShakeId + 1, 200);
  new_one.Feed(ShakeFrame(7, 5'000));
  EXPECT_EQ(workers.fake.Newest().kind, RecordKind::kFindWin);
  EXPECT_EQ(workers.pool.left(), 1U);
  workers.fake.CommitLane(0);
  workers.fake.CommitLane(1);
  ASSERT_EQ(workers.told.size(), 2U);
  EXPECT_EQ(workers.told[1].settled, Settled::kRepeat);
  EXPECT_EQ(workers.told[1].envelope_id, kFirstShakeId);
  EXPECT_EQ(workers.told[1].reply_to, new_one.address);
}

// The lanes know no order among each other: what was looked for and not found must not be won any more.
TEST(SessionLedger, ARepeatThatOvertakesItsFirstTryMakesItTooLate) {
  TestWorkers workers({.workers = 2, .wins_per_user = 1, .ledger_credits = 8});
  workers.Publish(kFirstShakeId, 100);
  TestWorkers::Peer old_one = workers.Login(7, Version::k2, 0);
  old_one.Feed(ShakeFrame(7, 5'000));
  TestWorkers::Peer new_one = workers.Login(7, Version::k2, 1, 5'000);
  new_one.Feed(ShakeFrame(7, 5'000));
  workers.fake.CommitLane(1);
  EXPECT_EQ(workers.told.back().settled, Settled::kNone);
  workers.fake.CommitLane(0);
  EXPECT_EQ(workers.told.back().settled, Settled::kNone);
  EXPECT_EQ(workers.told.back().unused_id, kFirstShakeId);
  const std::vector<envelope::LuckyEnvelope> returned = workers.returned.TakeEnvelopes();
  ASSERT_EQ(returned.size(), 1U);
  EXPECT_EQ(returned[0].id, kFirstShakeId);
  EXPECT_EQ(returned[0].amount, envelope::Fen(100));
  EXPECT_EQ(workers.Count(Counter::kReturnedFen), 100U);
  EXPECT_EQ(workers.directory.shake_wins(7), 0U) << "the allowance came back";
  workers.ExpectShakesReconcile();

  workers.Publish(returned[0].id, returned[0].amount.value());
  new_one.Feed(ShakeFrame(7, 6'000));
  EXPECT_EQ(workers.CommitAll().settled, Settled::kNew) << "and this session has not taken the cap for good";
  workers.ExpectShakesReconcile();
}

TEST_F(SessionLedgerTest, ASupersededSessionClaimsNothing) {
  TestWorkers::Peer old_one = workers.Login(7, Version::k2, 0);
  TestWorkers::Peer new_one = workers.Login(7, Version::k2, 1);
  workers.Publish(kFirstShakeId, 100);
  old_one.Feed(ShakeFrame(7, 5'000));  // its close is on the way
  EXPECT_TRUE(old_one.replies.empty()) << "whatever it said, the newer session could say something else";
  EXPECT_EQ(workers.Count(Counter::kDropped), 1U);
  EXPECT_EQ(workers.pool.left(), 1U);
  EXPECT_EQ(workers.fake.waiting(), 0U);
  new_one.Feed(ShakeFrame(7, 5'000));
  EXPECT_EQ(workers.CommitAll().settled, Settled::kNew);
}

TEST(SessionLedger, AFullLaneIsOverloadBeforeAnythingIsTaken) {
  TestWorkers workers({.workers = 2, .wins_per_user = 9, .ledger_credits = 2});
  TestWorkers::Peer peer = workers.Login(7);
  workers.PublishMany(5);
  peer.Feed(ShakeFrame(7, 1) + ShakeFrame(7, 2) + ShakeFrame(7, 3));
  EXPECT_EQ(peer.TakeShake().result, ShakeResult::kOverload) << "the third";
  EXPECT_EQ(workers.pool.left(), 3U);
  EXPECT_EQ(workers.directory.shake_wins(7), 2U);
  EXPECT_EQ(workers.directory.last_stamp(7), 2U);
  EXPECT_EQ(workers.Count(Counter::kLedgerFull), 1U);
  peer.Feed(ShakeFrame(7, 1));
  EXPECT_TRUE(peer.replies.empty()) << "a repeat waits: it may not be told that nothing has happened";
  EXPECT_EQ(workers[0].ledger.parked(), 1U);
  workers.ExpectShakesReconcile();
  workers.fake.Commit();
  EXPECT_EQ(workers.told.back().settled, Settled::kRepeat);
  peer.Feed(ShakeFrame(7, 3));
  EXPECT_EQ(workers.CommitAll().settled, Settled::kNew) << "and then it wins";
  workers.ExpectShakesReconcile();
}

TEST(SessionLedger, EndlessRepeatsEndTheConnectionInsteadOfFillingTheMemory) {
  TestWorkers workers({.ledger_credits = 4});
  TestWorkers::Peer peer = workers.Login(7);
  workers.Publish(kFirstShakeId, 100);
  peer.Feed(ShakeFrame(7, 5));
  CloseReason close = CloseReason::kNone;
  int sent = 0;
  for (; close == CloseReason::kNone && sent < 100; ++sent) {
    close = peer.Feed(ShakeFrame(7, 5)).close;
  }
  EXPECT_EQ(close, CloseReason::kSwamped);
  EXPECT_LE(workers[0].ledger.parked(), 4U);
  EXPECT_TRUE(peer.replies.empty()) << "no lie";
  EXPECT_EQ(workers.Count(Counter::kDropped), 1U);
  workers.fake.Commit();
  workers.ExpectShakesReconcile();
}

TEST(SessionLedger, TheCapHoldsWhileCommitsAreUnderWay) {
  TestWorkers workers({.workers = 2, .wins_per_user = 2, .ledger_credits = 8});
  workers.PublishMany(8);
  TestWorkers::Peer peer = workers.Login(7, Version::k2, 0);
  peer.Feed(ShakeFrame(7, 1) + ShakeFrame(7, 2) + ShakeFrame(7, 3));
  EXPECT_EQ(peer.TakeShake().result, ShakeResult::kCap);
  TestWorkers::Peer again = workers.Login(7, Version::k2, 1, 2);
  EXPECT_EQ(again.Shake(7, 4).result, ShakeResult::kCap);
  EXPECT_EQ(workers.pool.left(), 6U);
  EXPECT_EQ(workers.directory.last_stamp(7), 2U) << "who may win no more leaves no trace";
  workers.fake.Commit();
  workers.ExpectShakesReconcile();
}

TEST_F(SessionLedgerTest, VersionOneHasNoIdentity) {
  workers.PublishMany(2);
  TestWorkers::Peer peer = workers.Login(7, Version::k1);
  peer.Feed(ShakeFrame(7, 1'486'824'165) + ShakeFrame(7, 1'486'824'165));
  EXPECT_FALSE(workers.fake.Newest().has_stamp);
  workers.fake.Commit();
  EXPECT_EQ(workers.Count(Counter::kWon), 2U) << "seconds repeat";
  EXPECT_EQ(workers.directory.last_stamp(7), kHistoryStamp);
}

// ---- logins ----

TEST_F(SessionLedgerTest, ALoginIsSentWhatTheClientDoesNotKnow) {
  TestWorkers::Peer peer = workers.Login(7);
  for (uint32_t i = 0; i < 3; ++i) {
    workers.Publish(kFirstShakeId + i, 100);
    peer.Feed(ShakeFrame(7, 1'000 + i));
  }
  workers.fake.Commit();
  workers.told.clear();
  peer.Close();

  TestWorkers::Peer again = workers.Connect(1);
  again.Feed(LoginFrame(7, Version::k2, 1, 1, /*resume_after=*/1'000));
  EXPECT_EQ(again.TakeLogin().last_stamp, 1'002U);
  workers.fake.Commit();
  ASSERT_EQ(workers.told.size(), 3U) << "two and the end";
  EXPECT_TRUE(workers.told[0].resumed && workers.told[1].resumed);
  EXPECT_EQ(workers.told[0].stamp + workers.told[1].stamp, 2'003U);
  EXPECT_EQ(workers.told[0].reply_to, again.address);
  EXPECT_EQ(workers.told[2].kind, RecordKind::kResume);
  again.Close();

  TestWorkers::Peer knows_all = workers.Login(7, Version::k2, 0, 1'002);
  EXPECT_EQ(workers.fake.waiting(), 0U) << "nothing is asked when there is nothing new";
  knows_all.Close();
  workers.Login(7, Version::k1, 0);
  EXPECT_EQ(workers.fake.waiting(), 0U) << "version 1 has no way to ask";
}

TEST_F(SessionLedgerTest, LastStampCountsFromTheDecisionOn) {
  workers.Publish(kFirstShakeId, 100);
  TestWorkers::Peer peer = workers.Login(7, Version::k2, 0);
  peer.Feed(ShakeFrame(7, 1'000));
  TestWorkers::Peer again = workers.Connect(1);
  again.Feed(LoginFrame(7, Version::k2));
  EXPECT_EQ(again.TakeLogin().last_stamp, 1'000U) << "its commit is under way";
}

TEST(SessionLedger, AFullLedgerLetsNobodyInAndSaysSo) {
  TestWorkers workers({.ledger_credits = 1});
  workers.Publish(kFirstShakeId, 100);
  TestWorkers::Peer peer = workers.Login(7);
  peer.Feed(ShakeFrame(7, 1));
  workers.ExpectRefused(LoginFrame(8, Version::k2), CloseReason::kFull, wire::LoginResult::kFullOrDraining);
  EXPECT_EQ(workers.Count(Counter::kLedgerFull), 1U);
  EXPECT_EQ(peer.Feed(StatementFrame(7, 2)).close, CloseReason::kNone) << "waits for its turn";
  EXPECT_EQ(peer.Feed(StatementFrame(7, 3)).close, CloseReason::kSwamped) << "there is no answer that says later";
  workers.fake.Commit();
  EXPECT_EQ(workers.Login(8).session.user, 8U);
}

TEST_F(SessionLedgerTest, WhatAnEarlierLifeLeftIsAskedForFirst) {
  workers.directory.Restore(7, 9'000, 1);
  workers.Publish(kFirstShakeId, 100);
  TestWorkers::Peer peer = workers.Login(7, Version::k2, 0, 9'000);
  peer.Feed(ShakeFrame(7, 8'000));
  EXPECT_EQ(workers.fake.Newest().kind, RecordKind::kFindWin);
  peer.Feed(ShakeFrame(7, 9'001));
  EXPECT_EQ(workers.fake.Newest().kind, RecordKind::kWin);
  EXPECT_EQ(workers.directory.shake_wins(7), 1U);
}

// ---- the other frames ----

TEST_F(SessionLedgerTest, AStatementIsTheLedgers) {
  workers.Publish(kFirstShakeId, 257);
  TestWorkers::Peer peer = workers.Login(7);
  peer.Feed(ShakeFrame(7, 5) + StatementFrame(7, 6));
  EXPECT_TRUE(peer.replies.empty());
  const ledger::Outcome statement = workers.CommitAll();
  EXPECT_EQ(statement.kind, RecordKind::kStatement);
  EXPECT_EQ(statement.grants, 1U) << "behind the win in the same lane";
  EXPECT_EQ(statement.total_fen, 257U);
  EXPECT_EQ(statement.stamp, 6U);
}

TEST_F(SessionLedgerTest, ASendIsAnsweredByItsOutcomeAndARepeatByTheFirst) {
  TestWorkers::Peer peer = workers.Login(7);
  peer.Feed(SendFrame(7, 300, {1, 2, 3}, 50) + SendFrame(7, 300, {1, 2, 3}, 50));
  EXPECT_TRUE(peer.replies.empty());
  workers.fake.Commit();
  ASSERT_EQ(workers.told.size(), 2U);
  EXPECT_EQ(workers.told[0].settled, Settled::kNew);
  EXPECT_EQ(workers.told[1].settled, Settled::kRepeat);
  EXPECT_EQ(workers.told[0].envelope_id, workers.told[1].envelope_id);
  EXPECT_EQ(workers.Count(Counter::kGiftsSent), 1U);
  EXPECT_EQ(workers.Count(Counter::kSendsRepeated), 1U);
  EXPECT_EQ(workers.directory.last_stamp(7), 50U);
  EXPECT_EQ(workers.directory.unopened(1), 1U);
  workers[0].gifts.book().Audit();
}

TEST(SessionLedger, ARepeatedSendIsNeverToldThatNothingHappened) {
  TestWorkers workers({.ledger_credits = 1});
  TestWorkers::Peer peer = workers.Login(7);
  peer.Feed(SendFrame(7, 300, {1, 2, 3}, 50));
  EXPECT_EQ(peer.Feed(SendFrame(7, 300, {1, 2, 3}, 50)).close, CloseReason::kNone) << "it waits for the first try's outcome";
  EXPECT_EQ(peer.Feed(SendFrame(7, 300, {1, 2, 3}, 50)).close, CloseReason::kSwamped) << "and no more than one of one credit";
  EXPECT_TRUE(peer.replies.empty());
  EXPECT_EQ(peer.Feed(SendFrame(7, 300, {1, 2, 3}, 51)).close, CloseReason::kNone);
  EXPECT_EQ(peer.TakeSend().result, wire::SendResult::kOverload) << "a first try is";
  workers.fake.Commit();
  EXPECT_EQ(workers.told.back().kind, RecordKind::kFindSend);
  EXPECT_EQ(workers.told.back().settled, Settled::kRepeat);
  workers[0].sessions.Drain();
  EXPECT_EQ(peer.Feed(SendFrame(7, 300, {1, 2, 3}, 50)).close, CloseReason::kNone) << "nor while draining";
  EXPECT_EQ(workers.CommitAll().settled, Settled::kRepeat);
  EXPECT_EQ(workers.Count(Counter::kGiftsSent), 1U);
}

// A worker whose gift book has room for one gift, which user 8 has sent.
struct FullBookTest : testing::Test {
  FullBookTest() : eight(workers.Login(8, Version::k2, 1)) {
    eight.Feed(SendFrame(8, 300, {1, 2, 3}, 40));
    EXPECT_EQ(workers.CommitAll().settled, Settled::kNew);
    first = workers.told.back().envelope_id;
  }
  TestWorkers workers{{.workers = 2, .gifts_max = 1, .ledger_credits = 8}};
  TestWorkers::Peer eight;
  uint32_t first = 0;
};

TEST_F(FullBookTest, ARepeatedSendIsLookedUp) {
  EXPECT_EQ(eight.Feed(SendFrame(8, 300, {1, 2, 3}, 40)).close, CloseReason::kNone);
  EXPECT_TRUE(eight.replies.empty());
  const ledger::Outcome outcome = workers.CommitAll();
  EXPECT_EQ(outcome.settled, Settled::kRepeat);
  EXPECT_EQ(outcome.envelope_id, first);
  EXPECT_EQ(outcome.reply_to, eight.address);
}

TEST_F(FullBookTest, ASendThatWasRefusedIsRefusedAgainAndMadeWhenThereIsRoom) {
  EXPECT_EQ(eight.Send(8, 200, {1}, 41).result, wire::SendResult::kOverload);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(eight.Feed(SendFrame(8, 200, {1}, 41)).close, CloseReason::kNone);
    EXPECT_EQ(workers.CommitAll().settled, Settled::kNone);
    EXPECT_EQ(workers.told.back().kind, RecordKind::kFindSend);
  }
  workers.Turn(100'000);  // the gift that was in the way expires
  eight.Feed(SendFrame(8, 200, {1}, 41));
  EXPECT_EQ(workers.CommitAll().settled, Settled::kNew) << "a no is not for ever";
}

// The lanes know no order among each other.
TEST_F(FullBookTest, ASendThatANewerSessionWasToldHasNotHappenedIsNotMadeByTheOlderOne) {
  TestWorkers::Peer old_one = workers.Login(7, Version::k2, 0);
  old_one.Feed(SendFrame(7, 300, {4, 5}, 50));
  TestWorkers::Peer new_one = workers.Login(7, Version::k2, 1, 50);
  new_one.Feed(SendFrame(7, 300, {4, 5}, 50));
  workers.fake.CommitLane(1);
  EXPECT_EQ(workers.told.back().settled, Settled::kNone) << "told 17";
  workers.fake.CommitLane(0);
  EXPECT_EQ(workers.told.back().kind, RecordKind::kGift);
  EXPECT_EQ(workers.told.back().settled, Settled::kNone);
  EXPECT_EQ(workers[0].gifts.book().totals().gifts, 0U);
  EXPECT_EQ(workers[0].gifts.pending_shares().count, 0U);
  EXPECT_EQ(workers.directory.unopened(4), 0U);
  EXPECT_EQ(workers.Count(Counter::kLate), 1U);
  workers.Turn(100'000);
  new_one.Feed(SendFrame(7, 300, {4, 5}, 50));
  EXPECT_EQ(workers.CommitAll().settled, Settled::kNew) << "the newer session itself may";
}

TEST_F(SessionLedgerTest, ASupersededSessionSendsNothing) {
  TestWorkers::Peer old_one = workers.Login(7, Version::k2, 0);
  TestWorkers::Peer new_one = workers.Login(7, Version::k2, 1);
  workers[1].sessions.Drain();
  EXPECT_EQ(new_one.Send(7, 300, {1, 2, 3}, 50).result, wire::SendResult::kOverload);
  EXPECT_EQ(old_one.Feed(SendFrame(7, 300, {1, 2, 3}, 50)).close, CloseReason::kNone);  // its close is on the way
  EXPECT_TRUE(old_one.replies.empty());
  EXPECT_EQ(workers.fake.waiting(), 0U);
  EXPECT_EQ(workers[0].gifts.book().totals().gifts, 0U);
  EXPECT_EQ(workers.Count(Counter::kLate), 1U);
  new_one.Feed(SendFrame(7, 300, {1, 2, 3}, 50));
  EXPECT_EQ(workers.CommitAll().settled, Settled::kNone) << "the older one's try has left its stamp: looked up, and still no";
}

TEST_F(SessionLedgerTest, WhileDrainingNothingNewIsDecidedAndRepeatsAreAnswered) {
  workers.PublishMany(2);
  TestWorkers::Peer peer = workers.Login(7);
  peer.Feed(ShakeFrame(7, 1));
  workers.fake.Commit();
  workers[0].sessions.Drain();
  EXPECT_EQ(peer.Shake(7, 2).result, ShakeResult::kOverload);
  EXPECT_EQ(workers.pool.left(), 1U);
  EXPECT_EQ(peer.Send(7, 3, {1}, 3).result, wire::SendResult::kOverload);
  peer.Feed(ShakeFrame(7, 1));
  EXPECT_EQ(workers.CommitAll().settled, Settled::kRepeat);
}

TEST_F(SessionLedgerTest, MoneyIsDecidedForAConnectionThatTakesNoMoreBytesButIsNotLost) {
  TestWorkers::Peer peer = workers.Connect(0, /*cap=*/36);  // room for the login's answer only
  peer.Feed(LoginFrame(7, Version::k2));
  workers.Publish(kFirstShakeId, 100);
  peer.Feed(ShakeFrame(7, 5));
  workers.fake.Commit();
  peer.Close();
  workers.told.clear();
  TestWorkers::Peer again = workers.Login(7, Version::k2, 1);
  workers.fake.Commit();
  ASSERT_EQ(workers.told.size(), 2U);
  EXPECT_EQ(workers.told[0].envelope_id, kFirstShakeId) << "re-sent at the next login";
}

}  // namespace
}  // namespace hongbao::serve
