#include "tools/monitor/account.h"

#include <gtest/gtest.h>

#include "records.h"

namespace hongbao::monitor {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

// Lives that tell; the server begins first.
class AccountTest : public testing::Test {
 protected:
  void Tell(const Arrival& arrival) {
    const Sources::Taken taken = sources_.Take(arrival, now_s_ * kSecond, now_s_ * kSecond);
    if (taken.source != nullptr) {
      account_.Tell(taken.source->id, arrival.record);
    }
  }
  // Its connection ends, and three seconds later everybody knows.
  void Die(const Who& who) {
    Tell(Gone(who));
    now_s_ += 3;
    sources_.Look(now_s_ * kSecond);
  }
  int64_t Difference() const { return account_.Look(sources_).difference_fen(); }

  const Who server_{.role = wire::Role::kServer, .users = 10'000, .began_ns = 10, .process_id = 1, .connection = 1};
  const Who client_{.first_user = 0, .began_ns = 20, .process_id = 2, .connection = 2};
  const Who other_{.first_user = 100, .began_ns = 21, .process_id = 3, .connection = 3};
  const Who again_{.first_user = 0, .began_ns = 30, .process_id = 4, .connection = 4};
  Sources sources_;
  Account account_;
  int64_t now_s_ = 1'000;
};

TEST_F(AccountTest, ClosesWhenEverybodyTells) {
  Tell(Tells(server_, 1'000, 700));
  Tell(Tells(client_, 1'000, 300));
  Tell(Tells(other_, 1'000, 150));
  EXPECT_EQ(Difference(), 250) << "in flight";
  EXPECT_FALSE(account_.Close(sources_).in_order);
  EXPECT_FALSE(account_.Close(sources_).Broken()) << "nobody has ended";
  Tell(Ends(client_, 1'001, 450));
  Tell(Ends(other_, 1'001, 250));
  Tell(Ends(server_, 1'001, 700));
  const Closing closing = account_.Close(sources_);
  EXPECT_EQ(closing.sums.given_fen, 700);
  EXPECT_EQ(closing.sums.got_fen, 700);
  EXPECT_TRUE(closing.in_order);
  EXPECT_FALSE(closing.Broken());
}

TEST_F(AccountTest, AFenThatIsMissingBreaksIt) {
  for (const uint64_t got : {uint64_t{699}, uint64_t{701}}) {
    sources_ = {};
    account_ = {};
    Tell(Ends(server_, 1'000, 700));
    Tell(Ends(client_, 1'000, got));
    EXPECT_TRUE(account_.Close(sources_).Broken()) << got;
  }
}

TEST_F(AccountTest, OnlyOneSideProvesNothing) {
  Tell(Ends(server_, 1'000, 700));
  EXPECT_FALSE(account_.Close(sources_).Broken());
}

TEST_F(AccountTest, ADeadClientsLastFenAreKnownFromItsNextLife) {
  Tell(Tells(server_, 1'000, 700));
  Tell(Tells(client_, 1'000, 500, 40));  // its users had 40 before it; it got 600, of which it told 500
  Die(client_);
  EXPECT_EQ(Difference(), 200);
  Tell(Tells(server_, 1'004, 700));
  Tell(Tells(again_, 1'004, 0, 300));  // while its users log in, their bases come in
  EXPECT_EQ(Difference(), 200) << "what was told stands until the bases say more";
  Tell(Tells(again_, 1'005, 0, 640));
  EXPECT_EQ(Difference(), 100);
  Tell(Ends(again_, 1'006, 100, 640));
  Tell(Ends(server_, 1'006, 700));
  const Closing closing = account_.Close(sources_);
  EXPECT_EQ(closing.sums.difference_fen(), 0);
  EXPECT_TRUE(closing.in_order);
  EXPECT_TRUE(closing.never_back.empty());
}

TEST_F(AccountTest, AClientThatDiesTwiceIsAChain) {
  Tell(Tells(server_, 1'000, 900));
  Tell(Tells(client_, 1'000, 100));
  Die(client_);
  Tell(Tells(again_, 1'004, 150, 110));
  Die(again_);
  const Who third{.first_user = 0, .began_ns = 40, .process_id = 5, .connection = 5};
  Tell(Ends(third, 1'008, 600, 300));  // 110 + 190 before it
  Tell(Ends(server_, 1'008, 900));
  EXPECT_EQ(Difference(), 0);
}

TEST_F(AccountTest, AClientThatDiesAgainWhileItsUsersLogInCountsOnce) {
  Tell(Tells(server_, 1'000, 1'000));
  Tell(Tells(client_, 1'000, 1'000));
  Die(client_);
  Tell(Tells(again_, 1'004, 0, 100));  // a tenth of its users have logged in
  Die(again_);
  const Who third{.first_user = 0, .began_ns = 40, .process_id = 5, .connection = 5};
  Tell(Ends(third, 1'008, 0, 1'000));
  Tell(Ends(server_, 1'008, 1'000));
  const Closing closing = account_.Close(sources_);
  EXPECT_EQ(closing.sums.got_fen, 1'000);
  EXPECT_TRUE(closing.in_order);
}

TEST_F(AccountTest, ALifeAfterThatKnowsOfNothingProvesNothing) {  // no ledger, --no-statements, or protocol 1: a base of 0
  Tell(Tells(server_, 1'000, 700));
  Tell(Tells(client_, 1'000, 500));
  Die(client_);
  Tell(Ends(again_, 1'004, 0));
  Tell(Ends(server_, 1'004, 700));
  Closing closing = account_.Close(sources_);
  EXPECT_EQ(closing.sums.difference_fen(), 200);
  EXPECT_FALSE(closing.in_order);
  EXPECT_FALSE(closing.Broken());
  EXPECT_EQ(closing.not_known, (std::vector<uint32_t>{2}));
  Tell(Ends({.first_user = 0, .users = 50, .began_ns = 40, .process_id = 5, .connection = 5}, 1'005, 0));
  EXPECT_EQ(account_.Close(sources_).not_known.size(), 1u);
}

TEST_F(AccountTest, WhatAClientLeftUnansweredIsNoLossOfTheServers) {
  Arrival end = Ends(client_, 1'000, 500, 0, 130);  // a second SIGINT: it left at once
  end.record.Set(wire::Slot::kLost, 0, 2);
  Tell(Ends(server_, 1'000, 700));
  Tell(end);
  Closing closing = account_.Close(sources_);
  EXPECT_EQ(closing.unanswered, (std::vector<uint32_t>{2}));
  EXPECT_FALSE(closing.Broken());
  Tell(Ends(other_, 1'000, 201));
  EXPECT_TRUE(account_.Close(sources_).Broken()) << "more was got than given all the same";
}

TEST_F(AccountTest, AServerThatDiedBeforeThisMonitorsTimeExplainsWhatItsClientsHad) {
  const Who next{.role = wire::Role::kServer, .users = 10'000, .began_ns = 50, .process_id = 6, .connection = 6};
  Tell(Ends(next, 1'000, 100, 600));  // this monitor has not seen the server before it, which gave 600
  Tell(Ends(client_, 1'000, 700));    // and has its money from both
  EXPECT_EQ(account_.Look(sources_).difference_fen(), -600);
  EXPECT_FALSE(account_.Close(sources_).Broken());
  Tell(Ends({.first_user = 100, .began_ns = 60, .process_id = 7, .connection = 7}, 1'000, 800));
  EXPECT_TRUE(account_.Close(sources_).Broken()) << "this one has not met the server before";
}

TEST_F(AccountTest, ADeadClientThatNeverComesBackIsNamed) {
  Tell(Ends(server_, 1'000, 700));
  Tell(Tells(client_, 1'000, 500));
  Die(client_);
  const Closing closing = account_.Close(sources_);
  EXPECT_EQ(closing.never_back, (std::vector<uint32_t>{2}));
  EXPECT_EQ(closing.sums.difference_fen(), 200);
  EXPECT_FALSE(closing.Broken()) << "what it did last is not known";
}

TEST_F(AccountTest, AKilledServersLastFenAreKnownFromItsLedger) {
  Tell(Tells(server_, 1'000, 650, 40));
  Tell(Tells(client_, 1'000, 690));
  Die(server_);
  EXPECT_EQ(Difference(), -40) << "it gave more than it told";
  const Who next{.role = wire::Role::kServer, .users = 10'000, .began_ns = 50, .process_id = 6, .connection = 6};
  Tell(Ends(next, 1'004, 110, 740));
  Tell(Ends(client_, 1'004, 810));
  EXPECT_EQ(Difference(), 0);
  EXPECT_FALSE(account_.Close(sources_).Broken());
}

TEST_F(AccountTest, WhatUsersHadBeforeTheirClientWasSeenExplainsADifference) {
  Tell(Ends(server_, 1'000, 700));
  Tell(Ends(client_, 1'000, 500, 200));  // an earlier client of theirs, before this monitor's time, got 200
  Closing closing = account_.Close(sources_);
  EXPECT_EQ(closing.unseen_fen, 200);
  EXPECT_FALSE(closing.Broken());
  Tell(Ends({.first_user = 0, .began_ns = 60, .process_id = 7, .connection = 7}, 1'000, 0, 700));
  closing = account_.Close(sources_);
  EXPECT_EQ(closing.unseen_fen, 200) << "of this one's base 500 are known, and 200 are the same";
}

TEST_F(AccountTest, TotalsNeverShrinkAndTooMuchIsTooMuch) {
  Tell(Tells(client_, 1'001, 500));
  Tell(Tells(client_, 1'000, 300));  // late
  EXPECT_EQ(account_.Look(sources_).got_fen, 500);
  for (uint64_t i = 0; i < Sources::kSourcesMax; ++i) {
    Tell(Tells({.role = wire::Role::kServer, .began_ns = i, .process_id = i, .connection = i + 10}, 1'000, ~uint64_t{0}));
  }
  EXPECT_GT(account_.Look(sources_).given_fen, 0) << "no overflow";
}

TEST_F(AccountTest, WhatIsLeftIsTheNewestLifes) {
  const auto with_left = [&](const Who& who, int64_t unix_s, uint64_t left) {
    Arrival arrival = Tells(who, unix_s);
    arrival.record.Set(wire::Slot::kLeft, 1, left);
    return arrival;
  };
  Tell(with_left(server_, 1'000, 90));
  Tell(with_left(server_, 1'001, 70));
  EXPECT_EQ(account_.Look(sources_).left_fen, 70);
  Die(server_);
  Tell(with_left({.role = wire::Role::kServer, .users = 10'000, .began_ns = 50, .process_id = 6, .connection = 6}, 1'004, 60));
  EXPECT_EQ(account_.Look(sources_).left_fen, 60);
}

// What nobody has won lies in the ledger: the next server on it tells of it again.
class LeftTest : public AccountTest {
 protected:
  int64_t Left() const { return account_.Look(sources_).left_fen; }
  static Arrival With(Arrival arrival, uint64_t left_fen) {
    arrival.record.Set(wire::Slot::kLeft, 1, left_fen);
    return arrival;
  }
  const Who next_{.role = wire::Role::kServer, .users = 10'000, .began_ns = 1'002 * kSecond, .process_id = 5, .connection = 5};
};

TEST_F(LeftTest, OfALedgerTheNewestLifesCounts) {
  Tell(With(Ends(server_, 1'000, 700, 50), 300));
  EXPECT_EQ(Left(), 300);
  now_s_ = 1'003;
  Tell(With(Tells(next_, 1'003, 0, 750), 300));
  EXPECT_EQ(Left(), 300);
  Tell(With(Tells(next_, 1'004, 100, 750), 200));
  EXPECT_EQ(Left(), 200);
  Tell(With(Ends(next_, 1'005, 100, 750), 200));
  EXPECT_EQ(Left(), 200);
}

TEST_F(LeftTest, NobodyHadWonAnything) {
  Tell(With(Ends(server_, 1'000, 0), 300));
  now_s_ = 1'003;
  Tell(With(Tells(next_, 1'003, 0), 300));
  EXPECT_EQ(Left(), 300);
}

TEST_F(LeftTest, AnotherLedgersStays) {
  Tell(With(Ends(server_, 1'000, 700, 50), 300));
  now_s_ = 1'003;
  Tell(With(Tells(next_, 1'003, 0, 0), 20));
  EXPECT_EQ(Left(), 320) << "it knows nothing of the 7.50 yuan";
}

TEST_F(LeftTest, ServersSideBySideHaveEachTheirOwn) {
  const Who beside{.role = wire::Role::kServer, .users = 10'000, .began_ns = 990 * kSecond, .process_id = 6, .connection = 6};
  Tell(With(Tells(beside, 1'000, 0, 750), 40));
  Tell(With(Ends(server_, 1'000, 700, 50), 300));
  EXPECT_EQ(Left(), 340);
  Who elsewhere = next_;
  elsewhere.peer = SocketAddress::Ipv4(0x0a00'0007);
  now_s_ = 1'003;
  Tell(With(Tells(elsewhere, 1'003, 0, 750), 5));
  EXPECT_EQ(Left(), 345);
}

}  // namespace
}  // namespace hongbao::monitor
