#include "tools/monitor/monitor.h"

#include <gtest/gtest.h>

#include "records.h"

namespace hongbao::monitor {
namespace {

using wire::Slot;

constexpr int64_t kSecond = 1'000'000'000;

// A client's last word: 1,000 requests sent and answered.
Arrival Client(uint64_t exit_code, uint64_t id = 2) {
  const Who who{.first_user = 100 * id, .began_ns = 20 + id, .process_id = id, .connection = id};
  Arrival arrival = Ends(who, 1'000, 0, 0, exit_code);
  arrival.record.Set(Slot::kRequests, 10, 1'000);
  arrival.record.Set(Slot::kResponses, 10, 1'000);
  return arrival;
}

using List = std::vector<std::string>;

class MonitorVerdictTest : public testing::Test {
 protected:
  void Take(const Arrival& arrival) {
    monitor_.Take(arrival, 1'000 * kSecond, 1'000 * kSecond);
    monitor_.Rows(1'000 * kSecond, /*all=*/true);
  }
  Monitor monitor_{kSecond};
};

TEST_F(MonitorVerdictTest, PassesWhatHeldItsSchedule) {
  Take(Client(0));
  Take(Client(130, 3));
  EXPECT_EQ(monitor_.Reasons(), List{});
  EXPECT_EQ(monitor_.ExitCode(), 0);
  EXPECT_EQ(monitor_.CloseJson()["verdict"], "pass");
}

TEST_F(MonitorVerdictTest, NamesWhatDidNotHold) {
  Arrival client = Client(130);
  client.record.Set(Slot::kMissed, 0, 500);
  client.record.Set(Slot::kSuperseded, 0, 7);
  client.record.Set(Slot::kLost, 0, 2);
  client.record.Set(Slot::kOutstanding, 3, 4);
  Take(client);
  EXPECT_EQ(monitor_.Reasons(), (List{"sessions ended because their users logged in elsewhere: 7; superseded==0 has to hold",
                                      "requests missed: 500 of 1,500 (33.3 %); missed<=0.1% has to hold",
                                      "requests without an answer: 9; unanswered==0 has to hold"}));
  EXPECT_EQ(monitor_.ExitCode(), 3);
  EXPECT_EQ(monitor_.CloseJson()["verdict"], "fail");
  EXPECT_NE(monitor_.ClosingText().find("  FAIL       requests missed: 500"), std::string::npos);
}

TEST_F(MonitorVerdictTest, AClientsOwnVerdictCounts) {
  Take(Client(3));
  EXPECT_EQ(monitor_.ExitCode(), 3);
  EXPECT_EQ(monitor_.Reasons(), List{"client 10.0.0.6 users 200-299 (pid 2) did not hold what it had to (exit code 3)"});
}

TEST_F(MonitorVerdictTest, NobodyIsJudgedWhoHasNotEnded) {
  Arrival client = Client(0);
  client.record.Set(Slot::kEnd, 0, 0);
  client.record.Set(Slot::kMissed, 0, 500);
  Take(client);
  EXPECT_EQ(monitor_.ExitCode(), 0);
}

TEST_F(MonitorVerdictTest, WithoutAnybodyThereIsNothingToPass) {
  EXPECT_EQ(monitor_.CloseJson()["verdict"], "none");
  EXPECT_EQ(monitor_.ClosingText().find("  ok"), std::string::npos);
}

TEST(MonitorVerdict, TakesAnotherBoundWhereOneIsGiven) {
  Monitor monitor(kSecond, cli::ParseThresholds("missed<=50%").value());
  Arrival client = Client(130);
  client.record.Set(Slot::kMissed, 0, 500);
  monitor.Take(client, 1'000 * kSecond, 1'000 * kSecond);
  EXPECT_EQ(monitor.Reasons(), List{});
}

}  // namespace
}  // namespace hongbao::monitor
