#include "server/reporter.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "libhongbao/cli/numbers.h"
#include "nlohmann/json.hpp"

namespace hongbao::server {

using serve::Counter;

Reporter::Reporter(const serve::Server& server, const time::Clock& clock, bool quiet, bool json, watch::RecentRows& recent,
                   watch::Page& page)
    : server_(server),
      clock_(clock),
      recent_(recent),
      page_(page),
      series_(server.histories(), [&server](int64_t second) { return server.wall().LabelOf(second); }),
      rows_(stdout,
            {{"time", 8},
             {"conns", 9, true},
             {"online", 9},
             {"req/s", 8, true},
             {"won", 6},
             {"nothing", 8},
             {"cap", 5},
             {"over", 6},
             {"issued", 6, true},
             {"left", 6},
             {"gifts", 5, true},
             {"notice", 6},
             {"opened", 6},
             {"cpu%", 5, true},
             {"rss MB", 6}},
            quiet || json),
      json_rows_(json && !quiet),
      gateways_(server.Look().gateways),
      process_(watch::ReadProcessStats()),
      network_(watch::ReadNetworkStats()),
      sampled_ns_(clock.MonotonicNs()) {
  newest_.row.span = 0;
}

void Reporter::Collect() {
  SayClock();
  SayGateways();
  if (series_.Collect() == 0) {
    return;
  }
  const watch::ProcessStats process = watch::ReadProcessStats();
  const watch::NetworkStats network = watch::ReadNetworkStats();
  const int64_t now_ns = clock_.MonotonicNs();
  const double cpu_percent = watch::CpuPercent(process_, process, now_ns - sampled_ns_);
  const serve::ServerCounts counts = server_.Look();
  for (size_t i = 0; i < series_.rows().size(); ++i) {
    Second second{.row = series_.rows()[i], .rss_bytes = process.rss_bytes, .cpu_percent = cpu_percent};
    second.connections = static_cast<uint32_t>(second.row.total[Counter::kConnectionsOpened] -
                                               second.row.total[Counter::kConnectionsClosed]);
    const bool newest = i + 1 == series_.rows().size();
    CountIssued(second, newest ? counts.issued.count : issued_);
    if (newest) {  // several at once: what was sampled belongs to the last
      second.network = network.Since(network_);
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
  process_ = process;
  network_ = network;
  sampled_ns_ = now_ns;
}

void Reporter::SayClock() {
  const serve::ServerCounts counts = server_.Look();
  clock_news_.Say("hongbao-server", counts.clock_steps);
  if (counts.clock_confirmed != clock_confirmed_) {
    clock_confirmed_ = counts.clock_confirmed;
    std::fprintf(stderr, "hongbao-server: %s\n",
                 clock_confirmed_ ? "the wall clock is confirmed: gifts expire by it"
                                  : "nobody has confirmed the wall clock: gifts of earlier starts do not expire until the kernel "
                                    "says that it is kept, or it has stood for --clock-settle");
  }
}

// Where they are decides which processors work, so it is said when it changes; at most once a second.
void Reporter::SayGateways() {
  const serve::ServerCounts counts = server_.Look();
  if (counts.gateways == gateways_ || counts.gateways.size() == 1) {
    return;
  }
  gateways_ = counts.gateways;
  std::fprintf(stderr, "hongbao-server: gateways by worker: %s (%llu moved there by another)\n",
               absl::StrJoin(gateways_, " ").c_str(),
               static_cast<unsigned long long>(counts.serve[Counter::kGatewaysMoved]));
}

// By the minter's own seconds; where it has not finished this one, by what there is now, and the next second has the less.
void Reporter::CountIssued(Second& second, uint64_t now) {
  uint64_t by_then = 0;
  second.issued_total = std::max(issued_, server_.IssuedBy(second.row.second, by_then) ? by_then : now);
  second.issued = second.issued_total - issued_;
  issued_ = second.issued_total;
}

void Reporter::Print(const Second& second) {
  const auto& delta = second.row.delta;
  const auto& total = second.row.total;
  const auto number = [](uint64_t value) { return std::to_string(value); };
  rows_.Row({cli::ClockTime(second.row.unix_second), cli::WithCommas(second.connections),
             cli::WithCommas(static_cast<int64_t>(total[Counter::kUsersCame] - total[Counter::kUsersLeft])),
             number(delta[Counter::kReceived]), number(delta[Counter::kWon]), number(delta[Counter::kNothing]),
             number(delta[Counter::kCap]), number(delta[Counter::kRefused]), number(second.issued),
             number(server_.Look().envelopes_left), number(delta[Counter::kGiftsSent]),
             number(delta[Counter::kNotices]), number(delta[Counter::kOpened]),
             absl::StrFormat("%.0f", second.cpu_percent),
             absl::StrFormat("%.0f", static_cast<double>(second.rss_bytes) / 1e6)});
}

}  // namespace hongbao::server
