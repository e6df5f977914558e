#include "server/reporter.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "absl/strings/str_join.h"
#include "libhongbao/cli/numbers.h"
#include "nlohmann/json.hpp"

namespace hongbao::server {

using serve::Counter;

std::vector<watch::RowColumn> RowColumns() {
  return {{"second", 8},      {"conns", 9, true}, {"users", 9},   {"received", 8, true}, {"won", 6},
          {"nothing", 8},     {"cap", 5},         {"refused", 7}, {"issued", 6, true},   {"left", 6},
          {"gifts", 5, true}, {"notices", 7},     {"opened", 6},  {"cpu%", 5, true},     {"rss MB", 6}};
}

Reporter::Reporter(const serve::Server& server, const time::Clock& clock, watch::Watch& watch)
    : server_(server),
      clock_(clock),
      watch_(watch),
      series_(server.histories(), [&server](int64_t second) { return server.wall().LabelOf(second); }),
      gateways_(server.Look().gateways),
      sampler_(clock) {}

void Reporter::Collect() {
  SayClock();
  SayGateways();
  if (series_.Collect() == 0) {
    return;
  }
  const watch::Sample sample = sampler_.Take();
  const serve::ServerCounts counts = server_.Look();
  for (size_t i = 0; i < series_.rows().size(); ++i) {
    Second second{.row = series_.rows()[i], .sample = sample};
    const bool newest = i + 1 == series_.rows().size();
    CountIssued(second, newest ? counts.issued.count : issued_);
    if (!newest) {  // several at once: the network's figures are the last one's
      second.sample.network = {};
    }
    Show(second, newest ? counts : counts_, counts.envelopes_left);
    kept_.Add(second);
  }
  counts_ = counts;
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
               absl::StrJoin(gateways_, " ").c_str(), static_cast<unsigned long long>(counts.serve[Counter::kGatewaysMoved]));
}

// By the minter's own seconds; where it has not finished this one, by what there is now, and the next second has the less.
void Reporter::CountIssued(Second& second, uint64_t now) {
  uint64_t by_then = 0;
  second.issued_total = std::max(issued_, server_.IssuedBy(second.row.second, by_then) ? by_then : now);
  second.issued = second.issued_total - issued_;
  issued_ = second.issued_total;
}

void Reporter::Show(const Second& second, const serve::ServerCounts& counts, uint64_t envelopes_left) {
  using watch::Column;
  const auto& delta = second.row.delta;
  const watch::SecondRow row = RowOf(second);
  const wire::CounterRecord record = RecordOf(second, counts_, counts, server_.options().users_max);
  const auto cell = [&row](Column column) { return watch::CellText(row, column); };
  const auto number = [](uint64_t value) { return cli::WithCommas(static_cast<int64_t>(value)); };
  watch_.Take({.row = row,
               .document = SecondJson(second),
               .cells = {cli::ClockTime(second.row.unix_second), cell(Column::kConnections), cell(Column::kUsers),
                         cell(Column::kReceived), cell(Column::kWon), cell(Column::kNothing), cell(Column::kCap),
                         cell(Column::kRefused), cell(Column::kIssued), number(envelopes_left),
                         number(delta[Counter::kGiftsSent]), number(delta[Counter::kNotices]), cell(Column::kOpened),
                         cell(Column::kServerCpuPct), cell(Column::kServerRssBytes)},
               .record = &record});
}

}  // namespace hongbao::server
