// Thirty days of seconds through what a server, a client and a monitor keep of them: memory on the second day and on the last.
//
// Every class here is the programs' own; what is left out is the network, and the reading of /proc.

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>

#include "client/status.h"
#include "libhongbao/count/kept_rows.h"
#include "libhongbao/count/series.h"
#include "libhongbao/time/wall_steps.h"
#include "libhongbao/watch/page.h"
#include "libhongbao/watch/recent_rows.h"
#include "server/status.h"
#include "tools/monitor/monitor.h"

namespace hongbao {
namespace {

constexpr int64_t kDayS = 86'400;
constexpr int64_t kDays = 30;

// What malloc has given out and not got back.
size_t Allocated() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Each second of `days`; the table of what `turn` leaves allocated. Growth between the second day and the last, in bytes.
int64_t Grown(const char* program, const std::function<void(int64_t second)>& turn) {
  const size_t before = Allocated();
  int64_t second = 0, day_2 = 0;
  for (const int64_t day : {int64_t{1}, int64_t{2}, int64_t{8}, kDays}) {
    for (; second < day * kDayS; ++second) {
      turn(second);
    }
    const auto bytes = static_cast<int64_t>(Allocated() - before);
    std::printf("%-8s day %2lld: %7.2f MB\n", program, static_cast<long long>(day), static_cast<double>(bytes) / 1e6);
    day_2 = day == 2 ? bytes : day_2;
    if (day == kDays) {
      return bytes - day_2;
    }
  }
  return 0;
}

// A worker, the series of its seconds, and all who keep a copy of them.
template <typename Counter, typename Second, auto Merge, auto Document, auto Row>
class Program {
 public:
  explicit Program(const char* role) : page_(role, role) {}

  void Turn(int64_t second) {
    clock_.Advance(time::kNsPerSecond);
    if (second % kDayS == kDayS / 2) {
      clock_.StepWall(second % (2 * kDayS) < kDayS ? 3'600 * time::kNsPerSecond : -3'600 * time::kNsPerSecond);
    }
    const time::Moment now = wall_.Look(clock_.MonotonicNs());
    history_.Roll(time::UnixSecond(now.steady_ns), cells_);
    cells_.Add(static_cast<Counter>(0), static_cast<uint64_t>(second % 7));  // hardly idle
    series_.Collect();
    for (const auto& row : series_.rows()) {
      Second one{.row = row};
      one.sample.rss_bytes = 100'000'000 + second % 5 * 4'096;
      one.sample.cpu_percent = static_cast<double>(second % 100) / 7;
      kept_.Add(one);
      page_.Publish(Row(one));
      if (second % 60 == 0) {  // a tree of JSON: costs more time than all the rest
        recent_.Add(Document(one));
      }
    }
  }
  std::vector<Second> All() const { return kept_.All(); }
  uint64_t total() const { return cells_.Get(static_cast<Counter>(0)); }

 private:
  time::FakeClock clock_;
  time::WallSteps steps_{clock_};
  time::SteadyWall wall_{steps_};
  count::Cells<Counter> cells_;
  count::History<Counter> history_;
  count::Series<Counter> series_{{&history_}, [this](int64_t second) { return steps_.LabelOf(second); }};
  count::KeptRows<Second, Merge> kept_;
  watch::Page page_;
  watch::RecentRows recent_;
};

TEST(MonthTest, AServerIsAsLargeAfterThirtyDaysAsAfterTwo) {
  using Server = Program<serve::Counter, server::Second, server::MergeSeconds, server::SecondJson,
                         static_cast<watch::SecondRow (*)(const server::Second&)>(server::RowOf)>;
  auto server = std::make_unique<Server>("server");
  EXPECT_LT(Grown("server", [&](int64_t second) { server->Turn(second); }), 5'000'000);
  uint64_t sum = 0;
  int64_t span = 0;
  for (const server::Second& second : server->All()) {
    sum += second.row.delta.value[0];
    span += second.row.span;
  }
  EXPECT_LE(server->total() - sum, 6U) << "sums stay exact; the second under way is not filed";
  EXPECT_EQ(span, kDays * kDayS - 1);
}

TEST(MonthTest, AClientIsAsLargeAfterThirtyDaysAsAfterTwo) {
  using Client = Program<load::Counter, client::Second, client::MergeSeconds, client::SecondJson,
                         static_cast<watch::SecondRow (*)(const client::Second&)>(client::RowOf)>;
  auto client = std::make_unique<Client>("client");
  EXPECT_LT(Grown("client", [&](int64_t second) { client->Turn(second); }), 5'000'000);
  int64_t span = 0;
  for (const client::Second& second : client->All()) {
    span += second.row.span;
  }
  EXPECT_EQ(span, kDays * kDayS - 1);
}

// A server and a client that tell of each second, and one of each that comes anew every day.
TEST(MonthTest, AMonitorIsAsLargeAfterThirtyDaysAsAfterTwo) {
  auto monitor = std::make_unique<monitor::Monitor>(3 * time::kNsPerSecond);
  time::FakeClock clock;
  const auto tell = [&](wire::Role role, uint64_t life, int64_t unix_s, bool end) {
    monitor::Arrival arrival{.connection = 10 * life + static_cast<uint64_t>(role) + 1, .peer = SocketAddress::Ipv4(0x7f00'0001)};
    arrival.record = {.unix_s = unix_s, .role = role};
    arrival.record.Set(wire::Slot::kLife, life + 1, life + 1);
    arrival.record.Set(wire::Slot::kUsers, 0, 100);
    arrival.record.Set(wire::Slot::kEnd, end ? 1 : 0, 0);
    monitor->Take(arrival, clock.WallNs(), clock.MonotonicNs());
    if (end) {
      monitor->Take({.connection = arrival.connection, .peer = arrival.peer, .ended = true}, clock.WallNs(), clock.MonotonicNs());
    }
  };
  const auto turn = [&](int64_t second) {
    clock.Advance(time::kNsPerSecond);
    const int64_t unix_s = time::UnixSecond(clock.WallNs()) - 1;
    const auto life = static_cast<uint64_t>(second / kDayS);
    const bool end = second % kDayS == kDayS - 1;
    tell(wire::Role::kServer, life, unix_s, end);
    tell(wire::Role::kClient, life, unix_s, end);
    monitor->Rows(clock.MonotonicNs());
    monitor->TakeNews();
  };
  EXPECT_LT(Grown("monitor", turn), 5'000'000) << "up to 2,000 lives are known by name";
}

}  // namespace
}  // namespace hongbao
