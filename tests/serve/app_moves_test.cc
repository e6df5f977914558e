// Gateways that go to the worker with fewest of them, whatever becomes of them, their clients and the server on the way.
#include <gtest/gtest.h>

#include "tests/serve/app_world.h"
#include "tests/serve/fake_ledger.h"

namespace hongbao::serve {
namespace {

using wire::LoginResult;
using wire::Version;
using Link = AppWorld::Link;
using Bytes = std::vector<std::byte>;

const wire::Token kToken{std::byte{1}};
constexpr uint32_t kUsersOfEach = 10;

struct AppMovesTest : testing::Test {
  AppMovesTest() : world({.workers = 3, .gateway_token = kToken}, &fake, clock) {}
  ~AppMovesTest() override {
    RunUntilQuiet();
    world.EndClosed();
    RunUntilQuiet();
    world.ExpectIdentities();
  }

  void RunUntilQuiet() {
    for (int i = 0; i < 4; ++i) {
      world.Turn();
      world.TakeAllMessages();
    }
  }
  // A gateway's login, and no turn yet.
  Link Come(uint32_t worker, uint32_t first_user, const Bytes& behind = {}) {
    const Link link = world.Connect(worker);
    Bytes bytes = LoginFrame(first_user, Version::k2, 7, kUsersOfEach, 0, kToken);
    bytes.insert(bytes.end(), behind.begin(), behind.end());
    EXPECT_TRUE(world.Send(link, bytes));
    return link;
  }
  // The answer to the login stands first; what follows it are answers to shakes, whose number is returned.
  size_t ExpectAnswer(const Bytes& bytes, LoginResult result, uint32_t first_user) {
    const size_t size = wire::LoginResponseBytes(Version::k2);
    if (bytes.size() < size) {
      ADD_FAILURE() << "no answer to a login";
      return 0;
    }
    wire::LoginResponse response;
    EXPECT_EQ(wire::DecodeLoginResponse({bytes.data(), size}, Version::k2, response), wire::Decoded::kOk);
    EXPECT_EQ(response.result, result);
    EXPECT_EQ(response.first_user, first_user);
    EXPECT_EQ(response.stamp, 7U);
    return (bytes.size() - size) / wire::kShakeResponseBytes;
  }
  Bytes Read(const Link& link) { return world.Read(link, &closed); }
  uint32_t WorkerOf(uint32_t user) { return Unpack(world.directory().Find(user)).worker; }

  FakeLedger fake;
  time::FakeClock clock;
  AppWorld world;
  bool closed = false;
};

TEST_F(AppMovesTest, EachGoesWhereFewestAre) {
  const uint64_t before = AppWorld::moves;
  std::vector<Link> links;
  for (uint32_t i = 0; i < 6; ++i) {
    links.push_back(Come(0, i * kUsersOfEach, ShakeFrame(i * kUsersOfEach, 100)));
    RunUntilQuiet();
  }
  std::vector<uint32_t> by_worker(3);
  for (uint32_t i = 0; i < 6; ++i) {
    EXPECT_EQ(ExpectAnswer(Read(links[i]), LoginResult::kOk, i * kUsersOfEach), 1U) << "what came behind the login, too";
    EXPECT_EQ(world.directory().Find(i * kUsersOfEach), world.AddressOf(links[i]) | kGatewayBit);
    ++by_worker[WorkerOf(i * kUsersOfEach)];
  }
  EXPECT_EQ(by_worker, (std::vector<uint32_t>{2, 2, 2}));
  EXPECT_EQ(AppWorld::moves - before, 4U);
  EXPECT_EQ(world.Count(Counter::kGatewaysMoved), 4U);
  EXPECT_EQ(world.Count(Counter::kLoginsOk), 6U);
  EXPECT_EQ(world.Count(Counter::kUsersCame), 60U);
  EXPECT_EQ(world.Count(Counter::kConnectionsClosed), 0U);
}

TEST_F(AppMovesTest, AllOfOneTurnAreSpread) {
  for (uint32_t i = 0; i < 6; ++i) {
    Come(1, i * kUsersOfEach);
  }
  RunUntilQuiet();
  std::vector<uint32_t> by_worker(3);
  for (uint32_t i = 0; i < 6; ++i) {
    ++by_worker[WorkerOf(i * kUsersOfEach)];
  }
  EXPECT_EQ(by_worker, (std::vector<uint32_t>{2, 2, 2})) << "those on their way count where they go";
}

TEST_F(AppMovesTest, OneThatComesBackTakesTheFormersPlace) {
  Come(0, 0);
  RunUntilQuiet();
  Come(1, 10);
  RunUntilQuiet();
  Come(2, 20);
  RunUntilQuiet();
  const Link again = Come(1, 0);
  RunUntilQuiet();
  EXPECT_EQ(WorkerOf(0), 0U);
  EXPECT_EQ(WorkerOf(10), 1U);
  ExpectAnswer(Read(again), LoginResult::kOk, 0);
  world.EndClosed();
  EXPECT_EQ(world.Count(Counter::kConnectionsClosed), 1U);
}

TEST_F(AppMovesTest, WhatIsSentOnTheWayComesBehind) {
  Come(0, 0);
  RunUntilQuiet();
  const Link link = Come(0, 10, ShakeFrame(10, 100));
  world.Send(link, ShakeFrame(11, 101));
  world.Turn();
  world.Send(link, ShakeFrame(12, 102));
  RunUntilQuiet();
  world.Send(link, ShakeFrame(13, 103));
  const Bytes bytes = Read(link);
  ASSERT_EQ(ExpectAnswer(bytes, LoginResult::kOk, 10), 4U);
  for (uint32_t i = 0; i < 4; ++i) {
    wire::ShakeResponse response;
    const size_t at = wire::LoginResponseBytes(Version::k2) + i * wire::kShakeResponseBytes;
    ASSERT_EQ(wire::DecodeShakeResponse({bytes.data() + at, wire::kShakeResponseBytes}, response), wire::Decoded::kOk);
    EXPECT_EQ(response.user_id, 10 + i);
    EXPECT_EQ(response.stamp, 100 + i);
  }
  EXPECT_NE(WorkerOf(10), 0U);
}

TEST_F(AppMovesTest, WithoutADescriptorItEntersWhereItIs) {
  world.descriptors_left = false;
  Come(0, 0);
  RunUntilQuiet();
  const Link link = Come(0, 10, ShakeFrame(10, 100));
  RunUntilQuiet();
  EXPECT_EQ(ExpectAnswer(Read(link), LoginResult::kOk, 10), 1U);
  EXPECT_EQ(WorkerOf(10), 0U);
  EXPECT_EQ(world.Count(Counter::kGatewaysMoved), 0U);
}

TEST_F(AppMovesTest, WithoutASlotThereItIsToldAndMayComeAgain) {
  Come(0, 0);
  RunUntilQuiet();
  world.slots_left = false;
  Come(0, 10);
  RunUntilQuiet();
  ExpectAnswer(world.turned_away, LoginResult::kFullOrDraining, 10);
  EXPECT_EQ(world.Count(Counter::kLoginsFull), 1U);
  EXPECT_EQ(world.Count(Counter::kConnectionsClosed), 1U);
  EXPECT_EQ(world.directory().Find(10), kOffline);
  world.slots_left = true;
  const Link link = Come(0, 10);
  RunUntilQuiet();
  ExpectAnswer(Read(link), LoginResult::kOk, 10);
  EXPECT_EQ(WorkerOf(10), 1U) << "the one turned away does not count any more";
}

TEST_F(AppMovesTest, AClientThatEndsOnTheWayEndsThere) {
  Come(0, 0);
  RunUntilQuiet();
  for (const bool before_it_leaves : {true, false}) {
    const Link link = Come(0, 10);
    if (before_it_leaves) {
      world.Disconnect(link);
    }
    world.Turn();
    world.Disconnect(link);
    RunUntilQuiet();
    EXPECT_EQ(world.directory().Find(10), kOffline);
  }
  EXPECT_EQ(world.Count(Counter::kConnectionsClosed), 2U);
  const Link link = Come(0, 10);
  RunUntilQuiet();
  EXPECT_EQ(WorkerOf(10), 1U) << "those that ended do not count any more";
  ExpectAnswer(Read(link), LoginResult::kOk, 10);
}

TEST_F(AppMovesTest, AWorkerThatDrainsTakesNoMoreAndRefusesThoseOnTheirWay) {
  Come(0, 0);
  RunUntilQuiet();
  const Link on_its_way = Come(0, 10);
  world.Turn();  // to worker 1
  world.app(1).OnDrain();
  EXPECT_FALSE(world.app(1).Settled()) << "it has to answer first";
  RunUntilQuiet();
  EXPECT_TRUE(world.app(1).Settled());
  ExpectAnswer(Read(on_its_way), LoginResult::kFullOrDraining, 10);
  EXPECT_TRUE(closed);
  const Link later = Come(0, 20);
  RunUntilQuiet();
  ExpectAnswer(Read(later), LoginResult::kOk, 20);
  EXPECT_EQ(WorkerOf(20), 0U) << "where it came: the other worker ends";
}

TEST_F(AppMovesTest, ADrainBeforeItLeavesRefusesIt) {
  Come(0, 0);
  RunUntilQuiet();
  const Link link = Come(0, 10);
  world.Drain();
  RunUntilQuiet();
  ExpectAnswer(Read(link), LoginResult::kFullOrDraining, 10);
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace hongbao::serve
