// Gateways: who may be one, whom it carries, and that its shakes are decided exactly as they are on connections of their own.
#include "libhongbao/serve/gateways.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/serve/test_workers.h"

namespace hongbao::serve {
namespace {

using net::CloseReason;
using wire::ShakeResult;
using wire::Version;
using Bytes = std::vector<std::byte>;

wire::Token Token(uint8_t fill) {
  wire::Token token;
  token.fill(std::byte{fill});
  return token;
}
const wire::Token kRight = Token(0x5a);

// Two workers that take gateways, and what else a test wants.
TestOptions WithToken(TestOptions options = {}) {
  options.workers = 2;
  options.gateway_token = kRight;
  return options;
}

Bytes GatewayLogin(uint32_t first, uint32_t count, const wire::Token& token = kRight) {
  return LoginFrame(first, Version::k2, /*stamp=*/1, count, /*resume_after=*/0, token);
}

TestWorkers::Peer Gateway(TestWorkers& workers, uint32_t first, uint32_t count, uint32_t worker = 0, size_t cap = 1 << 20) {
  TestWorkers::Peer peer = workers.Connect(worker, cap);
  EXPECT_EQ(peer.Feed(GatewayLogin(first, count)).close, CloseReason::kNone);
  const wire::LoginResponse response = peer.TakeLogin();
  EXPECT_EQ(response.result, wire::LoginResult::kOk);
  EXPECT_EQ(response.first_user, first);
  return peer;
}

TEST(GatewaysTest, NumbersAreGivenOutOnceAndComeBack) {
  Gateways gateways(2);
  const uint16_t one = gateways.Add(10);
  const uint16_t other = gateways.Add(20);
  EXPECT_NE(one, kNoGateway);
  EXPECT_NE(other, kNoGateway);
  EXPECT_NE(one, other);
  EXPECT_TRUE(gateways.full());
  EXPECT_EQ(gateways.user_count(one), 10U);
  EXPECT_EQ(gateways.user_count(other), 20U);
  gateways.Remove(one);
  EXPECT_EQ(gateways.Add(30), one);
  EXPECT_TRUE(Gateways(0).full());
}

TEST(GatewaysTest, ALoginIsToldTheHighestStampOfItsUsersUnlessThatIsFarAhead) {
  TestWorkers workers(WithToken({.ledger_credits = 100}));
  const uint64_t now = static_cast<uint64_t>(workers.clock.WallNs());
  const uint64_t floor = now + 5'000'000'000U;  // the clock of the gateway before was five seconds ahead
  workers.directory.Restore(12, floor, 0);
  TestWorkers::Peer first = workers.Connect();
  first.Feed(GatewayLogin(10, 5));
  EXPECT_EQ(first.TakeLogin().last_stamp, floor);
  workers.directory.Restore(13, ~uint64_t{0}, 0);
  TestWorkers::Peer again = workers.Connect();
  again.Feed(GatewayLogin(10, 5));
  EXPECT_EQ(again.TakeLogin().last_stamp, 0U) << "nothing is above it";
}

TEST(GatewaysTest, OnlyWithTheTokenAndNobodyWithoutOneOfTheServers) {
  wire::Token almost = kRight;
  almost[15] = std::byte{0};
  const struct {
    std::optional<wire::Token> ours;
    wire::Token theirs;
    wire::LoginResult result;
  } cases[] = {
      {kRight, kRight, wire::LoginResult::kOk},
      {kRight, almost, wire::LoginResult::kBadToken},
      {kRight, wire::Token{}, wire::LoginResult::kBadToken},
      {std::nullopt, kRight, wire::LoginResult::kBadToken},
      {std::nullopt, wire::Token{}, wire::LoginResult::kBadToken},
  };
  for (const auto& c : cases) {
    TestWorkers workers({.gateway_token = c.ours});
    TestWorkers::Peer peer = workers.Connect();
    const Served served = peer.Feed(GatewayLogin(10, 5, c.theirs) + ShakeFrame(12));
    EXPECT_EQ(peer.TakeLogin().result, c.result);
    const bool ok = c.result == wire::LoginResult::kOk;
    EXPECT_EQ(served.close, ok ? CloseReason::kNone : CloseReason::kRefused);
    EXPECT_EQ(peer.replies.empty(), !ok);
    EXPECT_EQ(workers.Count(Counter::kUsersCame), ok ? 5U : 0U);
    EXPECT_EQ(workers.Count(Counter::kLoginsBadToken), ok ? 0U : 1U);
  }
}

TEST(GatewaysTest, RangeRoomAndDrain) {
  TestWorkers workers(WithToken({.users_max = 100, .gateways_max = 1}));
  TestWorkers::Peer beyond = workers.Connect();
  beyond.Feed(GatewayLogin(90, 11));
  EXPECT_EQ(beyond.TakeLogin().result, wire::LoginResult::kUserOutOfRange);
  TestWorkers::Peer first = Gateway(workers, 90, 10);
  workers.ExpectRefused(GatewayLogin(0, 10), CloseReason::kFull, wire::LoginResult::kFullOrDraining);
  first.Close();
  EXPECT_EQ(workers.Count(Counter::kUsersLeft), 10U);
  Gateway(workers, 0, 10);
  workers[1].sessions.Drain();
  TestWorkers::Peer late = workers.Connect(1);
  EXPECT_EQ(late.Feed(GatewayLogin(20, 10)).close, CloseReason::kDrain);
}

// Rule 2: one session per user, and the newest login that may have it has it.
TEST(GatewaysTest, TheNewerLoginHasTheUserOnEitherSide) {
  TestWorkers workers(WithToken());
  TestWorkers::Peer direct = workers.Login(12, Version::k2, 1);
  TestWorkers::Peer gateway = Gateway(workers, 10, 5);
  EXPECT_EQ(workers.TakePosted<Supersede>().address, direct.address);
  EXPECT_EQ(workers.Count(Counter::kUsersCame), 5U);
  direct.Close();
  EXPECT_EQ(workers.Count(Counter::kUsersLeft), 0U) << "the user is the gateway's now";

  TestWorkers::Peer larger = Gateway(workers, 0, 20, 1);
  EXPECT_EQ(workers.TakePosted<Supersede>().address, gateway.session.NameOf(gateway.address));
  EXPECT_TRUE(workers.posted.empty()) << "told once, not for each user";
  gateway.Close();
  EXPECT_EQ(workers.Online(), 20U);

  TestWorkers::Peer back = workers.Connect();
  back.Feed(LoginFrame(12, Version::k2, 1, 1, 0, kRight));
  EXPECT_EQ(back.TakeLogin().result, wire::LoginResult::kOk) << "whoever knows the gateways' token may";
  EXPECT_EQ(workers.TakePosted<Supersede>().address, larger.session.NameOf(larger.address));
  larger.Close();
  EXPECT_EQ(workers.Online(), 1U);
  EXPECT_EQ(workers.directory.Find(12), back.address);
}

// Who has shown nothing throws nobody out, in either version and whatever stands in the token's place.
TEST(GatewaysTest, ALoginThatProvesNothingLeavesTheGatewayItsUsers) {
  for (const uint32_t user : {10U, 12U, 14U}) {
    TestWorkers workers(WithToken());
    TestWorkers::Peer gateway = Gateway(workers, 10, 5);
    for (const Bytes& login :
         {LoginFrame(user, Version::k1), LoginFrame(user, Version::k2), LoginFrame(user, Version::k2, 1, 1, 0, Token(0x11))}) {
      workers.ExpectRefused(login + ShakeFrame(user), CloseReason::kRefused, wire::LoginResult::kBadToken, 1);
    }
    EXPECT_TRUE(workers.posted.empty()) << "nobody is told to close";
    EXPECT_EQ(workers.Count(Counter::kSuperseded), 0U);
    EXPECT_EQ(workers.Count(Counter::kLoginsBadToken), 3U);
    EXPECT_EQ(workers.Online(), 5U);
    TestWorkers::Peer outside = workers.Login(15, Version::k1);  // beside its range nothing has changed
    gateway.Close();
    TestWorkers::Peer after = workers.Login(user, Version::k1);
    EXPECT_EQ(workers.Online(), 2U);
  }
}

TEST(GatewaysTest, WhatIsNotOfItsUsersIsMalformedBehindTheAnswersBeforeIt) {
  const auto frames_of = [](uint32_t user) {
    return std::vector<Bytes>{ShakeFrame(user, 9), OpenFrame(user, 5, 9), SendFrame(user, 10, {1}, 9), StatementFrame(user, 9)};
  };
  for (size_t kind = 0; kind < 4; ++kind) {
    for (const uint32_t user : {9U, 15U, 0U, 0xffff'ffffU}) {
      TestWorkers workers(WithToken());
      TestWorkers::Peer gateway = Gateway(workers, 10, 5);
      const Served served = gateway.Feed(ShakeFrame(14, 1) + ShakeFrame(10, 2) + frames_of(user)[kind] + ShakeFrame(10, 3));
      EXPECT_EQ(served.close, CloseReason::kMalformed) << kind << ' ' << user;
      EXPECT_EQ(gateway.TakeShake().user_id, 14U);
      EXPECT_EQ(gateway.TakeShake().stamp, 2U);
      EXPECT_TRUE(gateway.replies.empty());
      workers.ExpectShakesReconcile();
    }
    TestWorkers workers(WithToken());
    TestWorkers::Peer gateway = Gateway(workers, 10, 5);
    EXPECT_EQ(gateway.Feed(frames_of(13)[kind]).close, CloseReason::kNone);
    EXPECT_FALSE(gateway.replies.empty());
  }
}

TEST(GatewaysTest, NoShakeIsDecidedWithoutRoomForItsAnswer) {
  TestWorkers workers(WithToken());
  TestWorkers::Peer gateway = Gateway(workers, 0, 100, 0, /*cap=*/36 + 10 * wire::kShakeResponseBytes);
  workers.PublishMany(16, 1);
  Bytes shakes;
  for (uint32_t user = 0; user < 16; ++user) {
    shakes = shakes + ShakeFrame(user, user + 1);
  }
  gateway.Feed(shakes);
  EXPECT_FALSE(gateway.replies.open());
  EXPECT_EQ(workers.Count(Counter::kWon), 10U);
  EXPECT_EQ(workers.pool.left(), 6U);
  EXPECT_EQ(workers.Count(Counter::kDropped), 1U);
  workers.ExpectShakesReconcile();
}

// The same users, shakes and envelopes, once each user on a connection of its own and once all on a gateway whose stream is
// cut anywhere.
class Twins {
 public:
  static constexpr uint32_t kUsers = 40;

  Twins(uint64_t seed, uint32_t wins_per_user, uint32_t ledger_credits) : random_(seed) {
    const TestOptions options = WithToken({.wins_per_user = wins_per_user, .pool = 256, .ledger_credits = ledger_credits});
    direct_ = std::make_unique<TestWorkers>(options);
    pooled_ = std::make_unique<TestWorkers>(options);
    for (uint32_t user = 0; user < kUsers; ++user) {
      peers_.push_back(direct_->Login(user));
    }
    gateway_ = std::make_unique<TestWorkers::Peer>(Gateway(*pooled_, 0, kUsers, 0, 1 << 22));
  }

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      for (uint64_t i = random_() % 3 == 0 ? random_() % 20 : 0; i > 0; --i) {
        const int64_t fen = 1 + static_cast<int64_t>(random_() % 100);
        direct_->Publish(id_, fen);
        pooled_->Publish(id_++, fen);
      }
      Bytes stream;
      for (uint64_t i = random_() % 200; i > 0; --i) {
        const uint32_t user = static_cast<uint32_t>(random_() % kUsers);
        // Some repeat what was asked before.
        const uint64_t stamp =
            !stamps_[user].empty() && random_() % 8 == 0 ? stamps_[user][random_() % stamps_[user].size()] : ++stamp_;
        stamps_[user].push_back(stamp);
        peers_[user].Feed(ShakeFrame(user, stamp));
        stream = stream + ShakeFrame(user, stamp);
      }
      FeedCut(stream);
      if (random_() % 2 == 0) {
        direct_->fake.Commit();
        pooled_->fake.Commit();
      }
      direct_->ExpectShakesReconcile();
      pooled_->ExpectShakesReconcile();
    }
    direct_->fake.Commit();
    pooled_->fake.Commit();
  }

  // By (user, stamp): every answer and outcome, in the order in which they came for it.
  using Answers = std::multimap<std::pair<uint32_t, uint64_t>, std::tuple<ShakeResult, uint32_t, uint32_t>>;
  Answers Direct() { return AnswersOf(*direct_, peers_); }
  Answers Pooled() {
    std::vector<TestWorkers::Peer> one{*gateway_};
    return AnswersOf(*pooled_, one);
  }
  const TestWorkers& direct() const { return *direct_; }
  const TestWorkers& pooled() const { return *pooled_; }

 private:
  void FeedCut(const Bytes& stream) {
    for (auto at = stream.begin(); at != stream.end();) {
      const auto length = std::min<std::ptrdiff_t>(1 + static_cast<std::ptrdiff_t>(random_() % 2'000), stream.end() - at);
      rest_.insert(rest_.end(), at, at + length);
      at += length;
      const Served served = gateway_->Feed(rest_);
      EXPECT_EQ(served.close, CloseReason::kNone);
      rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(served.consumed));
    }
    EXPECT_TRUE(rest_.empty());
  }

  static Answers AnswersOf(const TestWorkers& workers, std::vector<TestWorkers::Peer>& peers) {
    Answers answers;
    for (TestWorkers::Peer& peer : peers) {
      while (!peer.replies.empty()) {
        const wire::ShakeResponse answer = peer.TakeShake();
        answers.insert({{answer.user_id, answer.stamp}, {answer.result, answer.envelope_id, answer.amount_fen}});
      }
    }
    for (const ledger::Outcome& outcome : workers.told) {
      const ShakeResult result = outcome.settled == ledger::Settled::kNone ? ShakeResult::kNothing : ShakeResult::kWon;
      answers.insert({{outcome.user, outcome.stamp}, {result, outcome.envelope_id, outcome.amount_fen}});
    }
    return answers;
  }

  std::mt19937_64 random_;
  std::unique_ptr<TestWorkers> direct_, pooled_;
  std::vector<TestWorkers::Peer> peers_;
  std::unique_ptr<TestWorkers::Peer> gateway_;
  std::map<uint32_t, std::vector<uint64_t>> stamps_;
  Bytes rest_;
  uint64_t stamp_ = 1'000;
  uint32_t id_ = kFirstShakeId;
};

TEST(GatewaysTest, WithoutALedgerAnswersAsOnConnectionsOfTheirOwn) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const uint32_t cap : {0U, 2U}) {
      Twins twins(seed, cap, 0);
      twins.Run(30);
      EXPECT_EQ(twins.Direct(), twins.Pooled()) << "seed " << seed << ", cap " << cap;
      EXPECT_GT(twins.pooled().Count(Counter::kWon), 20U) << "the test tests little";
      EXPECT_EQ(twins.pooled().Count(Counter::kWon), twins.direct().Count(Counter::kWon));
      EXPECT_EQ(twins.pooled().pool.left(), twins.direct().pool.left());
    }
  }
}

// What is won and by whom is the ledger's: each (user, stamp) has one outcome, however often it was asked for.
TEST(GatewaysTest, WithALedgerEveryShakeHasOneOutcome) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const uint32_t cap : {0U, 2U}) {
      Twins twins(seed, cap, 100'000);
      twins.Run(30);
      std::map<std::pair<uint32_t, uint64_t>, uint32_t> won;
      std::map<uint32_t, uint32_t> taken;
      for (const auto& [key, answer] : twins.Pooled()) {
        const auto& [result, envelope, fen] = answer;
        if (result == ShakeResult::kWon) {
          EXPECT_EQ(won.emplace(key, envelope).first->second, envelope) << "two envelopes for one request";
          ++taken[envelope];
        }
      }
      EXPECT_GT(won.size(), 20U);
      EXPECT_EQ(won.size(), twins.pooled().Count(Counter::kWon)) << "seed " << seed << ", cap " << cap;
      EXPECT_EQ(taken.size(), won.size()) << "one envelope for two requests";
      const TestWorkers& workers = twins.pooled();
      EXPECT_EQ(workers.pool.issued().count,
                workers.Count(Counter::kWon) + workers.Count(Counter::kReturned) + workers.pool.left());
    }
  }
}

TEST(GatewaysTest, ARepeatOnANewConnectionIsAskedOfTheLedgerAndOthersAreNot) {
  TestWorkers workers(WithToken({.ledger_credits = 100}));
  TestWorkers::Peer first = Gateway(workers, 10, 5);
  workers.Publish(kFirstShakeId, 257);
  first.Feed(ShakeFrame(12, 5'000));
  first.Close();
  workers.fake.Commit();
  TestWorkers::Peer second = Gateway(workers, 10, 5, 1);
  workers.Publish(kFirstShakeId + 1, 100);
  second.Feed(ShakeFrame(12, 5'000));
  EXPECT_EQ(workers.fake.Newest().kind, ledger::RecordKind::kFindWin);
  EXPECT_EQ(workers.pool.left(), 1U);
  second.Feed(ShakeFrame(13, 4'000));  // below the gateway's highest stamp, and above its own
  EXPECT_EQ(workers.fake.Newest().kind, ledger::RecordKind::kWin);
  workers.fake.Commit();
  ASSERT_EQ(workers.told.size(), 3U);
  EXPECT_EQ(workers.told[1].settled, ledger::Settled::kRepeat);
  EXPECT_EQ(workers.told[1].envelope_id, kFirstShakeId);
  EXPECT_EQ(workers.told[2].settled, ledger::Settled::kNew);
  workers.ExpectShakesReconcile();
}

// Both in one piece, so that they are decided together.
TEST(GatewaysTest, ARepeatBesideItsFirstTryGetsTheSameEnvelope) {
  TestWorkers workers(WithToken({.ledger_credits = 100}));
  TestWorkers::Peer gateway = Gateway(workers, 10, 5);
  workers.Publish(kFirstShakeId, 257);
  workers.Publish(kFirstShakeId + 1, 100);
  gateway.Feed(ShakeFrame(11, 4'000) + ShakeFrame(12, 5'000) + ShakeFrame(12, 5'000) + ShakeFrame(13, 6'000));
  workers.fake.Commit();
  EXPECT_EQ(workers.Count(Counter::kWon), 2U);
  EXPECT_EQ(workers.Count(Counter::kRepeated), 1U);
  std::map<uint32_t, uint32_t> fen;
  for (const ledger::Outcome& outcome : workers.told) {
    EXPECT_NE(outcome.settled, ledger::Settled::kNone);
    fen[outcome.user] += outcome.amount_fen;
  }
  EXPECT_EQ(fen, (std::map<uint32_t, uint32_t>{{11, 257}, {12, 200}})) << "12 is told twice of the same";
  EXPECT_EQ(gateway.TakeShake().user_id, 13U);
  workers.ExpectShakesReconcile();
}

TEST(GatewaysTest, RefusedOneByOneWhenNotAllAreAdmittedAndLosersTouchNothing) {
  TestWorkers workers(WithToken({.max_qps = 1, .ledger_credits = 100}));
  TestWorkers::Peer gateway = Gateway(workers, 10, 5);
  gateway.Feed(ShakeFrame(11, 4'000) + ShakeFrame(12, 5'000) + ShakeFrame(13, 6'000));
  EXPECT_EQ(gateway.TakeShake().result, ShakeResult::kNothing);
  EXPECT_EQ(gateway.TakeShake().result, ShakeResult::kOverload);
  EXPECT_EQ(gateway.TakeShake().result, ShakeResult::kOverload);
  EXPECT_EQ(workers.directory.last_stamp(11), 0U);
  EXPECT_EQ(workers.directory.last_stamp(12), 0U);
  workers.ExpectShakesReconcile();
}

TEST(GatewaysTest, AFullTableEndsTheFormerConnectionOfWhoComesBack) {
  TestWorkers workers(WithToken({.gateways_max = 1}));
  TestWorkers::Peer dead = Gateway(workers, 10, 5);  // its host has lost power: nobody says so
  TestWorkers::Peer other = workers.Connect();
  EXPECT_EQ(other.Feed(GatewayLogin(20, 5)).close, CloseReason::kFull);
  EXPECT_TRUE(workers.posted.empty()) << "nobody's former self";
  TestWorkers::Peer back = workers.Connect();
  EXPECT_EQ(back.Feed(GatewayLogin(10, 5)).close, CloseReason::kFull);
  EXPECT_EQ(workers.TakePosted<Supersede>().address, dead.session.NameOf(dead.address));
  dead.Close();
  Gateway(workers, 10, 5);
}

// Ending it would make no room: the table is another worker's, or the place is no gateway's.
TEST(GatewaysTest, AFullTableEndsNobodyWhoseEndMakesNoRoom) {
  TestWorkers workers(WithToken({.gateways_max = 1}));
  TestWorkers::Peer elsewhere = Gateway(workers, 10, 5, 1);
  TestWorkers::Peer direct = workers.Login(2);
  TestWorkers::Peer here = Gateway(workers, 20, 5);
  for (const auto& [first, count] : {std::pair{10U, 5U}, {2U, 2U}, {0U, 3U}}) {
    TestWorkers::Peer peer = workers.Connect();
    EXPECT_EQ(peer.Feed(GatewayLogin(first, count)).close, CloseReason::kFull);
  }
  EXPECT_TRUE(workers.posted.empty());
}

// All places may be taken by connections that never say who they are.
TEST(GatewaysTest, AGatewayIsLetInThoughAllConnectionsAreTaken) {
  TestWorkers workers(WithToken());
  TestWorkers::Peer gateway = workers.Connect();
  gateway.session.over_limit = true;
  EXPECT_EQ(gateway.Feed(GatewayLogin(10, 5)).close, CloseReason::kNone);
  TestWorkers::Peer direct = workers.Connect();
  direct.session.over_limit = true;
  EXPECT_EQ(direct.Feed(LoginFrame(3, Version::k2, 1, 1, 0, kRight)).close, CloseReason::kFull);
}

// With a user key: a login is let in by a token for exactly its users, or by the gateways'.
TEST(GatewaysTest, WithAUserKeyEveryLoginHasToShowAToken) {
  TestOptions options = WithToken();
  struct Question {
    uint32_t first_user, user_count;
    int64_t unix_s;
  };
  std::vector<Question> asked;
  options.user_token = [&asked](const wire::Token& token, uint32_t first_user, uint32_t user_count, int64_t unix_s) {
    asked.push_back({first_user, user_count, unix_s});
    return token == Token(0x77);
  };
  TestWorkers workers(options);
  workers.clock.SetWall(1'486'824'165'999'999'999);
  const struct {
    Bytes login;
    bool let_in;
  } cases[] = {
      {LoginFrame(7, Version::k1), false},
      {LoginFrame(7, Version::k2), false},
      {LoginFrame(7, Version::k2, 1, 1, 0, Token(0x78)), false},
      {LoginFrame(7, Version::k2, 1, 1, 0, Token(0x77)), true},
      {LoginFrame(7, Version::k2, 1, 1, 0, kRight), true},
      {GatewayLogin(20, 5, Token(0x78)), false},
      {GatewayLogin(20, 5, Token(0x77)), true},
      {GatewayLogin(20, 5, kRight), true},
  };
  for (const auto& c : cases) {
    TestWorkers::Peer peer = workers.Connect();
    EXPECT_EQ(peer.Feed(c.login).close, c.let_in ? CloseReason::kNone : CloseReason::kRefused);
    EXPECT_EQ(peer.TakeLogin().result, c.let_in ? wire::LoginResult::kOk : wire::LoginResult::kBadToken);
    peer.Close();
  }
  EXPECT_EQ(workers.Count(Counter::kLoginsBadToken), 4U);
  EXPECT_EQ(workers.Count(Counter::kLoginsOk), 4U);
  ASSERT_EQ(asked.size(), 5U) << "version 1 has no token to look at, and the gateways' token needs no other";
  EXPECT_EQ(asked[0].first_user, 7U);
  EXPECT_EQ(asked[0].user_count, 1U);
  EXPECT_EQ(asked[0].unix_s, 1'486'824'165);
  EXPECT_EQ(asked[4].user_count, 5U);
}

TEST(GatewaysTest, AUserTokenIsEnoughForAGatewayAndAgainstOne) {
  // No gateways' token.
  TestWorkers workers({.user_token = [](const wire::Token& token, uint32_t, uint32_t, int64_t) { return token == Token(0x77); }});
  TestWorkers::Peer gateway = workers.Connect();
  gateway.Feed(GatewayLogin(10, 5, Token(0x77)));
  EXPECT_EQ(gateway.TakeLogin().result, wire::LoginResult::kOk);
  TestWorkers::Peer user = workers.Connect();
  user.Feed(LoginFrame(12, Version::k2, 1, 1, 0, Token(0x77)));
  EXPECT_EQ(user.TakeLogin().result, wire::LoginResult::kOk);
  EXPECT_EQ(workers.TakePosted<Supersede>().address, gateway.session.NameOf(gateway.address));
}

TEST(GatewaysTest, NoMoreUsersThanALoginMayLookUp) {
  TestWorkers workers(WithToken({.users_max = 2 * wire::kGatewayUsersMax}));
  TestWorkers::Peer gateway = workers.Connect();
  gateway.Feed(GatewayLogin(0, wire::kGatewayUsersMax + 1));
  EXPECT_EQ(gateway.TakeLogin().result, wire::LoginResult::kUserOutOfRange);
}

TEST(GatewaysTest, AsksForGiftsOfItsUsersAPartAtATime) {
  TestWorkers workers(WithToken());
  for (const uint32_t user : {10U, 12U, 14U}) {
    ASSERT_TRUE(workers.directory.AddUnopened(user));
  }
  TestWorkers::Peer gateway = Gateway(workers, 10, 5);
  EXPECT_TRUE(workers.posted.empty()) << "not all at once with the login";
  Logins& logins = gateway.worker->sessions.logins();
  EXPECT_EQ(logins.AskForSomeNotices(gateway.session, gateway.address, 0, 2), 3U);
  EXPECT_EQ(workers.posted.size(), 4U) << "user 10's and 12's, to each worker";
  EXPECT_EQ(logins.AskForSomeNotices(gateway.session, gateway.address, 3, 100), 0U);
  EXPECT_EQ(workers.posted.size(), 6U);
}

TEST(GatewayOrderTest, OneLeavesForTheWorkerThatHasFewestOthers) {
  const auto on = [](uint8_t worker, uint32_t slot) {
    return Pack({.worker = worker, .generation = 1, .slot = slot, .gateway = true});
  };
  const auto counts = [](const GatewayOrder& order) {
    const GatewayOrder::Counts all = order.ByWorker();
    return std::vector<uint32_t>(all.begin(), all.begin() + 3);
  };
  GatewayOrder order;
  order.Add(on(1, 1));
  EXPECT_FALSE(order.Leave(on(1, 1), 3, {}).has_value()) << "itself does not count";
  order.Add(on(1, 2));
  EXPECT_FALSE(order.Leave(on(1, 2), 3, {on(1, 1)}).has_value()) << "nor one that it is about to replace";
  const std::optional<uint64_t> ticket = order.Leave(on(1, 2), 3, {});
  ASSERT_TRUE(ticket.has_value());
  EXPECT_EQ(Unpack(*ticket).worker, 0U);
  EXPECT_TRUE(IsGateway(*ticket));
  EXPECT_EQ(counts(order), (std::vector<uint32_t>{1, 1, 0})) << "it counts while it is on its way";
  order.Add(on(0, 3));
  const std::optional<uint64_t> second = order.Leave(on(0, 3), 3, {});
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(Unpack(*second).worker, 2U);
  EXPECT_NE(Unpack(*second).slot, Unpack(*ticket).slot);
  EXPECT_TRUE(order.IsNewer(*second, *ticket));
  order.Rename(*ticket, on(0, 9));
  EXPECT_FALSE(order.Lives(*ticket));
  EXPECT_TRUE(order.IsNewer(*second, on(0, 9))) << "it has kept its place";
  EXPECT_FALSE(order.IsNewer(on(0, 9), *second));
  EXPECT_TRUE(order.Remove(*second));
  EXPECT_EQ(counts(order), (std::vector<uint32_t>{1, 1, 0}));
}

// ---- logins over many turns ----

class GatewaysInSlices : public testing::Test {
 protected:
  static constexpr uint32_t kUsers = 100;

  static TestOptions Options() { return WithToken({.users_max = kUsers, .gateways_max = 8, .gateway_users_a_turn = 10}); }
  TestWorkers::Peer Begin(uint32_t first, uint32_t count, uint32_t worker = 0) {
    TestWorkers::Peer peer = workers_.Connect(worker);
    EXPECT_EQ(peer.worker->sessions.OnBytes(peer.session, peer.address, GatewayLogin(first, count), peer.replies).close,
              CloseReason::kNone);
    EXPECT_TRUE(peer.worker->sessions.gateway_logins().Entering(peer.session));
    EXPECT_TRUE(peer.replies.empty());
    return peer;
  }
  static GatewayLogins::Entered Step(TestWorkers::Peer& peer) {
    peer.worker->sessions.gateway_logins().BeginTurn();
    return peer.worker->sessions.gateway_logins().EnterSome(peer.session, peer.address);
  }
  static void Answer(TestWorkers::Peer& peer) {
    peer.worker->sessions.gateway_logins().Answer(peer.session, wire::LoginResult::kOk, peer.replies.Append(36));
    EXPECT_FALSE(peer.worker->sessions.gateway_logins().Entering(peer.session));
  }
  void LeaveAll() {
    for (const auto& worker : workers_.workers) {
      while (worker->sessions.gateway_logins().BeginTurn()) {
      }
    }
  }
  uint32_t Holds(const TestWorkers::Peer& peer) const {
    uint32_t users = 0;
    for (uint32_t user = 0; user < kUsers; ++user) {
      users += workers_.directory.Find(user) == peer.session.NameOf(peer.address) ? 1U : 0U;
    }
    return users;
  }
  uint64_t Online() const { return workers_.Online(); }

  TestWorkers workers_{Options()};
};

TEST_F(GatewaysInSlices, SoManyUsersATurnOverAllGatewaysOfAWorker) {
  TestWorkers::Peer one = Begin(0, 25);
  TestWorkers::Peer other = Begin(50, 25);
  workers_[0].sessions.gateway_logins().BeginTurn();
  EXPECT_EQ(workers_[0].sessions.gateway_logins().EnterSome(one.session, one.address), GatewayLogins::Entered::kSome);
  EXPECT_EQ(workers_[0].sessions.gateway_logins().EnterSome(other.session, other.address), GatewayLogins::Entered::kSome);
  EXPECT_EQ(workers_[0].sessions.gateway_logins().EnterSome(one.session, one.address), GatewayLogins::Entered::kSome);
  EXPECT_EQ(Holds(one) + Holds(other), 10U);
  EXPECT_EQ(Step(one), GatewayLogins::Entered::kSome);
  EXPECT_EQ(Step(one), GatewayLogins::Entered::kAll);
  Answer(one);
  EXPECT_EQ(one.TakeLogin().result, wire::LoginResult::kOk);
  EXPECT_EQ(Holds(one), 25U);
  EXPECT_EQ(workers_.Count(Counter::kLoginsOk), 1U);
}

TEST_F(GatewaysInSlices, OneThatEndsHalfWayLeavesNobodyBehind) {
  TestWorkers::Peer gateway = Begin(0, 60);
  Step(gateway);
  Step(gateway);
  EXPECT_EQ(Online(), 20U);
  gateway.Close();
  EXPECT_EQ(Online(), 20U) << "the turn has had its share";
  TestWorkers::Peer stranger = workers_.Login(3, Version::k1);  // nobody's gateway has the user any more
  EXPECT_EQ(workers_.Count(Counter::kSuperseded), 0U);
  LeaveAll();
  EXPECT_EQ(Online(), 1U);
  EXPECT_EQ(workers_.directory.Find(3), stranger.address);
  EXPECT_EQ(workers_.directory.Find(4), kOffline);
}

TEST_F(GatewaysInSlices, TheOlderOneComesToTheNewerOnesUsersAndEnds) {
  TestWorkers::Peer older = Begin(0, 60);
  Step(older);
  TestWorkers::Peer newer = Begin(30, 20, 1);
  EXPECT_EQ(Step(newer), GatewayLogins::Entered::kSome);
  EXPECT_EQ(Step(older), GatewayLogins::Entered::kSome);
  EXPECT_EQ(Step(older), GatewayLogins::Entered::kSome);
  EXPECT_EQ(Step(older), GatewayLogins::Entered::kSuperseded);
  EXPECT_EQ(Step(newer), GatewayLogins::Entered::kAll);
  older.Close();
  LeaveAll();
  EXPECT_EQ(Holds(newer), 20U);
  EXPECT_EQ(Online(), 20U);
  EXPECT_EQ(workers_.Count(Counter::kSuperseded), 1U);
  EXPECT_TRUE(workers_.posted.empty()) << "nobody has to tell it";
}

TEST_F(GatewaysInSlices, TheNewerOneTakesTheOlderOnesUsersAndItIsToldOnce) {
  TestWorkers::Peer older = Begin(0, 60);
  Step(older);
  TestWorkers::Peer newer = Begin(0, 60, 1);
  Step(newer);
  EXPECT_EQ(workers_.TakePosted<Supersede>().address, older.session.NameOf(older.address));
  EXPECT_EQ(Step(older), GatewayLogins::Entered::kSuperseded) << "before it is told";
  older.Close();
  while (Step(newer) != GatewayLogins::Entered::kAll) {
  }
  LeaveAll();
  EXPECT_EQ(Holds(newer), 60U);
  EXPECT_EQ(Online(), 60U);
  EXPECT_EQ(workers_.Count(Counter::kSuperseded), 1U);
  EXPECT_TRUE(workers_.posted.empty());
}

// Gateways and users that log in, enter, are told, and leave in every order: at rest each user is held by a live session that has
// all its users, or by nobody.
TEST_F(GatewaysInSlices, WhateverTheOrderTheDirectoryIsExact) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    TestWorkers workers(Options());
    std::vector<TestWorkers::Peer> peers;
    const auto drop = [&peers](size_t i) {
      peers[i].Close();
      peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(i));
    };
    const auto step = [&](size_t i) {
      TestWorkers::Peer& peer = peers[i];
      if (!peer.worker->sessions.gateway_logins().Entering(peer.session)) return;
      const GatewayLogins::Entered entered = peer.worker->sessions.gateway_logins().EnterSome(peer.session, peer.address);
      if (entered == GatewayLogins::Entered::kSuperseded) drop(i);
      if (entered == GatewayLogins::Entered::kAll) Answer(peer);
    };
    const auto tell = [&] {
      const Supersede message = workers.TakePosted<Supersede>();
      for (size_t i = 0; i < peers.size(); ++i) {
        if (peers[i].session.NameOf(peers[i].address) == message.address) return drop(i);
      }
    };
    for (int i = 0; i < 400; ++i) {
      const uint64_t dice = random() % 10;
      if (dice == 0) {
        TestWorkers::Peer peer = workers.Connect(static_cast<uint32_t>(random() % 2));
        const auto first = static_cast<uint32_t>(random() % (kUsers - 1));
        const uint32_t count = random() % 3 == 0 ? 1 : 2 + static_cast<uint32_t>(random() % (kUsers - first - 1));
        const Bytes login = LoginFrame(first, Version::k2, 1, count, 0, random() % 4 == 0 && count == 1 ? wire::Token{} : kRight);
        if (peer.worker->sessions.OnBytes(peer.session, peer.address, login, peer.replies).close == CloseReason::kNone) {
          peers.push_back(std::move(peer));
        }
      } else if (dice == 1 && !peers.empty()) {
        drop(random() % peers.size());
      } else if (dice == 2 && !workers.posted.empty()) {
        tell();
      } else if (dice <= 4) {
        workers[random() % 2].sessions.gateway_logins().BeginTurn();
      } else if (!peers.empty()) {
        step(random() % peers.size());
      }
    }
    for (int rounds = 0; rounds < 100; ++rounds) {
      while (!workers.posted.empty()) tell();
      for (const auto& worker : workers.workers) worker->sessions.gateway_logins().BeginTurn();
      for (size_t i = peers.size(); i > 0; --i) step(i - 1);
    }
    while (!workers.posted.empty()) tell();
    for (const auto& worker : workers.workers) {
      while (worker->sessions.gateway_logins().BeginTurn()) {
      }
    }
    uint64_t online = 0;
    for (uint32_t user = 0; user < kUsers; ++user) online += workers.directory.Find(user) != kOffline ? 1U : 0U;
    uint64_t held = 0;
    for (TestWorkers::Peer& peer : peers) {
      ASSERT_FALSE(peer.worker->sessions.gateway_logins().Entering(peer.session)) << "seed " << seed;
      for (uint32_t user = 0; user < kUsers; ++user) {
        if (peer.worker->sessions.Owns(peer.session, user)) {
          ASSERT_EQ(workers.directory.Find(user), peer.session.NameOf(peer.address)) << "seed " << seed << ", user " << user;
          ++held;
        }
      }
    }
    ASSERT_EQ(online, held) << "seed " << seed;
    ASSERT_EQ(online, workers.Online()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace hongbao::serve
