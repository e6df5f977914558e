#include "client/second.h"

#include <string>

#include "libhongbao/watch/clock_news.h"
#include "libhongbao/watch/figures.h"

namespace hongbao::client {
namespace {

using load::Counter;
using watch::Amount;
using watch::Column;
using watch::Measured;
using watch::Sum;
using wire::Slot;

// The record has latencies in ns.
template <count::LatencyUs Second::*kWhich, double count::LatencyUs::*kPercentile>
Amount Latency(const Second& second) {
  const count::LatencyUs& latency = second.*kWhich;
  return latency.count > 0 ? Measured(latency.*kPercentile * 1e3) : watch::kUnknownAmount;
}

constexpr watch::Figure<Second> kFigures[] = {
    {Column::kUsers,
     [](const Second& second) {
       return Amount{second.row.total[Counter::kOnline], second.row.total[Counter::kOnline]};
     }},
    {Column::kTarget, Sum<Counter::kScheduled>},
    {Column::kSent, Sum<Counter::kSent>},
    {Column::kAnswered, Sum<Counter::kAnswered>},
    {Column::kMissed, Sum<Counter::kMissedLate, Counter::kMissedOffline, Counter::kMissedBacklog>},
    {Column::kLate, Sum<Counter::kLate>},
    {Column::kLost, Sum<Counter::kLost>},
    {Column::kWon, Sum<Counter::kWon>},
    {Column::kNothing, Sum<Counter::kNothing>},
    {Column::kCap, Sum<Counter::kCap>},
    {Column::kRefused, Sum<Counter::kRefused>},
    {Column::kP50Us, Latency<&Second::latency, &count::LatencyUs::p50>},
    {Column::kP90Us, Latency<&Second::latency, &count::LatencyUs::p90>},
    {Column::kP99Us, Latency<&Second::latency, &count::LatencyUs::p99>},
    {Column::kP999Us, Latency<&Second::latency, &count::LatencyUs::p999>},
    {Column::kMaxUs, Latency<&Second::latency, &count::LatencyUs::max>},
    {Column::kOpened, Sum<Counter::kOpened>},
    {Column::kGotFen, Sum<Counter::kWonFen, Counter::kOpenedFen>},
    {Column::kGotTotalFen,
     [](const Second& second) { return Amount{.of_second = Sum<Counter::kWonFen, Counter::kOpenedFen>(second).in_all}; }},
    {Column::kClientCpuPct, [](const Second& second) { return Measured(second.sample.cpu_percent * 1e4); }},
    {Column::kClientRssBytes, [](const Second& second) { return Measured(static_cast<double>(second.sample.rss_bytes)); }},
    {Column::kSuperseded, Sum<Counter::kSuperseded>},
    {Column::kLagUs, Latency<&Second::lag, &count::LatencyUs::p99>},
};

}  // namespace

void MergeSeconds(Second& into, const Second& next) {
  watch::MergeSamples(into.sample, into.row.span, next.sample, next.row.span);
  count::MergeRows(into.row, next.row);
  count::MergeWorst(into.latency, next.latency);
  count::MergeWorst(into.lag, next.lag);
  into.target_qps = next.target_qps;
}

watch::SecondRow RowOf(const Second& second) {
  watch::SecondRow row = watch::RowOf(second.row.unix_second, second, kFigures);
  second.sample.network.AddTo(&row);
  return row;
}

nlohmann::json SecondJson(const Second& second) {
  nlohmann::json document = watch::RowJson(watch::RowOf(second.row.unix_second, second, kFigures));
  for (const auto& label : load::kCounterLabels) {
    document[std::string(label.name)] = load::IsGauge(label.id) ? second.row.total[label.id] : second.row.delta[label.id];
  }
  document["span_s"] = second.row.span;
  document["target_qps"] = second.target_qps;  // the whole fleet's; "target" is this client's part
  return document;
}

wire::CounterRecord RecordOf(const Second& second, const load::UserRange& users, const time::Skew& skew,
                             const time::StepCount& steps) {
  wire::CounterRecord record{.unix_s = second.row.unix_second, .role = wire::Role::kClient};
  const auto& delta = second.row.delta;
  const auto& total = second.row.total;
  const auto set = [&](auto slot, Counter id) { record.Set(slot, delta[id], total[id]); };
  const auto set_sum = [&](auto slot, Counter a, Counter b) { record.Set(slot, delta[a] + delta[b], total[a] + total[b]); };
  watch::SetFigures(record, second, kFigures);
  set_sum(1, Counter::kLogins, Counter::kLoginsRefused);  // frames by type
  set_sum(2, Counter::kSent, Counter::kShakesRepeated);
  set(4, Counter::kNotices);
  set_sum(5, Counter::kOpensSent, Counter::kOpensRepeated);
  set(Slot::kConnectionsOpened, Counter::kConnects);
  set(Slot::kConnectionsClosed, Counter::kClosed);
  set(Slot::kShakeReceived, Counter::kWon);
  set(Slot::kShakeReceivedFen, Counter::kWonFen);
  set(Slot::kSharesReceivedFen, Counter::kOpenedFen);
  record.count[static_cast<size_t>(Slot::kOnline)] = total[Counter::kConnects] - total[Counter::kClosed];
  record.total[static_cast<size_t>(Slot::kLatencyP50)] = second.latency.count;
  record.Set(Slot::kUsers, users.first, users.count());
  record.Set(Slot::kFleet, users.total, second.target_qps);
  record.Set(Slot::kClock, static_cast<uint64_t>(-skew.skew_ns), skew.samples);
  record.Set(Slot::kBase, total[Counter::kStatementBasesFen], total[Counter::kStatementBases]);
  record.Set(Slot::kOutstanding, total[Counter::kOutstanding], total[Counter::kOpensOutstanding]);
  watch::SetClockSteps(record, steps);
  return record;
}

}  // namespace hongbao::client
