// Reporter: the server's second-by-second story: one row a second on stdout, and the same rows for the report.
//
// Owns the series and the printer. Never touches a worker: it reads their histories.
// Thread tag: thread-compatible (the main thread).
#pragma once

#include <cstdio>
#include <utility>
#include <vector>

#include "libhongbao/watch/clock_news.h"
#include "libhongbao/cli/json_lines.h"
#include "libhongbao/watch/network_stats.h"
#include "libhongbao/watch/page.h"
#include "libhongbao/watch/process_stats.h"
#include "libhongbao/watch/recent_rows.h"
#include "libhongbao/watch/row_printer.h"
#include "libhongbao/count/kept_rows.h"
#include "libhongbao/count/series.h"
#include "libhongbao/serve/server.h"
#include "server/status.h"

namespace hongbao::server {

class Reporter {
 public:
  // `recent` and `page` get a copy of each row; they must outlive the reporter, as the server and the clock must. `json`: rows
  // as JSON.
  Reporter(const serve::Server& server, const time::Clock& clock, bool quiet, bool json, watch::RecentRows& recent,
           watch::Page& page);

  // Takes up the seconds that all workers have finished, and prints them. Call about once a second.
  void Collect();

  // The seconds that have come since the last call.
  std::vector<Second> TakeFresh() { return std::exchange(fresh_, {}); }
  // Null: there is none yet.
  const Second* newest() const { return newest_.row.span == 0 ? nullptr : &newest_; }
  // The whole run, in the resolution in which it is kept.
  std::vector<Second> seconds() const { return kept_.All(); }

 private:
  void CountIssued(Second& second, uint64_t now);
  void Print(const Second& second);
  void SayClock();
  void SayGateways();

  const serve::Server& server_;
  const time::Clock& clock_;
  watch::RecentRows& recent_;
  watch::Page& page_;
  count::Series<serve::Counter> series_;
  watch::RowPrinter rows_;
  const bool json_rows_;
  cli::JsonLines json_lines_{stdout};
  std::vector<Second> fresh_;
  Second newest_;
  count::KeptRows<Second, MergeSeconds> kept_;
  watch::ClockNews clock_news_;
  bool clock_confirmed_ = true;
  std::vector<uint32_t> gateways_;  // by worker, as said last
  watch::ProcessStats process_;
  watch::NetworkStats network_;
  int64_t sampled_ns_;
  uint64_t issued_ = 0;
};

}  // namespace hongbao::server
