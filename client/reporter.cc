#include "client/reporter.h"

#include <cstdio>

#include "libhongbao/cli/numbers.h"
#include "libhongbao/time/clock.h"

namespace hongbao::client {
namespace {

using load::Counter;

// `wide`: for the millions a second of gateways.
std::vector<watch::RowColumn> Columns(bool wide) {
  const int many = wide ? 10 : 8;
  return {{"second", 8},   {"users", 9},           {"target", many}, {"sent", many}, {"answered", many}, {"missed", 6},
          {"late", wide ? 10 : 6}, {"won", 5, true}, {"empty", wide ? 10 : 7}, {"over", 5}, {"opened", 6}, {"err", 4},
          {"p50", 6, true}, {"p99", 6},            {"p99.9", 6},   {"max ms", 6}, {"cpu%", 5, true}};
}

// Who still waits does not make the answers that came look better: percentile by percentile the worse.
count::LatencyUs WithWaiting(count::HistogramSnapshot answers, const count::HistogramSnapshot& waiting) {
  const count::LatencyUs of_answers = answers.Summary();
  answers += waiting;
  return count::Worse(of_answers, answers.Summary());
}

std::string MillisecondsOf(double us) { return cli::Milliseconds(static_cast<int64_t>(us * 1'000)); }

}  // namespace

Reporter::Reporter(const load::Client& client, bool quiet, bool json, watch::RecentRows& recent, watch::Page& page)
    : client_(client),
      recent_(recent),
      page_(page),
      series_(client.MakeSeries()),
      printer_(stdout, Columns(client.options().gateways > 0), quiet || json),
      json_rows_(json && !quiet) {
  process_before_ = watch::ReadProcessStats();
  network_before_ = watch::ReadNetworkStats();
  process_before_ns_ = time::RealClock().MonotonicNs();
  newest_.row.span = 0;
}

void Reporter::Tick() {
  clock_news_.Say("hongbao-client", client_.wall().Count());
  if (series_.Collect() == 0) {
    return;
  }
  const int64_t now_ns = time::RealClock().MonotonicNs();
  const watch::ProcessStats process = watch::ReadProcessStats();
  const watch::NetworkStats network = watch::ReadNetworkStats();
  const count::HistogramSnapshot latency = client_.Latency();
  const count::HistogramSnapshot waiting = client_.Waiting();
  const count::HistogramSnapshot lag = client_.Lag();
  for (size_t i = 0; i < series_.rows().size(); ++i) {
    Second second = {.row = series_.rows()[i], .rss_bytes = process.rss_bytes};
    second.target_qps = client_.QpsAt(second.row.second);
    if (i + 1 == series_.rows().size()) {  // several seconds at once after a stall: the last one shows for all
      second.network = network.Since(network_before_);
      second.latency = WithWaiting(latency.Since(latency_before_), waiting.Since(waiting_before_));
      second.lag = lag.Since(lag_before_).Summary();
      second.cpu_percent = watch::CpuPercent(process_before_, process, now_ns - process_before_ns_);
    }
    Print(second);
    const nlohmann::json document = SecondJson(second);
    if (json_rows_) {
      json_lines_.Write(document);
    }
    recent_.Add(document);
    page_.Publish(RowOf(second));
    fresh_.push_back(second);
    kept_.Add(second);
    newest_ = second;
  }
  latency_before_ = latency;
  waiting_before_ = waiting;
  lag_before_ = lag;
  process_before_ = process;
  network_before_ = network;
  process_before_ns_ = now_ns;
}

void Reporter::Print(const Second& second) {
  const auto& delta = second.row.delta;
  const auto number = [](uint64_t value) { return cli::WithCommas(static_cast<int64_t>(value)); };
  const bool answers = second.latency.count > 0;
  const uint64_t errors = delta[Counter::kMalformed] + delta[Counter::kUnexpected] + delta[Counter::kStampMismatch] +
                          delta[Counter::kLost] + delta[Counter::kConnectsFailed] + delta[Counter::kSuperseded];
  printer_.Row({cli::ClockTime(second.row.unix_second), number(second.row.total[Counter::kOnline]),
                client_.options().max_rate ? "max" : number(delta[Counter::kScheduled]),
                number(delta[Counter::kSent]), number(delta[Counter::kAnswered]), number(load::Missed(delta)),
                number(delta[Counter::kLate]), number(delta[Counter::kWon]),
                number(delta[Counter::kNothing]), number(delta[Counter::kOverload]), number(delta[Counter::kOpened]),
                number(errors), answers ? MillisecondsOf(second.latency.p50) : "-",
                answers ? MillisecondsOf(second.latency.p99) : "-", answers ? MillisecondsOf(second.latency.p999) : "-",
                answers ? MillisecondsOf(second.latency.max) : "-",
                std::to_string(static_cast<int>(second.cpu_percent + 0.5))});
}

}  // namespace hongbao::client
