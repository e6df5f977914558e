// Ramp: each failure has its counter, and a worker knows when all of its members have been in. How connecting proceeds
// over a real port is in fleet_test.cc and gateway_fleet_test.cc, its parts in reconnect_test.cc and
// login_watch_test.cc.
#include "libhongbao/load/ramp.h"

#include <gtest/gtest.h>

#include <array>

#include "libhongbao/load/user.h"

namespace hongbao::load {
namespace {

class RampTest : public testing::Test {
 protected:
  uint64_t Count(Counter id) const { return tally.cells.Get(id); }

  time::FakeClock clock{1'424'183'400 * time::kNsPerSecond};
  time::WallSteps wall{clock};
  time::Schedule schedule;
  WorkerTally tally;
  net::Port port{0, {.slots = 4}};
  std::array<net::Port*, 1> ports{&port};
  FleetContext context{{}, ports, wall, schedule, tally};
  AddressPlan addresses = *AddressPlan::Make({.destinations = {SocketAddress::Ipv4(0x7f00'0001, 1025)}, .users = {0, 1, 2}});
  std::array<User, 2> users;
  Ramp<User> ramp{context, absl::MakeSpan(users), 0, addresses};
};

TEST_F(RampTest, FailedConnectsAreCountedByErrno) {
  ramp.Failed(users[0], ECONNREFUSED);
  ramp.Failed(users[1], 100'000);
  EXPECT_EQ(Count(Counter::kConnectsFailed), 2U);
  EXPECT_EQ(tally.connect_errors.Get(static_cast<Errno>(ECONNREFUSED)), 1U);
  EXPECT_EQ(tally.connect_errors.Get(static_cast<Errno>(159)), 1U) << "the last cell has the others";
  EXPECT_EQ(users[0].state, MemberState::kBackOff);
}

TEST_F(RampTest, FailuresInARowAreCountedUpToTheMost) {
  for (uint32_t i = 1; i < 40; ++i) {
    ramp.Failed(users[0], ECONNREFUSED);
    EXPECT_EQ(users[0].failures, std::min<uint32_t>(i, kFailuresMax));
    users[0].next = kNoMember;
  }
  ramp.Entered(users[0], 1);
  EXPECT_EQ(users[0].failures, 0U);
}

TEST_F(RampTest, AMemberThatDoesNotComeBackIsLeftOutWhereverItStandsInTheQueue) {
  ramp.ConnectSome([this](const User& user) { return &user == &users[0]; });
  EXPECT_EQ(users[0].state, MemberState::kConnecting);
  EXPECT_EQ(users[1].state, MemberState::kWaiting);
}

TEST_F(RampTest, AllOnlineIsWhenTheLastHasHadItsFirstSession) {
  ramp.Entered(users[0], 1);
  ramp.Entered(users[0], 1);
  EXPECT_EQ(tally.all_online_ns.load(), 0);
  context.now_ns = 0;
  ramp.Entered(users[1], 1);
  EXPECT_EQ(tally.all_online_ns.load(), 1) << "0 is for not yet";
  EXPECT_EQ(Count(Counter::kEstablished), 2U);
  EXPECT_EQ(Count(Counter::kOnline), 3U);
}

TEST_F(RampTest, ARefusalAfterTheFirstSessionDoesNotMoveTheTimeWhenAllWereIn) {
  context.now_ns = 7;
  for (User& user : users) {
    ramp.Entered(user, 1);
  }
  EXPECT_EQ(tally.all_online_ns.load(), 7);
  context.now_ns = 9;
  ramp.Opened(users[0], net::Connection{});
  ramp.Refused(users[0], wire::LoginResult::kUserOutOfRange, 1);
  EXPECT_EQ(tally.all_online_ns.load(), 7);
}

}  // namespace
}  // namespace hongbao::load
