#include "client/reporter.h"

#include "libhongbao/cli/numbers.h"

namespace hongbao::client {
namespace {

using load::Counter;

// Who still waits does not make the answers that came look better: percentile by percentile the worse.
count::LatencyUs WithWaiting(count::HistogramSnapshot answers, const count::HistogramSnapshot& waiting) {
  const count::LatencyUs of_answers = answers.Summary();
  answers += waiting;
  return count::Worse(of_answers, answers.Summary());
}

}  // namespace

std::vector<watch::RowColumn> RowColumns(bool wide) {
  const int many = wide ? 10 : 8;
  return {{"second", 8},           {"users", 9},       {"target", many},
          {"sent", many},          {"answered", many}, {"missed", 6},
          {"late", wide ? 10 : 6}, {"won", 5, true},   {"nothing", wide ? 10 : 7},
          {"refused", 7},          {"opened", 6},      {"errors", 6},
          {"p50", 6, true},        {"p99", 6},         {"p99.9", 6},
          {"max ms", 6},           {"cpu%", 5, true}};
}

Reporter::Reporter(const load::Client& client, const time::Clock& clock, watch::Watch& watch)
    : client_(client), watch_(watch), series_(client.MakeSeries()), sampler_(clock) {}

void Reporter::Collect() {
  clock_news_.Say("hongbao-client", client_.wall().Count());
  if (series_.Collect() == 0) {
    return;
  }
  const watch::Sample sample = sampler_.Take();
  const count::HistogramSnapshot latency = client_.Latency();
  const count::HistogramSnapshot waiting = client_.Waiting();
  const count::HistogramSnapshot lag = client_.Lag();
  for (size_t i = 0; i < series_.rows().size(); ++i) {
    Second second = {.row = series_.rows()[i], .sample = {.rss_bytes = sample.rss_bytes}};
    second.target_qps = client_.QpsAt(second.row.second);
    if (i + 1 == series_.rows().size()) {  // several seconds at once after a stall: the last one shows for all
      second.sample = sample;
      second.latency = WithWaiting(latency.Since(latency_), waiting.Since(waiting_));
      second.lag = lag.Since(lag_).Summary();
    }
    Show(second);
    kept_.Add(second);
  }
  latency_ = latency;
  waiting_ = waiting;
  lag_ = lag;
}

void Reporter::Show(const Second& second) {
  using watch::Column;
  const auto& delta = second.row.delta;
  const watch::SecondRow row = RowOf(second);
  const wire::CounterRecord record = RecordOf(second, client_.options().users, client_.Skew(), client_.wall().Count());
  const auto cell = [&row](Column column) { return watch::CellText(row, column); };
  const uint64_t errors = delta[Counter::kMalformed] + delta[Counter::kUnexpected] + delta[Counter::kStampMismatch] +
                          delta[Counter::kLost] + delta[Counter::kConnectsFailed] + delta[Counter::kSuperseded];
  watch_.Take(
      {.row = row,
       .document = SecondJson(second),
       .cells = {cli::ClockTime(second.row.unix_second), cell(Column::kUsers),
                 client_.options().max_rate ? "max" : cell(Column::kTarget), cell(Column::kSent), cell(Column::kAnswered),
                 cell(Column::kMissed), cell(Column::kLate), cell(Column::kWon), cell(Column::kNothing), cell(Column::kRefused),
                 cell(Column::kOpened), cli::WithCommas(static_cast<int64_t>(errors)), cell(Column::kP50Us), cell(Column::kP99Us),
                 cell(Column::kP999Us), cell(Column::kMaxUs), cell(Column::kClientCpuPct)},
       .record = &record});
}

}  // namespace hongbao::client
