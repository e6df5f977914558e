#include "server/second.h"

#include <gtest/gtest.h>

namespace hongbao::server {
namespace {

using serve::Counter;
using wire::Slot;

TEST(ServerSecond, ARowSaysWhatASecondCounted) {
  using watch::Column;
  Second second{.issued = 40, .sample = {.cpu_percent = 99.5, .rss_bytes = 5'000'000, .network = {.tx_packets = 9}}};
  second.row.unix_second = 1'486'824'165;
  auto& delta = second.row.delta;
  delta[Counter::kReceived] = 3'000;
  delta[Counter::kReplied] = 2'900;
  delta[Counter::kRefused] = 100;
  delta[Counter::kWonFen] = 100;
  delta[Counter::kOpenedFen] = 23;
  second.row.total[Counter::kUsersCame] = 15;
  second.row.total[Counter::kUsersLeft] = 5;
  second.row.total[Counter::kConnectionsOpened] = 13;
  second.row.total[Counter::kConnectionsClosed] = 1;
  second.row.total[Counter::kWonFen] = 1'000;
  second.row.total[Counter::kOpenedFen] = 230;
  const watch::SecondRow row = RowOf(second);
  const std::pair<Column, int64_t> expected[] = {{Column::kUnixS, 1'486'824'165},
                                                 {Column::kUsers, 10},
                                                 {Column::kConnections, 12},
                                                 {Column::kReceived, 3'000},
                                                 {Column::kAnswered, 3'000},
                                                 {Column::kRefused, 100},
                                                 {Column::kIssued, 40},
                                                 {Column::kGivenFen, 123},
                                                 {Column::kGivenTotalFen, 1'230},
                                                 {Column::kServerCpuPct, 100},
                                                 {Column::kServerRssBytes, 5'000'000},
                                                 {Column::kTxPackets, 9}};
  for (const auto& [column, value] : expected) {
    EXPECT_EQ(row[column], value) << static_cast<int>(column);
  }
  for (const Column unknown : {Column::kSent, Column::kTarget, Column::kP99Us, Column::kGotFen, Column::kDifferenceFen,
                               Column::kClientCpuPct, Column::kRxPackets, Column::kHosts}) {
    EXPECT_FALSE(row.Knows(unknown)) << static_cast<int>(unknown);
  }
}

TEST(ServerSecond, TellsWhatTheServerKnows) {
  Second second;
  second.row.unix_second = 1'486'824'165;
  for (uint32_t i = 0; i < count::kCellsOf<Counter>; ++i) {  // every counter a number of its own
    second.row.delta[static_cast<Counter>(i)] = 1 + i;
    second.row.total[static_cast<Counter>(i)] = 1'000 + i;
  }
  auto& total = second.row.total;
  total[Counter::kConnectionsOpened] = 50, total[Counter::kConnectionsClosed] = 8;
  total[Counter::kUsersCame] = 70, total[Counter::kUsersLeft] = 9;
  second.issued = 2, second.issued_total = 12;
  serve::ServerCounts before, now;
  before.issued = {.count = 10, .sum = envelope::Fen(400)};
  now.issued = {.count = 12, .sum = envelope::Fen(700)};
  now.envelopes_left = 3;
  now.granted_before_fen = 12'345;
  now.serve[Counter::kWonFen] = 450;
  const wire::CounterRecord record = RecordOf(second, before, now, 10'000);
  EXPECT_EQ(record.unix_s, 1'486'824'165);
  EXPECT_EQ(record.role, wire::Role::kServer);
  const auto expect = [&](Slot slot, uint64_t of_second, uint64_t in_all) {
    EXPECT_EQ(record.Count(slot), of_second) << static_cast<int>(slot);
    EXPECT_EQ(record.Total(slot), in_all) << static_cast<int>(slot);
  };
  const auto is = [&](Slot slot, Counter id) { expect(slot, second.row.delta[id], total[id]); };
  is(Slot::kRequests, Counter::kReceived);
  is(Slot::kWon, Counter::kWon);
  is(Slot::kNothing, Counter::kNothing);
  is(Slot::kCap, Counter::kCap);
  is(Slot::kOverload, Counter::kRefused);
  is(Slot::kShakeReceived, Counter::kWon);
  is(Slot::kShakeReceivedFen, Counter::kWonFen);
  is(Slot::kSharesReceived, Counter::kOpened);
  is(Slot::kSharesReceivedFen, Counter::kOpenedFen);
  is(Slot::kGiftsIssued, Counter::kGiftsSent);
  is(Slot::kGiftsIssuedFen, Counter::kGiftsSentFen);
  is(Slot::kConnectionsOpened, Counter::kConnectionsOpened);
  is(Slot{2}, Counter::kFramesShake);
  is(Slot{4}, Counter::kNotices);
  is(Slot{9}, Counter::kFramesStatement);
  const auto& delta = second.row.delta;
  expect(Slot::kResponses, delta[Counter::kReplied] + delta[Counter::kRefused],
         total[Counter::kReplied] + total[Counter::kRefused]);
  expect(Slot::kGrantsSent, delta[Counter::kWon] + delta[Counter::kOpened], total[Counter::kWon] + total[Counter::kOpened]);
  expect(Slot::kShakeIssued, 2, 12);
  expect(Slot::kShakeIssuedFen, 300, 700);
  expect(Slot::kOnline, 42, 61);
  expect(Slot::kUsers, 0, 10'000);
  expect(Slot::kLeft, 3, 250);
  expect(Slot::kBase, 12'345, 0);
  expect(Slot::kTarget, 0, 0);
}

}  // namespace
}  // namespace hongbao::server
