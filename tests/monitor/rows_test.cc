#include "tools/monitor/rows.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "records.h"
#include "tools/monitor/monitor.h"

namespace hongbao::monitor {
namespace {

using watch::Column;
using wire::Slot;

constexpr int64_t kSecond = 1'000'000'000;

TEST(Hosts, ReadAsPeopleSayIt) {
  EXPECT_EQ((Hosts{.clients = {2, 0}, .servers = {1, 0}}.Text()), "2c/1s");
  EXPECT_EQ((Hosts{.clients = {1, 1}, .servers = {1, 0}, .nics = {1, 0}}.Text()), "1c!/1s/1n");
  EXPECT_EQ((Hosts{.servers = {0, 1}}.Text()), "0c/0s!");
}

// A monitor with no delay, told second after second.
class RowsTest : public testing::Test {
 protected:
  void Tell(const Arrival& arrival) { monitor_.Take(arrival, now_s_ * kSecond, now_s_ * kSecond); }
  std::vector<Told> Pass(int64_t seconds) {
    now_s_ += seconds;
    return monitor_.Rows(now_s_ * kSecond);
  }

  Monitor monitor_{kSecond};
  int64_t now_s_ = 1'000;
};

TEST_F(RowsTest, CountsAddUpAndOfPercentilesTheWorstStands) {
  Arrival a = Tells({.first_user = 0, .connection = 1}, 999, 300);
  a.record.Set(Slot::kRequests, 40, 40);
  a.record.Set(Slot::kLatencyP50, 90'000, 40);
  a.record.Set(Slot::kLatencyP99, 150'000, 410'000);
  a.record.Set(Slot::kLatencyMax, 920'000, 1'300'000);
  a.record.Set(Slot::kShakeReceivedFen, 300, 300);
  a.record.Set(Slot::kCpuUs, 505'000, 0);
  Arrival b = Tells({.first_user = 100, .began_ns = 2, .connection = 2}, 999, 70);
  b.record.Set(Slot::kRequests, 2, 2);
  b.record.Set(Slot::kLatencyP50, 80'000, 2);
  b.record.Set(Slot::kLatencyP99, 160'000, 400'000);
  b.record.Set(Slot::kSharesReceivedFen, 70, 70);
  b.record.Set(Slot::kShakeReceivedFen, 0, 0);
  Arrival server = Tells({.role = wire::Role::kServer, .users = 1'000, .began_ns = 3, .connection = 3}, 999, 400);
  server.record.Set(Slot::kRequests, 43, 43);
  server.record.Set(Slot::kOnline, 7, 6);
  Arrival nic = Tells({.role = wire::Role::kNic, .began_ns = 4, .connection = 4}, 999);
  nic.record.Set(wire::NicSlot::kRxDropped, 1, 1);
  nic.record.Set(wire::NicSlot::kTxDropped, 2, 2);
  for (const Arrival& arrival : {a, b, server, nic}) {
    Tell(arrival);
  }
  const std::vector<Told> rows = Pass(1);
  ASSERT_EQ(rows.size(), 1u);
  const watch::SecondRow& row = rows[0].row;
  EXPECT_EQ(rows[0].hosts.Text(), "2c/1s/1n");
  EXPECT_EQ(row[Column::kHosts], 4);
  EXPECT_EQ(row[Column::kSilent], 0);
  EXPECT_EQ(row[Column::kSent], 42);
  EXPECT_EQ(row[Column::kReceived], 43);
  EXPECT_EQ(row[Column::kConnections], 7);
  EXPECT_EQ(row[Column::kP50Us], 90);
  EXPECT_EQ(row[Column::kP90Us], 160);
  EXPECT_EQ(row[Column::kP99Us], 410);
  EXPECT_EQ(row[Column::kP999Us], 920);
  EXPECT_EQ(row[Column::kMaxUs], 1'300);
  EXPECT_EQ(row[Column::kGotFen], 370);
  EXPECT_EQ(row[Column::kGotTotalFen], 370);
  EXPECT_EQ(row[Column::kGivenTotalFen], 400);
  EXPECT_EQ(row[Column::kDifferenceFen], 30);
  EXPECT_EQ(row[Column::kClientCpuPct], 50);
  EXPECT_EQ(row[Column::kDropped], 3);
  EXPECT_EQ(rows[0].sources.size(), 4u);
}

TEST_F(RowsTest, WhoShouldHaveToldIsFlaggedUntilItEndsOrIsReplaced) {
  const Who client{.first_user = 0, .connection = 1};
  const Who server{.role = wire::Role::kServer, .users = 1'000, .began_ns = 3, .connection = 3};
  Tell(Tells(client, 1'000));
  Tell(Tells(server, 1'000));
  EXPECT_EQ(Pass(1)[0].hosts.Text(), "1c/1s");
  Tell(Tells(server, 1'001));
  EXPECT_EQ(Pass(1)[0].hosts.Text(), "0c!/1s");
  Tell(Gone(client));
  Pass(3);
  Tell(Tells(server, 1'004));
  Tell(Tells({.first_user = 0, .began_ns = 9, .connection = 9}, 1'005));
  Tell(Tells(server, 1'005));
  const std::vector<Told> both = Pass(1);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].hosts.Text(), "0c!/1s") << "nobody has told of this second";
  EXPECT_EQ(both[1].hosts.Text(), "1c/1s") << "another life has taken its place";
  Tell(Ends({.first_user = 0, .began_ns = 9, .connection = 9}, 1'006));
  Tell(Tells(server, 1'006));
  EXPECT_EQ(Pass(1)[0].hosts.Text(), "1c/1s");
  Tell(Tells(server, 1'007));
  EXPECT_EQ(Pass(1)[0].hosts.Text(), "0c/1s") << "it has ended in order";
}

TEST_F(RowsTest, MoneyOfAClockThatIsOffCountsAtOnce) {
  Tell(Tells({.first_user = 0, .connection = 1}, 1'000 + 3'600, 55));
  EXPECT_TRUE(Pass(100).empty()) << "it has no second";
  EXPECT_EQ(monitor_.Close().sums.got_fen, 55);
}

TEST_F(RowsTest, ALateRecordIsCountedAndItsMoneyToo) {
  const Who client{.first_user = 0, .connection = 1};
  Tell(Tells(client, 1'000, 10));
  ASSERT_EQ(Pass(1).size(), 1u);
  Tell(Tells(client, 1'000, 20));
  Tell(Tells(client, 999, 20));
  EXPECT_TRUE(Pass(5).empty());
  monitor_.Publish();
  EXPECT_EQ(monitor_.Look().late, 2u);
  EXPECT_EQ(monitor_.Look().sums.got_fen, 20);
  EXPECT_EQ(monitor_.Look().records, 3u);
}

TEST_F(RowsTest, TheClosingTextNamesWhoNeverCameBack) {
  const Who client{.first_user = 0, .process_id = 77, .connection = 1};
  Tell(Tells({.role = wire::Role::kServer, .users = 1'000, .began_ns = 3, .connection = 3}, 1'000, 1'234));
  Tell(Tells(client, 1'000, 1'000));
  Tell(Gone(client));
  Pass(3);
  const std::string text = monitor_.ClosingText();
  EXPECT_NE(text.find("given 12.34 yuan, got 10.00, left 0.00, difference 2.34"), std::string::npos) << text;
  EXPECT_NE(text.find("never back client 10.0.0.6 users 0-99 (pid 77)"), std::string::npos) << text;
  EXPECT_EQ(monitor_.ReportJson()["account"]["never_back"][1]["pid"], 77) << "the server is silent as well";
}

TEST(SourceCsv, HasACellForEachColumn) {
  const std::string header = SourceCsvHeader();
  for (const auto role : {wire::Role::kClient, wire::Role::kServer, wire::Role::kNic}) {
    const std::string line = SourceCsvLine({.role = role, .peer = kHere}, {.unix_s = 7, .role = role});
    EXPECT_EQ(std::count(header.begin(), header.end(), ','), std::count(line.begin(), line.end(), ','));
    EXPECT_EQ(line.rfind(std::string("7,") + RoleName(role) + ",10.0.0.6,", 0), 0u) << line;
  }
}

// A monitor that runs for weeks: what ended in order makes room, and its money stays.
TEST(MonitorTest, TakesNewLivesForEver) {
  Monitor monitor(0);
  int64_t now_s = 1'000;
  const auto take = [&](const Arrival& arrival) { monitor.Take(arrival, now_s * kSecond, now_s * kSecond); };
  const Who server{.role = wire::Role::kServer, .users = 1'000, .began_ns = 1, .connection = 1};
  const Who killed{.first_user = 200, .began_ns = 2, .process_id = 2, .connection = 2};
  take(Tells(server, now_s, 5));
  take(Tells(killed, now_s, 5));
  take(Gone(killed));
  monitor.Rows(now_s * kSecond);
  constexpr uint64_t kLives = Sources::kSourcesMax + 500;
  for (uint64_t i = 1; i <= kLives; ++i) {
    now_s += 1;
    const Who client{.began_ns = 1'000 + 10 * i, .process_id = i, .connection = 10 + i};
    take(Ends(client, now_s, 10, 10 * (i - 1)));  // its users have it all from the clients before
    take(Gone(client));
    if (i % 20 == 0) {
      take(Tells(server, now_s, 5 + 10 * i));
      monitor.Rows(now_s * kSecond);
      monitor.TakeNews();
    }
  }
  take(Ends(server, now_s, 5 + 10 * kLives));
  monitor.Rows(now_s * kSecond, true);
  monitor.Publish();
  const MonitorCounts seen = monitor.Look();
  EXPECT_EQ(seen.sources_refused, 0u);
  EXPECT_LE(seen.sources.size(), Sources::kSourcesMax - Sources::kRoom + 1);
  EXPECT_EQ(seen.forgotten.lives + seen.sources.size(), kLives + 2);
  EXPECT_EQ(seen.sources[1].process_id, 2u) << "who was killed and never came back is not forgotten";
  EXPECT_EQ(seen.sums.got_fen, int64_t{5 + 10 * kLives});
  const Closing closing = monitor.Close();
  EXPECT_EQ(closing.sums.difference_fen(), 0);
  EXPECT_EQ(closing.unseen_fen, 0) << "the users' earlier money is still known";
  EXPECT_FALSE(closing.in_order);
}

}  // namespace
}  // namespace hongbao::monitor
