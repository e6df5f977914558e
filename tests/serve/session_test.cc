#include "libhongbao/serve/sessions.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/serve/test_workers.h"

namespace hongbao::serve {
namespace {

using net::CloseReason;
using wire::Version;
using Bytes = std::vector<std::byte>;

Bytes Hex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// Feeds a stream as a connection would see it when it is cut in two: what is not consumed comes again.
Served FeedInPieces(TestWorkers::Peer& peer, const Bytes& stream, size_t cut) {
  Bytes waiting;
  Served served;
  for (const auto& [from, to] : {std::pair<size_t, size_t>{0, cut}, {cut, stream.size()}}) {
    waiting.insert(waiting.end(), stream.begin() + static_cast<std::ptrdiff_t>(from),
                   stream.begin() + static_cast<std::ptrdiff_t>(to));
    served = peer.Feed(waiting);
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(served.consumed));
    if (served.close != CloseReason::kNone) {
      return served;
    }
  }
  EXPECT_TRUE(waiting.empty());
  return served;
}

TEST(SessionTest, TheProtocolsV1VectorsCutAtEveryByte) {
  const Bytes stream = Hex("0010000000000000589f22e500000007") + Hex("0010000200000000589f22e500000007") +
                       Hex("0014000500000000589f22e50000000000200001");
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    TestWorkers workers;
    TestWorkers::Peer peer = workers.Connect();
    EXPECT_EQ(FeedInPieces(peer, stream, cut).close, CloseReason::kNone);
    EXPECT_EQ(peer.replies.Take(), Hex("0014000100000000589f22e50000000700000000"));
    EXPECT_EQ(peer.replies.Take(), Hex("001c000300000000589f22e5000000070000000f0000000000000000"));
    EXPECT_EQ(peer.replies.Take(), Hex("0014000600000000589f22e50020000100000000"));
    EXPECT_TRUE(peer.replies.empty());
  }
}

TEST(SessionTest, TheProtocolsV2VectorsCutAtEveryByte) {
  const Bytes stream = Hex("002c000014a242b35da67f150000000700000001000000000000000000000000000000000000000000000000") +
                       Hex("0024000714a242b35da67f15000000070000012c0000000300000008000000090000000a") +
                       Hex("0010000914a242b35da67f1500000007");
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    TestWorkers workers;
    workers.clock.SetWall(1486824165123457789);
    workers.directory.AddGrant(7, 257);
    workers.directory.AddGrant(7, 101);
    TestWorkers::Peer peer = workers.Connect();
    EXPECT_EQ(FeedInPieces(peer, stream, cut).close, CloseReason::kNone);
    EXPECT_EQ(peer.replies.Take(), Hex("0024000114a242b35da67f15000000070000000014a242b35da682fd0000000000000000"));
    EXPECT_EQ(peer.replies.Take(), Hex("0018000814a242b35da67f150000000700000000c0000000"));
    EXPECT_EQ(peer.replies.Take(), Hex("001c000a14a242b35da67f1500000007000000020000000000000166"));
    EXPECT_TRUE(peer.replies.empty());
  }
}

TEST(SessionTest, AWinningShakeIsAnsweredInTheProtocolsBytesAndCounted) {
  TestWorkers workers;
  TestWorkers::Peer peer = workers.Login(7, Version::k1);
  workers.Publish(0x100001, 257);
  peer.Feed(Hex("0010000200000000589f22e500000007"));
  EXPECT_EQ(peer.replies.Take(), Hex("001c000300000000589f22e5000000070000000e0010000100000101"));
  EXPECT_EQ(peer.Shake(7).result, wire::ShakeResult::kNothing);
  EXPECT_EQ(workers.Count(Counter::kWon), 1U);
  EXPECT_EQ(workers.Count(Counter::kWonFen), 257U);
  EXPECT_EQ(workers.Count(Counter::kReceived), 2U);
  EXPECT_EQ(workers.Count(Counter::kReplied), 2U);
  EXPECT_EQ(workers.directory.grants(7), 1U);
  EXPECT_EQ(workers.directory.total_fen(7), 257);
  EXPECT_EQ(workers.directory.last_stamp(7), kHistoryStamp) << "version 1 has no identity, but the user has a history";
}

TEST(SessionTest, LastStampIsTheHighestThatMayHaveAnOutcome) {
  TestWorkers workers;
  TestWorkers::Peer peer = workers.Login(7, Version::k2);
  workers.Publish(0x100001, 257);
  peer.Feed(ShakeFrame(7, 5'000) + ShakeFrame(7, 6'000));
  EXPECT_EQ(workers.directory.last_stamp(7), 6'000U) << "raised before it is known whether it wins";
  peer.Feed(SendFrame(7, 10, {8}, 7'000) + SendFrame(7, 0, {8}, 8'000));
  peer.Close();
  TestWorkers::Peer again = workers.Connect();
  again.Feed(LoginFrame(7, Version::k2));
  EXPECT_EQ(again.TakeLogin().last_stamp, 8'000U) << "or whether a gift is made";
}

// ---- what ends a connection ----

CloseReason CloseOf(const Bytes& stream) {
  TestWorkers workers;
  TestWorkers::Peer peer = workers.Connect();
  return peer.Feed(stream).close;
}

TEST(SessionTest, WhatTheProtocolForbidsIsMalformed) {
  const Bytes v1 = LoginFrame(7);
  const Bytes v2 = LoginFrame(7, Version::k2);
  EXPECT_EQ(CloseOf(ShakeFrame(7)), CloseReason::kMalformed) << "no login";
  EXPECT_EQ(CloseOf(OpenFrame(7, 1)), CloseReason::kMalformed);
  EXPECT_EQ(CloseOf(v1 + v1), CloseReason::kMalformed) << "login twice";
  EXPECT_EQ(CloseOf(v2 + v2), CloseReason::kMalformed);
  EXPECT_EQ(CloseOf(v1 + v2), CloseReason::kMalformed) << "the version holds for the connection";
  EXPECT_EQ(CloseOf(v1 + ShakeFrame(8)), CloseReason::kMalformed) << "somebody else's shake";
  EXPECT_EQ(CloseOf(v2 + ShakeFrame(8)), CloseReason::kMalformed);
  EXPECT_EQ(CloseOf(v1 + OpenFrame(8, kFirstMintedGiftId)), CloseReason::kMalformed);
  EXPECT_EQ(CloseOf(v2 + OpenFrame(0, kFirstMintedGiftId)), CloseReason::kMalformed) << "0 is me in v1 only";
  EXPECT_EQ(CloseOf(v1 + StatementFrame(7)), CloseReason::kMalformed) << "v2 only";
  EXPECT_EQ(CloseOf(v1 + SendFrame(7, 3, {8})), CloseReason::kMalformed);
  EXPECT_EQ(CloseOf(v2 + StatementFrame(8)), CloseReason::kMalformed);
  EXPECT_EQ(CloseOf(v2 + SendFrame(8, 3, {9})), CloseReason::kMalformed);
  EXPECT_EQ(CloseOf(v1 + Hex("0014000100000000589f22e50000000700000000")), CloseReason::kMalformed) << "a server's frame";
  EXPECT_EQ(CloseOf(LoginFrame(7, Version::k2, 1, 0)), CloseReason::kMalformed) << "a login of nobody";
  EXPECT_EQ(CloseOf(LoginFrame(0xffffffff, Version::k2, 1, 2)), CloseReason::kMalformed) << "beyond the last user";
}

TEST(SessionTest, Defect13_NoFourBytesEndTheServer) {
  for (const char* bytes : {"00000000", "00030000", "0004ffff", "000b0000", "ffff0000", "01010000", "0010ffff", "00100063"}) {
    EXPECT_EQ(CloseOf(Hex(bytes)), CloseReason::kMalformed) << bytes;
    EXPECT_EQ(CloseOf(LoginFrame(7) + Hex(bytes)), CloseReason::kMalformed) << bytes;
  }
}

TEST(SessionTest, Defect13_RandomBytesAreConsumedRefusedOrKeptNeverMore) {
  std::mt19937 random(13);
  for (int round = 0; round < 20'000; ++round) {
    TestWorkers workers({.users_max = 10});
    TestWorkers::Peer peer = workers.Connect();
    Bytes stream = round % 2 == 0 ? Bytes() : LoginFrame(7, round % 4 == 1 ? Version::k1 : Version::k2);
    const size_t size = random() % 300;
    for (size_t i = 0; i < size; ++i) {
      // Small numbers often, so that lengths and types are sometimes right.
      stream.push_back(static_cast<std::byte>(random() % 3 == 0 ? random() : (i % 4 == 1 ? 16 : 0)));
    }
    const Served served = peer.Feed(stream);
    ASSERT_LE(served.consumed, stream.size());
    if (served.close == CloseReason::kNone) {
      ASSERT_LT(stream.size() - served.consumed, wire::kFrameBytesMax) << "a whole frame is never left lying";
    }
  }
}

TEST(SessionTest, Defect14_AUserBeyondTheRangeIsToldAndClosed) {
  for (const uint32_t user : {1'000U, 1'199'872U, 0xffffffffU}) {
    for (const Version version : {Version::k1, Version::k2}) {
      TestWorkers workers({.users_max = 1'000});
      workers.ExpectRefused(LoginFrame(user, version) + ShakeFrame(user), CloseReason::kRefused,
                            wire::LoginResult::kUserOutOfRange);
      EXPECT_EQ(workers.Count(Counter::kUsersLeft), 0U);
    }
  }
}

TEST(SessionTest, GatewaysAreNotTakenYetFullAndDrainingAreTold) {
  TestWorkers workers;
  workers.ExpectRefused(LoginFrame(7, Version::k2, 1, 100), CloseReason::kRefused, wire::LoginResult::kBadToken);

  TestWorkers::Peer late = workers.Connect();
  late.session.over_limit = true;
  EXPECT_EQ(late.Feed(LoginFrame(7)).close, CloseReason::kFull);
  EXPECT_EQ(late.TakeLogin().result, wire::LoginResult::kFullOrDraining);

  workers[0].sessions.Drain();
  workers.ExpectRefused(LoginFrame(7), CloseReason::kDrain, wire::LoginResult::kFullOrDraining);
  EXPECT_EQ(workers.directory.Find(7), kOffline);
}

// ---- one session per user ----

TEST(SessionTest, Defect18_ANewerLoginTakesTheUserAndTheOldCloseChangesNothing) {
  TestWorkers workers({.workers = 2});
  TestWorkers::Peer old_one = workers.Login(7, Version::k1, 0);
  TestWorkers::Peer new_one = workers.Login(7, Version::k2, 1);
  ASSERT_EQ(workers.posted.size(), 1U);
  EXPECT_EQ(workers.posted.front().first, 0U) << "the old one's worker closes it";
  EXPECT_EQ(workers.TakePosted<Supersede>().address, old_one.address);
  old_one.Close();
  EXPECT_EQ(workers.directory.Find(7), new_one.address);
  EXPECT_EQ(workers.Online(), 1U);
  new_one.Close();
  EXPECT_EQ(workers.directory.Find(7), kOffline);
  EXPECT_EQ(workers.Count(Counter::kUsersCame), workers.Count(Counter::kUsersLeft));
}

TEST(SessionTest, ASessionThatANewerOneHasReplacedMakesNothing) {
  for (const Version version : {Version::k1, Version::k2}) {
    TestWorkers workers({.workers = 2});
    TestWorkers::Peer old_one = workers.Login(7, version, 0);
    TestWorkers::Peer new_one = workers.Login(7, version, 1);
    workers.posted.clear();
    workers.Publish(kFirstShakeId, 100);
    old_one.Feed(ShakeFrame(7, 5'000));  // its close is on the way
    EXPECT_EQ(old_one.TakeShake().result, wire::ShakeResult::kOverload) << "nothing has changed";
    EXPECT_EQ(workers.pool.left(), 1U);
    if (version == Version::k2) {
      old_one.Feed(SendFrame(7, 300, {1, 2, 3}, 5'001));
      EXPECT_TRUE(old_one.replies.empty());
      EXPECT_EQ(workers[0].gifts.book().totals().gifts, 0U);
    }
    EXPECT_EQ(new_one.Shake(7, 5'000).result, wire::ShakeResult::kWon);
    workers.ExpectShakesReconcile();
  }
}

TEST(SessionTest, Defect16_TenThousandReconnectsLeaveNothingBehind) {
  TestWorkers workers({.users_max = 2});
  for (int i = 0; i < 10'000; ++i) {
    TestWorkers::Peer peer = workers.Login(1, i % 2 == 0 ? Version::k1 : Version::k2);
    const Bytes shake = ShakeFrame(1);
    EXPECT_EQ(peer.Feed(Bytes(shake.begin(), shake.begin() + 7)).consumed, 0U) << "half a frame at its end";
    peer.Close();
  }
  EXPECT_EQ(workers.Count(Counter::kUsersCame), 10'000U);
  EXPECT_EQ(workers.Count(Counter::kUsersLeft), 10'000U);
  EXPECT_TRUE(workers.posted.empty());
}

// ---- money ----

TEST(SessionTest, Defect01_02_EveryShakeIsAnsweredOrItsConnectionEnds) {
  TestWorkers workers;
  TestWorkers::Peer peer = workers.Login(7);
  Bytes stream;
  for (uint32_t i = 0; i < 1'000; ++i) {
    if (i < 10) {
      workers.Publish(kFirstShakeId + i, 100);
    }
    stream = stream + ShakeFrame(7, i);
  }
  EXPECT_EQ(peer.Feed(stream).consumed, stream.size());
  uint32_t won = 0;
  for (uint32_t i = 0; i < 1'000; ++i) {
    const wire::ShakeResponse response = peer.TakeShake();
    ASSERT_EQ(response.stamp, i);
    if (response.result == wire::ShakeResult::kWon) {
      EXPECT_EQ(response.envelope_id, kFirstShakeId + won) << "an id of its own for each";
      ++won;
    }
  }
  EXPECT_EQ(won, 10U);
  EXPECT_EQ(workers.Count(Counter::kWonFen), 1'000U);
}

TEST(SessionTest, Defect03_NoEnvelopeIsClaimedForAConnectionThatTakesNoMoreBytes) {
  TestWorkers workers;
  TestWorkers::Peer peer = workers.Connect(0, /*cap=*/20 + 2 * wire::kShakeResponseBytes);
  peer.Feed(LoginFrame(7));
  Bytes stream;
  for (uint32_t i = 0; i < 5; ++i) {
    workers.Publish(kFirstShakeId + i, 100);
    stream = stream + ShakeFrame(7);
  }
  peer.Feed(stream);
  EXPECT_EQ(workers.Count(Counter::kWon), 2U);
  EXPECT_EQ(workers.pool.left(), 3U) << "the others are still there to be won";
  EXPECT_EQ(workers.Count(Counter::kReceived), 3U);
  EXPECT_EQ(workers.Count(Counter::kDropped), 1U);
  EXPECT_EQ(workers.Count(Counter::kReceived),
            workers.Count(Counter::kReplied) + workers.Count(Counter::kRefused) + workers.Count(Counter::kDropped));
}

TEST(SessionTest, RepliesBeforeAMalformedFrameStand) {
  TestWorkers workers;
  TestWorkers::Peer peer = workers.Connect();
  workers.Publish(kFirstShakeId, 5);
  EXPECT_EQ(peer.Feed(LoginFrame(7) + ShakeFrame(7) + Hex("00000000") + ShakeFrame(7)).close, CloseReason::kMalformed);
  peer.TakeLogin();
  EXPECT_EQ(peer.TakeShake().result, wire::ShakeResult::kWon);
  EXPECT_TRUE(peer.replies.empty());
}

TEST(SessionTest, TheCapIsPerUserOverReconnectsAndTakesNothingFromThePool) {
  TestWorkers workers({.wins_per_user = 3});
  TestWorkers::Peer peer = workers.Login(7);
  workers.PublishMany(8);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(peer.Shake(7).result, wire::ShakeResult::kWon);
  }
  EXPECT_EQ(peer.Shake(7).result, wire::ShakeResult::kCap);
  peer.Close();
  TestWorkers::Peer again = workers.Login(7);
  EXPECT_EQ(again.Shake(7).result, wire::ShakeResult::kCap);
  EXPECT_EQ(workers.pool.left(), 5U);
  TestWorkers::Peer other = workers.Login(8);
  EXPECT_EQ(other.Shake(8).result, wire::ShakeResult::kWon);
  EXPECT_EQ(workers.Count(Counter::kCap), 2U);
}

TEST(SessionTest, UnderACapAnEmptyPoolTakesNothingFromTheAllowance) {
  TestWorkers workers({.wins_per_user = 1});
  TestWorkers::Peer peer = workers.Login(7);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(peer.Shake(7).result, wire::ShakeResult::kNothing);
  }
  EXPECT_EQ(workers.directory.shake_wins(7), 0U);
}

TEST(SessionTest, Defect21_AnOverloadReplyChangesNothing) {
  TestWorkers workers({.max_qps = 10, .wins_per_user = 3});
  TestWorkers::Peer peer = workers.Login(7);
  EXPECT_EQ(peer.Shake(7).result, wire::ShakeResult::kNothing);
  workers.PublishMany(5);
  for (int i = 0; i < 100; ++i) {
    const wire::ShakeResponse response = peer.Shake(7, 77);
    EXPECT_EQ(response.result, wire::ShakeResult::kOverload);
    EXPECT_EQ(response.stamp, 77U);
  }
  EXPECT_EQ(peer.Send(7, 10, {8}).result, wire::SendResult::kOverload);
  EXPECT_EQ(workers.pool.left(), 5U);
  EXPECT_EQ(workers.directory.shake_wins(7), 0U);
  EXPECT_EQ(workers.directory.last_stamp(7), 0U);
  EXPECT_EQ(workers.Count(Counter::kRefused), 100U);
  EXPECT_EQ(workers.Count(Counter::kGiftsSent), 0U);
  workers.Turn(10'000);
  EXPECT_EQ(peer.Shake(7).result, wire::ShakeResult::kWon) << "and it passes";
}

TEST(SessionTest, AnOpenGoesToTheOwnerWithTheWayBack) {
  TestWorkers workers({.workers = 3});
  TestWorkers::Peer peer = workers.Login(7, Version::k1, 1);
  peer.Feed(OpenFrame(0, kGiftBit | 8, 99));
  ASSERT_EQ(workers.posted.size(), 1U);
  EXPECT_EQ(workers.posted.front().first, 2U);
  const OpenGift message = workers.TakePosted<OpenGift>();
  EXPECT_EQ(message.user, 7U);
  EXPECT_EQ(message.address, peer.address);
  EXPECT_EQ(message.stamp, 99U);
  EXPECT_FALSE(message.has_identity);
}

TEST(SessionTest, SendsAreCheckedBeforeAnythingIsMade) {
  TestWorkers workers({.users_max = 100});
  TestWorkers::Peer peer = workers.Login(7);
  const auto send = [&peer](uint32_t fen, const std::vector<uint32_t>& users) {
    peer.Feed(SendFrame(7, fen, users));
    return peer.TakeSend().result;
  };
  EXPECT_EQ(send(2, {8, 9, 10}), wire::SendResult::kRefused) << "less than a fen each";
  EXPECT_EQ(send(300, {8, 9, 100}), wire::SendResult::kRefused) << "unknown user";
  EXPECT_EQ(send(300, {8, 9, 8}), wire::SendResult::kRefused) << "a user twice";
  EXPECT_EQ(send(300, {}), wire::SendResult::kRefused);
  std::vector<uint32_t> many;
  for (uint32_t user = 0; user < 51; ++user) {
    many.push_back(user);
  }
  EXPECT_EQ(send(300, many), wire::SendResult::kRefused);
  EXPECT_EQ(workers.Count(Counter::kSendsRefused), 5U);
  for (uint32_t user = 0; user < 100; ++user) {
    EXPECT_EQ(workers.directory.unopened(user), 0U);
  }
  many.pop_back();
  EXPECT_EQ(send(300, many), wire::SendResult::kOk);
  EXPECT_EQ(workers.Count(Counter::kGiftsSentFen), 300U);
}

}  // namespace
}  // namespace hongbao::serve
