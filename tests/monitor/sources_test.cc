#include "tools/monitor/sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "records.h"

namespace hongbao::monitor {
namespace {

using testing::HasSubstr;
using Verdict = Sources::Verdict;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNow = 1'486'824'165;  // this monitor's unix second

class SourcesTest : public testing::Test {
 protected:
  Sources::Taken Take(const Arrival& arrival) { return sources_.Take(arrival, now_s_ * kSecond, now_s_ * kSecond); }
  // Seconds pass; who has not told meanwhile falls silent.
  void Pass(int64_t seconds) {
    now_s_ += seconds;
    sources_.Look(now_s_ * kSecond);
  }
  std::string News() {
    std::string all;
    for (const std::string& line : sources_.TakeNews()) {
      all += line + "\n";
    }
    return all;
  }

  Sources sources_;
  int64_t now_s_ = kNow;
};

TEST_F(SourcesTest, ALifeIsOneSourceOverAllItsConnections) {
  Who who;
  EXPECT_EQ(Take(Tells(who, kNow)).verdict, Verdict::kLineUp);
  Take(Gone(who));
  EXPECT_EQ(sources_.Of(1).connection, 0u);
  who.connection = 2;
  EXPECT_EQ(Take(Tells(who, kNow + 1)).source->id, 1u);
  EXPECT_EQ(sources_.all().size(), 1u);
  EXPECT_EQ(sources_.Of(1).connection, 2u);
  Take(Gone({.connection = 1}));
  EXPECT_EQ(sources_.Of(1).connection, 2u) << "an old connection's end, heard late";
}

TEST_F(SourcesTest, SilenceIsSaidOnceAndSoIsTheReturn) {
  const Who who;
  Take(Tells(who, kNow));
  EXPECT_THAT(News(), HasSubstr("client 10.0.0.6 users 0-99 (pid 1) has come"));
  Pass(2);
  EXPECT_EQ(News(), "");
  Pass(1);
  EXPECT_THAT(News(), HasSubstr("client 10.0.0.6 users 0-99 (pid 1) silent 3 s"));
  EXPECT_EQ(sources_.Of(1).condition, Condition::kSilent);
  Pass(10);
  EXPECT_EQ(News(), "");
  Take(Tells(who, now_s_));
  EXPECT_THAT(News(), HasSubstr("is back"));
  EXPECT_EQ(sources_.Of(1).condition, Condition::kLiving);
}

TEST_F(SourcesTest, AnEndInOrderIsNoSilence) {
  const Who who;
  Take(Ends(who, kNow, 0, 0, 130));
  EXPECT_THAT(News(), HasSubstr("has ended (exit code 130)"));
  Pass(100);
  EXPECT_EQ(News(), "");
  EXPECT_EQ(sources_.Of(1).condition, Condition::kEnded);
}

TEST_F(SourcesTest, ANewLifeOfTheSameUsersTakesADeadOnesPlace) {
  const Who first;
  Take(Tells(first, kNow));
  Take(Gone(first));
  Pass(3);
  News();
  Take(Tells({.began_ns = 2, .process_id = 2, .connection = 2, .peer = SocketAddress::Ipv4(0x0a00'0007)},
             now_s_));  // on another machine
  EXPECT_EQ(sources_.Of(2).before, 1u);
  EXPECT_EQ(sources_.Of(1).after, 2u);
  EXPECT_EQ(sources_.Of(1).condition, Condition::kReplaced);
  EXPECT_THAT(News(), HasSubstr("goes on for client 10.0.0.6 users 0-99 (pid 1)"));
}

TEST_F(SourcesTest, AQuickRestartTakesThePlaceBeforeTheSilence) {
  const Who first;
  Take(Tells(first, kNow));
  Take(Gone(first));
  Take(Tells({.began_ns = 2, .process_id = 2, .connection = 2}, kNow));
  EXPECT_EQ(sources_.Of(1).after, 2u);
  EXPECT_THAT(News(), testing::Not(HasSubstr("in common")));
}

TEST_F(SourcesTest, OthersDoNotTakeAPlace) {
  const Who dead;
  Take(Tells(dead, kNow));
  Take(Gone(dead));
  Pass(3);
  Take(Tells({.first_user = 100, .began_ns = 2, .connection = 2}, now_s_));            // other users
  Take(Tells({.role = wire::Role::kServer, .began_ns = 3, .connection = 3}, now_s_));  // another role
  Take(Tells({.role = wire::Role::kNic, .began_ns = 4, .connection = 4}, now_s_));
  EXPECT_EQ(sources_.Of(1).after, 0u);
  const Who ended{.first_user = 500, .began_ns = 5, .connection = 5};
  Take(Ends(ended, now_s_));
  Take(Tells({.first_user = 500, .began_ns = 6, .connection = 6}, now_s_));
  EXPECT_EQ(sources_.all().back().before, 0u) << "what ended in order has told all it did";
}

TEST_F(SourcesTest, WhoLivedBesideItDoesNotGoOnForIt) {  // two servers of one machine; one client started twice
  const Who first{.role = wire::Role::kServer}, second{.role = wire::Role::kServer, .began_ns = 2, .connection = 2};
  Take(Tells(first, kNow));
  Take(Tells(second, kNow));
  now_s_ += 1;
  Take(Tells(first, kNow + 1));
  Take(Gone(first));
  now_s_ += 3;
  Take(Tells(second, kNow + 4));
  Pass(0);
  EXPECT_EQ(sources_.Of(1).condition, Condition::kSilent);
  EXPECT_EQ(sources_.Of(2).before, 0u);
}

TEST_F(SourcesTest, UsersInCommonAreSaid) {
  Take(Tells({.first_user = 0, .users = 100}, kNow));
  Take(Tells({.first_user = 100, .users = 100, .began_ns = 2, .connection = 2}, kNow));
  EXPECT_THAT(News(), testing::Not(HasSubstr("in common")));
  Take(Tells({.first_user = 199, .users = 1, .began_ns = 3, .connection = 3}, kNow));
  EXPECT_THAT(News(), HasSubstr("user 199 (pid 1) has users in common with client 10.0.0.6 users 100-199"));
  Take(Tells({.first_user = ~uint64_t{0}, .users = ~uint64_t{0}, .began_ns = 4, .connection = 4}, kNow));  // of no sense
}

TEST_F(SourcesTest, AClockThatIsOffIsSaidAndItsSecondsAreNotLinedUp) {
  const Who who;
  EXPECT_EQ(Take(Tells(who, kNow + Sources::kFutureS)).verdict, Verdict::kLineUp);
  EXPECT_EQ(Take(Tells(who, kNow - Sources::kOldS)).verdict, Verdict::kLineUp);
  News();
  EXPECT_EQ(Take(Tells(who, kNow + 3'600)).verdict, Verdict::kClockOff);
  EXPECT_THAT(News(), HasSubstr("its clock is 60 m 0 s ahead"));
  EXPECT_EQ(Take(Tells(who, kNow + 3'601)).verdict, Verdict::kClockOff);
  EXPECT_EQ(News(), "");
  EXPECT_EQ(sources_.Of(1).clock_off, 2u);
  EXPECT_EQ(sources_.Of(1).last_s, kNow + Sources::kFutureS) << "what is off never becomes the newest second";
  Take(Tells(who, kNow));
  EXPECT_THAT(News(), HasSubstr("right again"));
  EXPECT_EQ(Take(Tells(who, 0)).verdict, Verdict::kClockOff);
  EXPECT_THAT(News(), HasSubstr("behind"));
  EXPECT_EQ(Take(Tells(who, 9'000'000'000)).verdict, Verdict::kClockOff);
}

TEST_F(SourcesTest, ThereIsAnEndToHowManyThereMayBe) {
  for (uint64_t i = 1; i <= Sources::kSourcesMax + 5; ++i) {
    Take(Tells({.first_user = 1'000 * i, .began_ns = i, .connection = i}, kNow));
  }
  EXPECT_EQ(sources_.all().size(), Sources::kSourcesMax);
  EXPECT_EQ(sources_.refused(), 5u);
  EXPECT_LE(sources_.TakeNews().size(), 200u);
}

TEST_F(SourcesTest, ASenderThatDoesNotSayItsLifeIsKnownByItsConnection) {
  Take(Tells({.began_ns = 0, .process_id = 0, .connection = 1}, kNow));
  Take(Tells({.first_user = 100, .began_ns = 0, .process_id = 0, .connection = 2}, kNow));
  EXPECT_EQ(sources_.all().size(), 2u);
}

TEST_F(SourcesTest, AClockThatWasSetIsSaidOnceAndTheNewestRecordStaysTheNewest) {
  const Who who{.role = wire::Role::kServer};
  Arrival before = Tells(who, kNow, 100), after = Tells(who, kNow - 3'600, 200);
  after.record.Set(wire::Slot::kClockSteps, static_cast<uint64_t>(-3'600'000), 1);
  Take(before);
  News();
  EXPECT_EQ(Take(after).verdict, Verdict::kClockOff);
  EXPECT_THAT(News(), HasSubstr(": its wall clock was set, in all by -3600 s (1 step so far)"));
  EXPECT_EQ(sources_.Of(1).newest.Total(wire::Slot::kShakeReceivedFen), 200u);
  Take(after);
  EXPECT_EQ(News(), "");
  Take(before);  // told again after a reconnect
  EXPECT_EQ(sources_.Of(1).newest.Total(wire::Slot::kShakeReceivedFen), 200u);
}

}  // namespace
}  // namespace hongbao::monitor
