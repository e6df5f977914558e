// The server in this process with a ledger: what a stop and a start leave and find.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "libhongbao/ledger/sqlite_ledger.h"
#include "tests/serve/server_client.h"
#include "tests/serve/step_ledger.h"

namespace hongbao::serve {
namespace {

using testing::HasSubstr;
using wire::Version;

class ServerLedgerTest : public ServerFixture {
 protected:
  std::unique_ptr<ledger::Ledger> OpenFile() {
    auto opened = ledger::SqliteLedger::Open({.file = {.path = folder_.File()}}, clock_.WallNs() / time::kNsPerMs);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }
  // Shakes until it has won `wins` more times; by stamp.
  std::map<uint64_t, wire::ShakeResponse> Win(Client& client, uint32_t user, size_t wins) {
    std::map<uint64_t, wire::ShakeResponse> won;
    while (won.size() < wins && !HasFailure()) {
      const wire::ShakeResponse response = client.Shake(user, ++stamp_);
      EXPECT_EQ(response.stamp, stamp_);
      if (response.result == wire::ShakeResult::kWon) {
        won[stamp_] = response;
        EXPECT_TRUE(ids_.insert(response.envelope_id).second) << "won twice";
        fen_ += response.amount_fen;
      }
    }
    return won;
  }

  TestFolder folder_;
  uint64_t stamp_ = 1'000;
  std::set<uint32_t> ids_;
  uint64_t fen_ = 0;
};

TEST_F(ServerLedgerTest, OrdersGoOnAndClientsAreToldWhatTheyMissed) {
  Start(Small(), OpenFile());
  EXPECT_TRUE(server_->durable());
  ASSERT_TRUE(server_->Mint({.rate = 1'000, .count = 40}).ok());
  std::map<uint64_t, wire::ShakeResponse> first;
  {
    Client client(*server_);
    ASSERT_EQ(client.Login(7, Version::k2), wire::LoginResult::kOk);
    first = Win(client, 7, 15);
  }
  Stop();

  Start(Small(), OpenFile());
  Client client(*server_);
  EXPECT_EQ(client.LoginAfter(7, Version::k2, 0).last_stamp, first.rbegin()->first);
  for (size_t i = 0; i < first.size(); ++i) {
    const wire::ShakeResponse resumed = client.TakeShake();
    ASSERT_TRUE(first.contains(resumed.stamp));
    EXPECT_EQ(resumed.envelope_id, first[resumed.stamp].envelope_id);
    EXPECT_EQ(resumed.amount_fen, first[resumed.stamp].amount_fen);
  }
  const wire::ShakeResponse again = client.Shake(7, first.begin()->first);
  EXPECT_EQ(again.envelope_id, first.begin()->second.envelope_id) << "asked again in another life";
  Client other(*server_);
  ASSERT_EQ(other.Login(8, Version::k2), wire::LoginResult::kOk);
  Win(other, 8, 25);
  EXPECT_EQ(ids_.size(), 40U) << "each of the order's, over both lives";
  Stop();

  auto ledger = std::make_unique<StepLedger>(folder_.File(), clock_.WallNs() / time::kNsPerMs);
  EXPECT_TRUE(ledger->AuditAll().ok()) << ledger->AuditAll();
  EXPECT_EQ(ledger->Number("SELECT SUM(fen) FROM grants"), static_cast<int64_t>(fen_));
  EXPECT_EQ(ledger->Number("SELECT total_fen FROM envelopes"), static_cast<int64_t>(fen_));
}

TEST_F(ServerLedgerTest, AGiftOutlivesTheServer) {
  Start(Small(), OpenFile());
  uint32_t share = 0;
  {
    Client one(*server_);
    ASSERT_EQ(one.Login(1, Version::k2), wire::LoginResult::kOk);
    ASSERT_TRUE(server_->Mint(OneGift(2, 1, 2)).ok());
    const wire::GiftNotice notice = one.TakeNotice(Version::k2);
    share = one.Open(1, notice.envelope_id, Version::k2);
    EXPECT_EQ(one.Open(1, notice.envelope_id, Version::k2), share);
  }
  Stop();
  ServerOptions three_workers = Small();
  three_workers.workers = 3;  // its owner is another one now
  Start(three_workers, OpenFile());
  Client two(*server_);
  ASSERT_EQ(two.Login(2, Version::k1), wire::LoginResult::kOk);
  const wire::GiftNotice notice = two.TakeNotice(Version::k1);
  EXPECT_EQ(two.Open(2, notice.envelope_id, Version::k1) + share, 300U);
  Client one(*server_);
  ASSERT_EQ(one.LoginAfter(1, Version::k2, 99).result, wire::LoginResult::kOk);
  EXPECT_EQ(one.Open(1, notice.envelope_id, Version::k2), share) << "the first amount again";
  Stop();
}

TEST_F(ServerLedgerTest, AUserBeyondUsersMaxIsNamedWithItsCure) {
  Start(Small(), OpenFile());
  ASSERT_TRUE(server_->Mint({.rate = 1'000, .count = 1}).ok());
  {
    Client client(*server_);
    ASSERT_EQ(client.Login(900, Version::k2), wire::LoginResult::kOk);
    Win(client, 900, 1);
  }
  Stop();
  ServerOptions fewer = Small();
  fewer.users_max = 900;
  const absl::Status status = Server::Start(fewer, &clock_, OpenFile()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--users-max 901"));
  fewer.users_max = 901;
  Start(fewer, OpenFile());
  Stop();
}

TEST_F(ServerLedgerTest, MoreGiftsThanABookHoldsAreRefusedInWords) {
  auto ledger = std::make_unique<FakeLedger>();
  for (uint32_t i = 0; i < 600; ++i) {  // all of one worker's
    ledger->recovered.gifts.push_back({.id = kFirstSentGiftId + 2 * i,
                                       .sender = 7,
                                       .total_fen = 3,
                                       .expires_ms = clock_.WallNs() / time::kNsPerMs + 60'000,
                                       .users = {1, 2},
                                       .opened_fen = {0, 0}});
  }
  const absl::Status status = Server::Start(Small(), &clock_, std::move(ledger)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--gifts-max 1200"));
}

// ---- drain ----

TEST_F(ServerLedgerTest, ADrainWaitsForTheOutcomesThatAreOwed) {
  auto owned = std::make_unique<FakeLedger>();
  FakeLedger* ledger = owned.get();
  Start(Small(), std::move(owned));
  ASSERT_TRUE(server_->Mint({.rate = 1'000, .count = 1}).ok());
  Await("an envelope", [this] { return server_->Look().issued.count == 1; });
  Client client(*server_);
  ASSERT_EQ(client.Login(7, Version::k2), wire::LoginResult::kOk);
  client.SendShake(7, 50);
  Await("the claim", [ledger] { return ledger->waiting() == 1; });
  std::thread drain([this] { server_->Drain(60'000); });
  Await("the drain", [this] { return server_->draining(); });
  EXPECT_TRUE(client.Quiet(50));
  ledger->Commit();
  EXPECT_EQ(client.TakeShake().result, wire::ShakeResult::kWon) << "before the end";
  EXPECT_TRUE(client.Closed());
  drain.join();
}

TEST_F(ServerLedgerTest, TheIdentitiesHoldAlsoWhenADrainEndsWithEverythingUnderWay) {
  auto owned = std::make_unique<FakeLedger>();
  FakeLedger* ledger = owned.get();
  Start(Small(), std::move(owned));
  ASSERT_TRUE(server_->Mint({.rate = 1'000, .count = 3}).ok());
  ASSERT_TRUE(
      server_->Mint({.kind = MintOrder::Kind::kGift, .rate = 1'000, .count = 2, .users = 1, .first_user = 7, .last_user = 7})
          .ok());
  Await("gifts", [ledger] { return ledger->waiting() == 2; });
  ledger->Commit(1);
  Await("envelopes", [this] { return server_->Look().issued.count == 3; });
  Client client(*server_);
  ASSERT_EQ(client.Login(7, Version::k2), wire::LoginResult::kOk);
  const uint32_t gift = client.TakeNotice(Version::k2).envelope_id;
  client.Send(OpenFrame(7, gift, 2));
  client.SendShake(7, 50);
  client.SendShake(7, 51);
  Await("a gift, an open and two wins", [ledger] { return ledger->waiting() == 4; });
  server_->Drain(100);
  EXPECT_EQ(ledger->waiting(), 0U) << "durable all the same: told at the next login";
  const ServerRest rest = server_->LookAtRest();
  EXPECT_EQ(rest.pending_shakes, 2U);
  EXPECT_EQ(rest.pending_wins.count, 2U);
  EXPECT_EQ(rest.pending_shares.count, 1U);
  EXPECT_EQ(rest.pending_opens.count, 1U);
}

}  // namespace
}  // namespace hongbao::serve
