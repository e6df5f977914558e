#include "client/second.h"

#include <gtest/gtest.h>

namespace hongbao::client {
namespace {

using load::Counter;
using wire::Slot;

TEST(ClientSecond, TellsWhatTheClientKnows) {
  Second second{.target_qps = 60'000};
  second.row.unix_second = 1'486'824'165;
  for (uint32_t i = 0; i < count::kCellsOf<Counter>; ++i) {  // every counter a number of its own
    second.row.delta[static_cast<Counter>(i)] = 1 + i;
    second.row.total[static_cast<Counter>(i)] = 1'000 + i;
  }
  second.row.total[Counter::kConnects] = 50, second.row.total[Counter::kClosed] = 8;
  second.latency = {.count = 59'000, .p50 = 90.5, .p90 = 150, .p99 = 410, .p999 = 920, .max = 1'300};
  second.lag = {.count = 59'000, .p99 = 210};
  const wire::CounterRecord record =
      RecordOf(second, {.first = 500, .last = 999, .total = 2'000}, {.samples = 8, .skew_ns = 210'000});
  EXPECT_EQ(record.unix_s, 1'486'824'165);
  EXPECT_EQ(record.role, wire::Role::kClient);
  const auto expect = [&](Slot slot, uint64_t of_second, uint64_t in_all) {
    EXPECT_EQ(record.Count(slot), of_second) << static_cast<int>(slot);
    EXPECT_EQ(record.Total(slot), in_all) << static_cast<int>(slot);
  };
  const auto& delta = second.row.delta;
  const auto& total = second.row.total;
  const auto is = [&](Slot slot, Counter id) { expect(slot, delta[id], total[id]); };
  is(Slot::kTarget, Counter::kScheduled);
  is(Slot::kRequests, Counter::kSent);
  is(Slot::kResponses, Counter::kAnswered);
  is(Slot::kLate, Counter::kLate);
  is(Slot::kLost, Counter::kLost);
  is(Slot::kSuperseded, Counter::kSuperseded);
  is(Slot::kWon, Counter::kWon);
  is(Slot::kNothing, Counter::kNothing);
  is(Slot::kCap, Counter::kCap);
  is(Slot::kOverload, Counter::kRefused);
  is(Slot::kShakeReceived, Counter::kWon);
  is(Slot::kShakeReceivedFen, Counter::kWonFen);
  is(Slot::kSharesReceived, Counter::kOpened);
  is(Slot::kSharesReceivedFen, Counter::kOpenedFen);
  expect(Slot::kMissed, load::Missed(delta), load::Missed(total));
  expect(Slot::kOnline, 42, total[Counter::kOnline]);
  expect(Slot::kLatencyP50, 90'500, 59'000);
  expect(Slot::kLatencyP99, 150'000, 410'000);
  expect(Slot::kLatencyMax, 920'000, 1'300'000);
  expect(Slot{34}, 210'000, 0);  // how late requests left
  expect(Slot::kUsers, 500, 500);
  expect(Slot::kFleet, 2'000, 60'000);
  expect(Slot::kClock, static_cast<uint64_t>(int64_t{-210'000}), 8);  // the server's is ahead, so this one is behind
  expect(Slot::kBase, total[Counter::kStatementBasesFen], total[Counter::kStatementBases]);
  expect(Slot::kOutstanding, total[Counter::kOutstanding], total[Counter::kOpensOutstanding]);
  expect(Slot::kShakeIssued, 0, 0);
}

}  // namespace
}  // namespace hongbao::client
