#include "client/record.h"

#include <algorithm>

#include "libhongbao/watch/clock_news.h"

namespace hongbao::client {

using load::Counter;
using wire::Slot;

namespace {

uint64_t Ns(double us) { return static_cast<uint64_t>(std::max(us, 0.0) * 1e3 + 0.5); }

void SetLatency(const count::LatencyUs& latency, wire::CounterRecord& record) {
  record.Set(Slot::kLatencyP50, Ns(latency.p50), latency.count);
  record.Set(Slot::kLatencyP99, Ns(latency.p90), Ns(latency.p99));
  record.Set(Slot::kLatencyMax, Ns(latency.p999), Ns(latency.max));
}

}  // namespace

wire::CounterRecord RecordOf(const Second& second, const load::UserRange& users, const time::Skew& skew,
                             const time::StepCount& steps) {
  wire::CounterRecord record{.unix_s = second.row.unix_second, .role = wire::Role::kClient};
  const auto& delta = second.row.delta;
  const auto& total = second.row.total;
  const auto set = [&](auto slot, Counter id) { record.Set(slot, delta[id], total[id]); };
  const auto set_sum = [&](auto slot, Counter a, Counter b) { record.Set(slot, delta[a] + delta[b], total[a] + total[b]); };
  set_sum(1, Counter::kLogins, Counter::kLoginsRefused);  // frames by type
  set_sum(2, Counter::kSent, Counter::kShakesRepeated);
  set(4, Counter::kNotices);
  set_sum(5, Counter::kOpensSent, Counter::kOpensRepeated);
  set(Slot::kRequests, Counter::kSent);
  set(Slot::kResponses, Counter::kAnswered);
  set(Slot::kWon, Counter::kWon);
  set(Slot::kNothing, Counter::kNothing);
  set(Slot::kCap, Counter::kCap);
  set(Slot::kOverload, Counter::kOverload);
  set(Slot::kConnectionsOpened, Counter::kConnects);
  set(Slot::kConnectionsClosed, Counter::kClosed);
  set(Slot::kShakeReceived, Counter::kWon);
  set(Slot::kShakeReceivedFen, Counter::kWonFen);
  set(Slot::kSharesReceived, Counter::kOpened);
  set(Slot::kSharesReceivedFen, Counter::kOpenedFen);
  set(Slot::kTarget, Counter::kScheduled);
  record.Set(Slot::kMissed, load::Missed(delta), load::Missed(total));
  set(Slot::kLate, Counter::kLate);
  set(Slot::kLost, Counter::kLost);
  set(Slot::kSuperseded, Counter::kSuperseded);
  record.Set(Slot::kOnline, total[Counter::kConnects] - total[Counter::kClosed], total[Counter::kOnline]);
  SetLatency(second.latency, record);
  record.Set(Slot::kUsers, users.first, users.count());
  record.Set(Slot::kFleet, users.total, second.target_qps);
  record.Set(Slot::kClock, static_cast<uint64_t>(-skew.skew_ns), skew.samples);
  record.Set(Slot::kBase, total[Counter::kStatementBasesFen], total[Counter::kStatementBases]);
  record.Set(Slot::kOutstanding, total[Counter::kOutstanding], total[Counter::kOpensOutstanding]);
  watch::SetClockSteps(record, steps);
  return record;
}

}  // namespace hongbao::client
