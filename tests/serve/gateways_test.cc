// Gateways: who may be one, whom it carries, and that its shakes are decided exactly as they are on connections of their own.
#include "libhongbao/serve/gateways.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/serve/desk_fixture.h"

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

OfficeOptions WithToken() {
  OfficeOptions options;
  options.workers = 2;
  options.gateway_token = kRight;
  return options;
}

Bytes GatewayLogin(uint32_t first, uint32_t count, const wire::Token& token = kRight) {
  return LoginFrame(first, Version::k2, /*stamp=*/1, count, /*resume_after=*/0, token);
}

TestOffices::Peer Gateway(TestOffices& offices, uint32_t first, uint32_t count, uint32_t worker = 0,
                          size_t cap = 1 << 20) {
  TestOffices::Peer peer = offices.Connect(worker, cap);
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
  EXPECT_NE(one, Gateways::kNone);
  EXPECT_NE(other, Gateways::kNone);
  EXPECT_NE(one, other);
  EXPECT_TRUE(gateways.full());
  EXPECT_EQ(gateways.user_count(one), 10U);
  EXPECT_EQ(gateways.user_count(other), 20U);
  gateways.Remove(one);
  EXPECT_EQ(gateways.Add(30), one);
  EXPECT_TRUE(Gateways(0).full());
}

TEST(GatewaysTest, ALoginIsToldTheHighestStampOfItsUsersUnlessThatIsFarAhead) {
  OfficeOptions options = WithToken();
  options.ledger_credits = 100;
  TestOffices offices(options);
  const uint64_t now = static_cast<uint64_t>(offices.clock.WallNs());
  const uint64_t floor = now + 5'000'000'000U;  // the clock of the gateway before was five seconds ahead
  offices.directory.Restore(12, floor, 0);
  TestOffices::Peer first = offices.Connect();
  first.Feed(GatewayLogin(10, 5));
  EXPECT_EQ(first.TakeLogin().last_stamp, floor);
  offices.directory.Restore(13, ~uint64_t{0}, 0);
  TestOffices::Peer again = offices.Connect();
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
    OfficeOptions options;
    options.gateway_token = c.ours;
    TestOffices offices(options);
    TestOffices::Peer peer = offices.Connect();
    const Served served = peer.Feed(GatewayLogin(10, 5, c.theirs) + ShakeFrame(12));
    EXPECT_EQ(peer.TakeLogin().result, c.result);
    const bool ok = c.result == wire::LoginResult::kOk;
    EXPECT_EQ(served.close, ok ? CloseReason::kNone : CloseReason::kRefused);
    EXPECT_EQ(peer.line.empty(), !ok);
    EXPECT_EQ(offices.Count(Counter::kUsersCame), ok ? 5U : 0U);
    EXPECT_EQ(offices.Count(Counter::kLoginsBadToken), ok ? 0U : 1U);
  }
}

TEST(GatewaysTest, RangeRoomAndDrain) {
  OfficeOptions options = WithToken();
  options.users_max = 100;
  options.gateways_max = 1;
  TestOffices offices(options);
  TestOffices::Peer beyond = offices.Connect();
  beyond.Feed(GatewayLogin(90, 11));
  EXPECT_EQ(beyond.TakeLogin().result, wire::LoginResult::kUserOutOfRange);
  TestOffices::Peer first = Gateway(offices, 90, 10);
  TestOffices::Peer second = offices.Connect();
  EXPECT_EQ(second.Feed(GatewayLogin(0, 10)).close, CloseReason::kFull);
  EXPECT_EQ(second.TakeLogin().result, wire::LoginResult::kFullOrDraining);
  first.Close();
  EXPECT_EQ(offices.Count(Counter::kUsersLeft), 10U);
  Gateway(offices, 0, 10);
  offices.desks[1]->sessions.Drain();
  TestOffices::Peer late = offices.Connect(1);
  EXPECT_EQ(late.Feed(GatewayLogin(20, 10)).close, CloseReason::kDrain);
}

// Rule 2: one session per user, and the newest login that may have it has it.
TEST(GatewaysTest, TheNewerLoginHasTheUserOnEitherSide) {
  TestOffices offices(WithToken());
  TestOffices::Peer direct = offices.Login(12, Version::k2, 1);
  TestOffices::Peer gateway = Gateway(offices, 10, 5);
  EXPECT_EQ(offices.TakePosted(MessageKind::kSupersede).address, direct.address);
  EXPECT_EQ(offices.Count(Counter::kUsersCame), 5U);
  direct.Close();
  EXPECT_EQ(offices.Count(Counter::kUsersLeft), 0U) << "the user is the gateway's now";

  TestOffices::Peer larger = Gateway(offices, 0, 20, 1);
  EXPECT_EQ(offices.TakePosted(MessageKind::kSupersede).address, gateway.Named());
  EXPECT_TRUE(offices.posted.empty()) << "told once, not for each user";
  gateway.Close();
  EXPECT_EQ(offices.Count(Counter::kUsersCame) - offices.Count(Counter::kUsersLeft), 20U);

  TestOffices::Peer back = offices.Connect();
  back.Feed(LoginFrame(12, Version::k2, 1, 1, 0, kRight));
  EXPECT_EQ(back.TakeLogin().result, wire::LoginResult::kOk) << "whoever knows the gateways' token may";
  EXPECT_EQ(offices.TakePosted(MessageKind::kSupersede).address, larger.Named());
  larger.Close();
  EXPECT_EQ(offices.Count(Counter::kUsersCame) - offices.Count(Counter::kUsersLeft), 1U);
  EXPECT_EQ(offices.directory.Find(12), back.address);
}

// Who has shown nothing throws nobody out, in either version and whatever stands in the token's place.
TEST(GatewaysTest, ALoginThatProvesNothingLeavesTheGatewayItsUsers) {
  for (const uint32_t user : {10U, 12U, 14U}) {
    TestOffices offices(WithToken());
    TestOffices::Peer gateway = Gateway(offices, 10, 5);
    for (const Bytes& login : {LoginFrame(user, Version::k1), LoginFrame(user, Version::k2),
                               LoginFrame(user, Version::k2, 1, 1, 0, Token(0x11))}) {
      TestOffices::Peer stranger = offices.Connect(1);
      EXPECT_EQ(stranger.Feed(login + ShakeFrame(user)).close, CloseReason::kRefused);
      EXPECT_EQ(stranger.TakeLogin().result, wire::LoginResult::kBadToken);
      EXPECT_TRUE(stranger.line.empty());
      stranger.Close();
    }
    EXPECT_TRUE(offices.posted.empty()) << "nobody is told to close";
    EXPECT_EQ(offices.Count(Counter::kSuperseded), 0U);
    EXPECT_EQ(offices.Count(Counter::kLoginsBadToken), 3U);
    EXPECT_EQ(offices.Count(Counter::kUsersCame) - offices.Count(Counter::kUsersLeft), 5U);
    TestOffices::Peer outside = offices.Login(15, Version::k1);  // beside its range nothing has changed
    gateway.Close();
    TestOffices::Peer after = offices.Login(user, Version::k1);
    EXPECT_EQ(offices.Count(Counter::kUsersCame) - offices.Count(Counter::kUsersLeft), 2U);
  }
}

TEST(GatewaysTest, WhatIsNotOfItsUsersIsMalformedBehindTheAnswersBeforeIt) {
  const auto frames_of = [](uint32_t user) {
    return std::vector<Bytes>{ShakeFrame(user, 9), OpenFrame(user, 5, 9), SendFrame(user, 10, {1}, 9), StatementFrame(user, 9)};
  };
  for (size_t kind = 0; kind < 4; ++kind) {
    for (const uint32_t user : {9U, 15U, 0U, 0xffff'ffffU}) {
      TestOffices offices(WithToken());
      TestOffices::Peer gateway = Gateway(offices, 10, 5);
      const Served served = gateway.Feed(ShakeFrame(14, 1) + ShakeFrame(10, 2) + frames_of(user)[kind] + ShakeFrame(10, 3));
      EXPECT_EQ(served.close, CloseReason::kMalformed) << kind << ' ' << user;
      EXPECT_EQ(gateway.TakeShake().user_id, 14U);
      EXPECT_EQ(gateway.TakeShake().stamp, 2U);
      EXPECT_TRUE(gateway.line.empty());
      offices.ExpectShakesReconcile();
    }
    TestOffices offices(WithToken());
    TestOffices::Peer gateway = Gateway(offices, 10, 5);
    EXPECT_EQ(gateway.Feed(frames_of(13)[kind]).close, CloseReason::kNone);
    EXPECT_FALSE(gateway.line.empty());
  }
}

TEST(GatewaysTest, NoShakeIsDecidedWithoutRoomForItsAnswer) {
  TestOffices offices(WithToken());
  TestOffices::Peer gateway = Gateway(offices, 0, 100, 0, /*cap=*/36 + 10 * wire::kShakeResponseBytes);
  for (uint32_t i = 0; i < 16; ++i) {
    offices.Publish(kFirstShakeId + i, 1);
  }
  Bytes shakes;
  for (uint32_t user = 0; user < 16; ++user) {
    shakes = shakes + ShakeFrame(user, user + 1);
  }
  gateway.Feed(shakes);
  EXPECT_FALSE(gateway.line.open());
  EXPECT_EQ(offices.Count(Counter::kWon), 10U);
  EXPECT_EQ(offices.pool.left(), 6U);
  EXPECT_EQ(offices.Count(Counter::kDropped), 1U);
  offices.ExpectShakesReconcile();
}

// The same users, shakes and envelopes, once each user on a connection of its own and once all on a gateway whose stream is
// cut anywhere.
class Twins {
 public:
  static constexpr uint32_t kUsers = 40;

  Twins(uint64_t seed, uint32_t wins_per_user, uint32_t ledger_credits) : random_(seed) {
    OfficeOptions options = WithToken();
    options.wins_per_user = wins_per_user;
    options.ledger_credits = ledger_credits;
    options.pool = 256;
    direct_ = std::make_unique<TestOffices>(options);
    pooled_ = std::make_unique<TestOffices>(options);
    for (uint32_t user = 0; user < kUsers; ++user) {
      peers_.push_back(direct_->Login(user));
    }
    gateway_ = std::make_unique<TestOffices::Peer>(Gateway(*pooled_, 0, kUsers, 0, 1 << 22));
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
        const uint64_t stamp = !stamps_[user].empty() && random_() % 8 == 0 ? stamps_[user][random_() % stamps_[user].size()]
                                                                           : ++stamp_;
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
    std::vector<TestOffices::Peer> one{*gateway_};
    return AnswersOf(*pooled_, one);
  }
  const TestOffices& direct() const { return *direct_; }
  const TestOffices& pooled() const { return *pooled_; }

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

  static Answers AnswersOf(const TestOffices& offices, std::vector<TestOffices::Peer>& peers) {
    Answers answers;
    for (TestOffices::Peer& peer : peers) {
      while (!peer.line.empty()) {
        const wire::ShakeResponse answer = peer.TakeShake();
        answers.insert({{answer.user_id, answer.stamp}, {answer.result, answer.envelope_id, answer.amount_fen}});
      }
    }
    for (const ledger::Outcome& outcome : offices.told) {
      const ShakeResult result = outcome.settled == ledger::Settled::kNone ? ShakeResult::kNothing : ShakeResult::kWon;
      answers.insert({{outcome.user, outcome.stamp}, {result, outcome.envelope_id, outcome.amount_fen}});
    }
    return answers;
  }

  std::mt19937_64 random_;
  std::unique_ptr<TestOffices> direct_, pooled_;
  std::vector<TestOffices::Peer> peers_;
  std::unique_ptr<TestOffices::Peer> gateway_;
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
      const TestOffices& offices = twins.pooled();
      EXPECT_EQ(offices.pool.issued().count,
                offices.Count(Counter::kWon) + offices.Count(Counter::kReturned) + offices.pool.left());
    }
  }
}

TEST(GatewaysTest, ARepeatOnANewConnectionIsAskedOfTheLedgerAndOthersAreNot) {
  OfficeOptions options = WithToken();
  options.ledger_credits = 100;
  TestOffices offices(options);
  TestOffices::Peer first = Gateway(offices, 10, 5);
  offices.Publish(kFirstShakeId, 257);
  first.Feed(ShakeFrame(12, 5'000));
  first.Close();
  offices.fake.Commit();
  TestOffices::Peer second = Gateway(offices, 10, 5, 1);
  offices.Publish(kFirstShakeId + 1, 100);
  second.Feed(ShakeFrame(12, 5'000));
  EXPECT_EQ(offices.fake.Newest().kind, ledger::RecordKind::kFindWin);
  EXPECT_EQ(offices.pool.left(), 1U);
  second.Feed(ShakeFrame(13, 4'000));  // below the gateway's highest stamp, and above its own
  EXPECT_EQ(offices.fake.Newest().kind, ledger::RecordKind::kWin);
  offices.fake.Commit();
  ASSERT_EQ(offices.told.size(), 3U);
  EXPECT_EQ(offices.told[1].settled, ledger::Settled::kRepeat);
  EXPECT_EQ(offices.told[1].envelope_id, kFirstShakeId);
  EXPECT_EQ(offices.told[2].settled, ledger::Settled::kNew);
  offices.ExpectShakesReconcile();
}

// Both in one piece, so that they are decided together.
TEST(GatewaysTest, ARepeatBesideItsFirstTryGetsTheSameEnvelope) {
  OfficeOptions options = WithToken();
  options.ledger_credits = 100;
  TestOffices offices(options);
  TestOffices::Peer gateway = Gateway(offices, 10, 5);
  offices.Publish(kFirstShakeId, 257);
  offices.Publish(kFirstShakeId + 1, 100);
  gateway.Feed(ShakeFrame(11, 4'000) + ShakeFrame(12, 5'000) + ShakeFrame(12, 5'000) + ShakeFrame(13, 6'000));
  offices.fake.Commit();
  EXPECT_EQ(offices.Count(Counter::kWon), 2U);
  EXPECT_EQ(offices.Count(Counter::kRepeated), 1U);
  std::map<uint32_t, uint32_t> fen;
  for (const ledger::Outcome& outcome : offices.told) {
    EXPECT_NE(outcome.settled, ledger::Settled::kNone);
    fen[outcome.user] += outcome.amount_fen;
  }
  EXPECT_EQ(fen, (std::map<uint32_t, uint32_t>{{11, 257}, {12, 200}})) << "12 is told twice of the same";
  EXPECT_EQ(gateway.TakeShake().user_id, 13U);
  offices.ExpectShakesReconcile();
}

TEST(GatewaysTest, RefusedOneByOneWhenNotAllAreAdmittedAndLosersTouchNothing) {
  OfficeOptions options = WithToken();
  options.ledger_credits = 100;
  options.max_qps = 1;
  TestOffices offices(options);
  TestOffices::Peer gateway = Gateway(offices, 10, 5);
  gateway.Feed(ShakeFrame(11, 4'000) + ShakeFrame(12, 5'000) + ShakeFrame(13, 6'000));
  EXPECT_EQ(gateway.TakeShake().result, ShakeResult::kNothing);
  EXPECT_EQ(gateway.TakeShake().result, ShakeResult::kOverload);
  EXPECT_EQ(gateway.TakeShake().result, ShakeResult::kOverload);
  EXPECT_EQ(offices.directory.last_stamp(11), 0U);
  EXPECT_EQ(offices.directory.last_stamp(12), 0U);
  offices.ExpectShakesReconcile();
}

TEST(GatewaysTest, AFullTableEndsTheFormerConnectionOfWhoComesBack) {
  OfficeOptions options = WithToken();
  options.gateways_max = 1;
  TestOffices offices(options);
  TestOffices::Peer dead = Gateway(offices, 10, 5);  // its host has lost power: nobody says so
  TestOffices::Peer other = offices.Connect();
  EXPECT_EQ(other.Feed(GatewayLogin(20, 5)).close, CloseReason::kFull);
  EXPECT_TRUE(offices.posted.empty()) << "nobody's former self";
  TestOffices::Peer back = offices.Connect();
  EXPECT_EQ(back.Feed(GatewayLogin(10, 5)).close, CloseReason::kFull);
  EXPECT_EQ(offices.TakePosted(MessageKind::kSupersede).address, dead.Named());
  dead.Close();
  Gateway(offices, 10, 5);
}

// Ending it would make no room: the table is another worker's, or the place is no gateway's.
TEST(GatewaysTest, AFullTableEndsNobodyWhoseEndMakesNoRoom) {
  OfficeOptions options = WithToken();
  options.gateways_max = 1;
  TestOffices offices(options);
  TestOffices::Peer elsewhere = Gateway(offices, 10, 5, 1);
  TestOffices::Peer direct = offices.Login(2);
  TestOffices::Peer here = Gateway(offices, 20, 5);
  for (const auto& [first, count] : {std::pair{10U, 5U}, {2U, 2U}, {0U, 3U}}) {
    TestOffices::Peer peer = offices.Connect();
    EXPECT_EQ(peer.Feed(GatewayLogin(first, count)).close, CloseReason::kFull);
  }
  EXPECT_TRUE(offices.posted.empty());
}

// All places may be taken by connections that never say who they are.
TEST(GatewaysTest, AGatewayIsLetInThoughAllConnectionsAreTaken) {
  TestOffices offices(WithToken());
  TestOffices::Peer gateway = offices.Connect();
  gateway.session.over_limit = true;
  EXPECT_EQ(gateway.Feed(GatewayLogin(10, 5)).close, CloseReason::kNone);
  TestOffices::Peer direct = offices.Connect();
  direct.session.over_limit = true;
  EXPECT_EQ(direct.Feed(LoginFrame(3, Version::k2, 1, 1, 0, kRight)).close, CloseReason::kFull);
}

// With a user key: a login is let in by a token for exactly its users, or by the gateways'.
TEST(GatewaysTest, WithAUserKeyEveryLoginHasToShowAToken) {
  OfficeOptions options = WithToken();
  struct Question {
    uint32_t first_user, user_count;
    int64_t unix_s;
  };
  std::vector<Question> asked;
  options.user_token = [&asked](const wire::Token& token, uint32_t first_user, uint32_t user_count, int64_t unix_s) {
    asked.push_back({first_user, user_count, unix_s});
    return token == Token(0x77);
  };
  TestOffices offices(options);
  offices.clock.SetWall(1'486'824'165'999'999'999);
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
    TestOffices::Peer peer = offices.Connect();
    EXPECT_EQ(peer.Feed(c.login).close, c.let_in ? CloseReason::kNone : CloseReason::kRefused);
    EXPECT_EQ(peer.TakeLogin().result, c.let_in ? wire::LoginResult::kOk : wire::LoginResult::kBadToken);
    peer.Close();
  }
  EXPECT_EQ(offices.Count(Counter::kLoginsBadToken), 4U);
  EXPECT_EQ(offices.Count(Counter::kLoginsOk), 4U);
  ASSERT_EQ(asked.size(), 5U) << "version 1 has no token to look at, and the gateways' token needs no other";
  EXPECT_EQ(asked[0].first_user, 7U);
  EXPECT_EQ(asked[0].user_count, 1U);
  EXPECT_EQ(asked[0].unix_s, 1'486'824'165);
  EXPECT_EQ(asked[4].user_count, 5U);
}

TEST(GatewaysTest, AUserTokenIsEnoughForAGatewayAndAgainstOne) {
  OfficeOptions options;  // no gateways' token
  options.user_token = [](const wire::Token& token, uint32_t, uint32_t, int64_t) { return token == Token(0x77); };
  TestOffices offices(options);
  TestOffices::Peer gateway = offices.Connect();
  gateway.Feed(GatewayLogin(10, 5, Token(0x77)));
  EXPECT_EQ(gateway.TakeLogin().result, wire::LoginResult::kOk);
  TestOffices::Peer user = offices.Connect();
  user.Feed(LoginFrame(12, Version::k2, 1, 1, 0, Token(0x77)));
  EXPECT_EQ(user.TakeLogin().result, wire::LoginResult::kOk);
  EXPECT_EQ(offices.TakePosted(MessageKind::kSupersede).address, gateway.Named());
}

TEST(GatewaysTest, NoMoreUsersThanALoginMayLookUp) {
  OfficeOptions options = WithToken();
  options.users_max = 2 * wire::kGatewayUsersMax;
  TestOffices offices(options);
  TestOffices::Peer gateway = offices.Connect();
  gateway.Feed(GatewayLogin(0, wire::kGatewayUsersMax + 1));
  EXPECT_EQ(gateway.TakeLogin().result, wire::LoginResult::kUserOutOfRange);
}

TEST(GatewaysTest, AsksForGiftsOfItsUsersAPartAtATime) {
  TestOffices offices(WithToken());
  for (const uint32_t user : {10U, 12U, 14U}) {
    ASSERT_TRUE(offices.directory.AddUnopened(user));
  }
  TestOffices::Peer gateway = Gateway(offices, 10, 5);
  EXPECT_TRUE(offices.posted.empty()) << "not all at once with the login";
  SessionDesk& desk = gateway.desk->sessions;
  EXPECT_EQ(desk.AskForSomeNotices(gateway.session, gateway.address, 0, 2), 3U);
  EXPECT_EQ(offices.posted.size(), 4U) << "user 10's and 12's, to each worker";
  EXPECT_EQ(desk.AskForSomeNotices(gateway.session, gateway.address, 3, 100), 0U);
  EXPECT_EQ(offices.posted.size(), 6U);
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

  static OfficeOptions Options() {
    OfficeOptions options = WithToken();
    options.users_max = kUsers;
    options.gateways_max = 8;
    options.gateway_users_a_turn = 10;
    return options;
  }
  TestOffices::Peer Begin(uint32_t first, uint32_t count, uint32_t worker = 0) {
    TestOffices::Peer peer = offices_.Connect(worker);
    EXPECT_EQ(peer.desk->sessions.OnBytes(peer.session, peer.address, GatewayLogin(first, count), peer.line).close,
              CloseReason::kNone);
    EXPECT_TRUE(peer.desk->sessions.Entering(peer.session));
    EXPECT_TRUE(peer.line.empty());
    return peer;
  }
  static SessionDesk::Entered Step(TestOffices::Peer& peer) {
    peer.desk->sessions.BeginTurn();
    return peer.desk->sessions.EnterSome(peer.session, peer.address);
  }
  static void Answer(TestOffices::Peer& peer) {
    peer.desk->sessions.AnswerGateway(peer.session, wire::LoginResult::kOk, peer.line.Append(36));
    EXPECT_FALSE(peer.desk->sessions.Entering(peer.session));
  }
  void LeaveAll() {
    for (const auto& desk : offices_.desks) {
      while (desk->sessions.BeginTurn()) {
      }
    }
  }
  uint32_t Holds(const TestOffices::Peer& peer) const {
    uint32_t users = 0;
    for (uint32_t user = 0; user < kUsers; ++user) {
      users += offices_.directory.Find(user) == peer.Named() ? 1U : 0U;
    }
    return users;
  }
  uint64_t Online() const { return offices_.Count(Counter::kUsersCame) - offices_.Count(Counter::kUsersLeft); }

  TestOffices offices_{Options()};
};

TEST_F(GatewaysInSlices, SoManyUsersATurnOverAllGatewaysOfAWorker) {
  TestOffices::Peer one = Begin(0, 25);
  TestOffices::Peer other = Begin(50, 25);
  offices_.desks[0]->sessions.BeginTurn();
  EXPECT_EQ(offices_.desks[0]->sessions.EnterSome(one.session, one.address), SessionDesk::Entered::kSome);
  EXPECT_EQ(offices_.desks[0]->sessions.EnterSome(other.session, other.address), SessionDesk::Entered::kSome);
  EXPECT_EQ(offices_.desks[0]->sessions.EnterSome(one.session, one.address), SessionDesk::Entered::kSome);
  EXPECT_EQ(Holds(one) + Holds(other), 10U);
  EXPECT_EQ(Step(one), SessionDesk::Entered::kSome);
  EXPECT_EQ(Step(one), SessionDesk::Entered::kAll);
  Answer(one);
  EXPECT_EQ(one.TakeLogin().result, wire::LoginResult::kOk);
  EXPECT_EQ(Holds(one), 25U);
  EXPECT_EQ(offices_.Count(Counter::kLoginsOk), 1U);
}

TEST_F(GatewaysInSlices, OneThatEndsHalfWayLeavesNobodyBehind) {
  TestOffices::Peer gateway = Begin(0, 60);
  Step(gateway);
  Step(gateway);
  EXPECT_EQ(Online(), 20U);
  gateway.Close();
  EXPECT_EQ(Online(), 20U) << "the turn has had its share";
  TestOffices::Peer stranger = offices_.Login(3, Version::k1);  // nobody's gateway has the user any more
  EXPECT_EQ(offices_.Count(Counter::kSuperseded), 0U);
  LeaveAll();
  EXPECT_EQ(Online(), 1U);
  EXPECT_EQ(offices_.directory.Find(3), stranger.address);
  EXPECT_EQ(offices_.directory.Find(4), kOffline);
}

TEST_F(GatewaysInSlices, TheOlderOneComesToTheNewerOnesUsersAndEnds) {
  TestOffices::Peer older = Begin(0, 60);
  Step(older);
  TestOffices::Peer newer = Begin(30, 20, 1);
  EXPECT_EQ(Step(newer), SessionDesk::Entered::kSome);
  EXPECT_EQ(Step(older), SessionDesk::Entered::kSome);
  EXPECT_EQ(Step(older), SessionDesk::Entered::kSome);
  EXPECT_EQ(Step(older), SessionDesk::Entered::kSuperseded);
  EXPECT_EQ(Step(newer), SessionDesk::Entered::kAll);
  older.Close();
  LeaveAll();
  EXPECT_EQ(Holds(newer), 20U);
  EXPECT_EQ(Online(), 20U);
  EXPECT_EQ(offices_.Count(Counter::kSuperseded), 1U);
  EXPECT_TRUE(offices_.posted.empty()) << "nobody has to tell it";
}

TEST_F(GatewaysInSlices, TheNewerOneTakesTheOlderOnesUsersAndItIsToldOnce) {
  TestOffices::Peer older = Begin(0, 60);
  Step(older);
  TestOffices::Peer newer = Begin(0, 60, 1);
  Step(newer);
  EXPECT_EQ(offices_.TakePosted(MessageKind::kSupersede).address, older.Named());
  EXPECT_EQ(Step(older), SessionDesk::Entered::kSuperseded) << "before it is told";
  older.Close();
  while (Step(newer) != SessionDesk::Entered::kAll) {
  }
  LeaveAll();
  EXPECT_EQ(Holds(newer), 60U);
  EXPECT_EQ(Online(), 60U);
  EXPECT_EQ(offices_.Count(Counter::kSuperseded), 1U);
  EXPECT_TRUE(offices_.posted.empty());
}

// Gateways and users that log in, enter, are told, and leave in every order: at rest each user is held by a live session that has
// all its users, or by nobody.
TEST_F(GatewaysInSlices, WhateverTheOrderTheDirectoryIsExact) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    TestOffices offices(Options());
    std::vector<TestOffices::Peer> peers;
    const auto drop = [&peers](size_t i) {
      peers[i].Close();
      peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(i));
    };
    const auto step = [&](size_t i) {
      TestOffices::Peer& peer = peers[i];
      if (!peer.desk->sessions.Entering(peer.session)) return;
      const SessionDesk::Entered entered = peer.desk->sessions.EnterSome(peer.session, peer.address);
      if (entered == SessionDesk::Entered::kSuperseded) drop(i);
      if (entered == SessionDesk::Entered::kAll) Answer(peer);
    };
    const auto tell = [&] {
      const Message message = offices.TakePosted(MessageKind::kSupersede);
      for (size_t i = 0; i < peers.size(); ++i) {
        if (peers[i].Named() == message.address) return drop(i);
      }
    };
    for (int i = 0; i < 400; ++i) {
      const uint64_t dice = random() % 10;
      if (dice == 0) {
        TestOffices::Peer peer = offices.Connect(static_cast<uint32_t>(random() % 2));
        const auto first = static_cast<uint32_t>(random() % (kUsers - 1));
        const uint32_t count = random() % 3 == 0 ? 1 : 2 + static_cast<uint32_t>(random() % (kUsers - first - 1));
        const Bytes login = LoginFrame(first, Version::k2, 1, count, 0, random() % 4 == 0 && count == 1 ? wire::Token{} : kRight);
        if (peer.desk->sessions.OnBytes(peer.session, peer.address, login, peer.line).close == CloseReason::kNone) {
          peers.push_back(std::move(peer));
        }
      } else if (dice == 1 && !peers.empty()) {
        drop(random() % peers.size());
      } else if (dice == 2 && !offices.posted.empty()) {
        tell();
      } else if (dice <= 4) {
        offices.desks[random() % 2]->sessions.BeginTurn();
      } else if (!peers.empty()) {
        step(random() % peers.size());
      }
    }
    for (int rounds = 0; rounds < 100; ++rounds) {
      while (!offices.posted.empty()) tell();
      for (const auto& desk : offices.desks) desk->sessions.BeginTurn();
      for (size_t i = peers.size(); i > 0; --i) step(i - 1);
    }
    while (!offices.posted.empty()) tell();
    for (const auto& desk : offices.desks) {
      while (desk->sessions.BeginTurn()) {
      }
    }
    uint64_t online = 0;
    for (uint32_t user = 0; user < kUsers; ++user) online += offices.directory.Find(user) != kOffline ? 1U : 0U;
    uint64_t held = 0;
    for (TestOffices::Peer& peer : peers) {
      ASSERT_FALSE(peer.desk->sessions.Entering(peer.session)) << "seed " << seed;
      for (uint32_t user = 0; user < kUsers; ++user) {
        if (peer.desk->sessions.Owns(peer.session, user)) {
          ASSERT_EQ(offices.directory.Find(user), peer.Named()) << "seed " << seed << ", user " << user;
          ++held;
        }
      }
    }
    ASSERT_EQ(online, held) << "seed " << seed;
    ASSERT_EQ(online, offices.Count(Counter::kUsersCame) - offices.Count(Counter::kUsersLeft)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace hongbao::serve
