// The server in this process, on real sockets: what only shows with connections that live and die.

#include "libhongbao/serve/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/serve/server_client.h"

namespace hongbao::serve {
namespace {

using net::CloseReason;
using wire::Version;
using Bytes = std::vector<std::byte>;

class ServerTest : public ServerFixture {
 protected:
  // The users 0.. on connections of their own.
  std::vector<Client> LogIn(uint32_t users) {
    std::vector<Client> clients;
    for (uint32_t user = 0; user < users; ++user) {
      clients.emplace_back(*server_);
      EXPECT_EQ(clients.back().Login(user), wire::LoginResult::kOk);
    }
    return clients;
  }
  uint64_t Closes(CloseReason reason) { return server_->Look().closes[reason]; }
  void AwaitClose(CloseReason reason, uint64_t times = 1) {
    Await("close", [&] { return Closes(reason) == times; });
  }
};

TEST_F(ServerTest, WrongOptionsSayWhich) {
  ServerOptions options = Small();
  options.users_max = 0;
  EXPECT_THAT(std::string(Server::Start(options, &clock_).status().message()), testing::HasSubstr("users_max"));
  options = Small();
  options.pool_envelopes = 1000;
  EXPECT_THAT(std::string(Server::Start(options, &clock_).status().message()), testing::HasSubstr("power of two"));
  options = Small();
  options.workers = 257;
  EXPECT_FALSE(Server::Start(options, &clock_).ok());
}

TEST_F(ServerTest, AnOccupiedPortIsAnErrorWithItsCause) {
  Start(Small());
  ServerOptions options = Small();
  options.listen_address = SocketAddress::Ipv4(INADDR_LOOPBACK, server_->port());
  const absl::Status status = Server::Start(options, &clock_).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(std::to_string(server_->port())));
}

TEST_F(ServerTest, Defect05_TheStoryOfAGiftOverBothVersions) {
  Start(Small());
  Client one(*server_);
  Client two(*server_);
  Client stranger(*server_);
  ASSERT_EQ(one.Login(10), wire::LoginResult::kOk);
  ASSERT_EQ(two.Login(11, Version::k2), wire::LoginResult::kOk);
  ASSERT_EQ(stranger.Login(20), wire::LoginResult::kOk);
  ASSERT_TRUE(server_->Mint(OneGift(3, 10, 12)).ok());
  const wire::GiftNotice first = one.TakeNotice(Version::k1);
  const wire::GiftNotice second = two.TakeNotice(Version::k2);
  EXPECT_EQ(first.envelope_id, second.envelope_id);
  EXPECT_EQ(first.amount_fen, 300U);
  EXPECT_TRUE(stranger.Quiet(50));
  EXPECT_EQ(stranger.Open(0, first.envelope_id, Version::k1), 0U) << "not invited";
  const uint32_t share_one = one.Open(0, first.envelope_id, Version::k1);
  const uint32_t share_two = two.Open(11, first.envelope_id, Version::k2);
  EXPECT_EQ(one.Open(0, first.envelope_id, Version::k1), share_one) << "the same again";

  Client three(*server_);  // was away: told at login
  ASSERT_EQ(three.Login(12), wire::LoginResult::kOk);
  EXPECT_EQ(three.TakeNotice(Version::k1).envelope_id, first.envelope_id);
  EXPECT_EQ(share_one + share_two + three.Open(0, first.envelope_id, Version::k1), 300U);
}

TEST_F(ServerTest, Defect18_ANewerLoginClosesTheOlderConnectionAndKeepsTheUser) {
  Start(Small());
  std::vector<Client> clients;
  for (int i = 0; i < 20; ++i) {  // over both workers, as the kernel spreads them
    clients.emplace_back(*server_);
    ASSERT_EQ(clients.back().Login(7, i % 2 == 0 ? Version::k1 : Version::k2), wire::LoginResult::kOk);
    if (i > 0) {
      Client& older = clients[clients.size() - 2];
      if (i % 2 == 0) {  // of version 2: it is told why
        wire::LoginResponse last;
        ASSERT_EQ(wire::DecodeLoginResponse(older.Take(), Version::k2, last), wire::Decoded::kOk);
        EXPECT_EQ(last.result, wire::LoginResult::kSuperseded);
        EXPECT_EQ(last.first_user, 7U);
      }
      EXPECT_TRUE(older.Closed());
    }
  }
  AwaitClose(CloseReason::kSuperseded, 19);
  EXPECT_EQ(server_->Look().users_online(), 1);
  clients.back().SendShakes(7, 1);
  EXPECT_EQ(clients.back().TakeShake().result, wire::ShakeResult::kNothing);
}

TEST_F(ServerTest, Defect19_AClientThatDoesNotReadIsClosedAndStallsNobody) {
  Start(Small());
  Client deaf(*server_, /*receive_buffer=*/4'096);
  Client other(*server_);
  ASSERT_EQ(deaf.Login(1), wire::LoginResult::kOk);
  ASSERT_EQ(other.Login(2), wire::LoginResult::kOk);
  // Sends until its own replies have filled every buffer on the way and the cap.
  while (Closes(CloseReason::kUnsentBytes) == 0 && deaf.SendShakes(1, 50)) {
    other.SendShakes(2, 1);
    EXPECT_EQ(other.TakeShake().result, wire::ShakeResult::kNothing);
  }
  AwaitClose(CloseReason::kUnsentBytes);
  other.SendShakes(2, 1);
  EXPECT_EQ(other.TakeShake().result, wire::ShakeResult::kNothing);
}

TEST_F(ServerTest, Defect22_LoginFrameAndIdleDeadlines) {
  ServerOptions options = Small();
  options.login_deadline_ms = 500;
  options.frame_deadline_ms = 500;
  options.idle_timeout_ms = 1'500;
  Start(options);
  Client silent(*server_);
  Client slow(*server_);
  Client idle(*server_);
  ASSERT_EQ(slow.Login(1), wire::LoginResult::kOk);
  ASSERT_EQ(idle.Login(2), wire::LoginResult::kOk);
  slow.Send(Bytes(3, std::byte{0}));  // 00 00 is no length
  EXPECT_TRUE(slow.Closed());
  Client dribbling(*server_);
  ASSERT_EQ(dribbling.Login(3), wire::LoginResult::kOk);
  dribbling.Send({std::byte{0}, std::byte{16}, std::byte{0}});
  EXPECT_TRUE(silent.Closed());
  EXPECT_TRUE(dribbling.Closed());
  EXPECT_TRUE(idle.Closed());
  EXPECT_EQ(Closes(CloseReason::kMalformed), 1U);
  EXPECT_EQ(Closes(CloseReason::kLoginDeadline), 1U);
  EXPECT_EQ(Closes(CloseReason::kFrameDeadline), 1U);
  EXPECT_EQ(Closes(CloseReason::kIdle), 1U);
}

TEST_F(ServerTest, Defect20_OneConnectionTooManyIsToldAndThereIsRoomAgainAfterwards) {
  ServerOptions options = Small();
  options.connections_max = 3;
  Start(options);
  std::vector<Client> clients = LogIn(3);
  Client late(*server_);
  EXPECT_EQ(late.Login(3), wire::LoginResult::kFullOrDraining);
  EXPECT_TRUE(late.Closed());
  clients.pop_back();
  Await("room again", [this] { return server_->Look().connections == 2; });
  Client next(*server_);
  EXPECT_EQ(next.Login(4), wire::LoginResult::kOk);
}

TEST_F(ServerTest, AVanishedClientGivesBackItsSlotAndItsUser) {
  Start(Small());
  for (int round = 0; round < 5; ++round) {
    std::vector<Client> clients = LogIn(20);
    for (Client& client : clients) {
      client.SendShakes(1, 1);
      client.Vanish();
    }
    Await("all gone", [this] { return server_->Look().connections == 0; });
  }
  EXPECT_EQ(server_->Look().users_online(), 0);
}

TEST_F(ServerTest, Defect13_14_15_GarbageEndsItsOwnConnectionOnly) {
  Start(Small());
  Client good(*server_);
  ASSERT_EQ(good.Login(1), wire::LoginResult::kOk);
  for (uint32_t seed = 0; seed < 64; ++seed) {
    Client bad(*server_);
    Bytes bytes(64);
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<std::byte>((seed * 2654435761U + static_cast<uint32_t>(i) * 40503U) >> 8 | 0x40);
    }
    bad.Send(bytes);
    EXPECT_TRUE(bad.Closed());
  }
  EXPECT_EQ(Client(*server_).Login(0xffffffff), wire::LoginResult::kUserOutOfRange);
  good.SendShakes(1, 1);
  EXPECT_EQ(good.TakeShake().result, wire::ShakeResult::kNothing);
  AwaitClose(CloseReason::kMalformed, 64);
}

TEST_F(ServerTest, EveryEnvelopeIsWonOnceByWhoeverShakes) {
  Start(Small());
  std::vector<Client> clients = LogIn(8);
  ASSERT_TRUE(server_->Mint({.rate = 1'000, .count = 500}).ok());
  std::vector<bool> seen(500);
  int64_t received_fen = 0;
  int won = 0;
  while (won < 500) {
    for (uint32_t user = 0; user < clients.size(); ++user) {
      clients[user].SendShakes(user, 20);
    }
    for (Client& client : clients) {
      for (int i = 0; i < 20; ++i) {
        const wire::ShakeResponse response = client.TakeShake();
        if (response.result == wire::ShakeResult::kWon) {
          EXPECT_FALSE(seen[response.envelope_id - kFirstShakeId]);
          seen[response.envelope_id - kFirstShakeId] = true;
          received_fen += response.amount_fen;
          ++won;
        }
      }
    }
  }
  const ServerCounts counts = server_->Look();
  EXPECT_EQ(counts.issued.count, 500U);
  EXPECT_EQ(counts.issued.sum.value(), received_fen);
  EXPECT_EQ(counts.envelopes_left, 0U);
}

TEST_F(ServerTest, DrainSendsWhatIsOwedThenCloses) {
  Start(Small());
  std::vector<Client> clients = LogIn(20);
  for (uint32_t user = 0; user < 20; ++user) {
    clients[user].SendShakes(user, 10);
  }
  Await("all received", [this] { return server_->Look().serve[Counter::kReceived] == 200; });
  server_->Drain(2'000);
  for (Client& client : clients) {
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(client.TakeShake().result, wire::ShakeResult::kNothing);
    }
    EXPECT_TRUE(client.Closed());
  }
  EXPECT_EQ(server_->Look().connections, 0U);
  EXPECT_EQ(Closes(CloseReason::kDrain), 20U);
  EXPECT_FALSE(server_->Mint({.rate = 1, .count = 1}).ok());
}

}  // namespace
}  // namespace hongbao::serve
