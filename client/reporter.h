// Reporter: turns what the workers count into one row a second, and keeps the run's series.
//
// Owns the series and the rows printed so far. Never touches a worker: it reads what they publish.
// Thread tag: thread-compatible (main's thread).
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "client/status.h"
#include "libhongbao/watch/clock_news.h"
#include "libhongbao/cli/json_lines.h"
#include "libhongbao/watch/network_stats.h"
#include "libhongbao/watch/page.h"
#include "libhongbao/watch/process_stats.h"
#include "libhongbao/watch/recent_rows.h"
#include "libhongbao/watch/row_printer.h"
#include "libhongbao/count/kept_rows.h"
#include "libhongbao/load/client.h"

namespace hongbao::client {

class Reporter {
 public:
  // `client`, and `recent` and `page`, which get a copy of each row, must outlive the reporter. `json`: rows as JSON.
  Reporter(const load::Client& client, bool quiet, bool json, watch::RecentRows& recent, watch::Page& page);

  // To be called several times a second: prints a row for each second that all workers have finished.
  void Tick();

  // The seconds that have come since the last call.
  std::vector<Second> TakeFresh() { return std::exchange(fresh_, {}); }
  // Null: there is none yet.
  const Second* newest() const { return newest_.row.span == 0 ? nullptr : &newest_; }
  // The whole run, in the resolution in which it is kept.
  std::vector<Second> seconds() const { return kept_.All(); }

 private:
  void Print(const Second& second);

  const load::Client& client_;
  watch::RecentRows& recent_;
  watch::Page& page_;
  load::Client::Series series_;
  watch::RowPrinter printer_;
  const bool json_rows_;
  cli::JsonLines json_lines_{stdout};
  std::vector<Second> fresh_;
  Second newest_;
  count::KeptRows<Second, MergeSeconds> kept_;
  watch::ClockNews clock_news_;
  count::HistogramSnapshot latency_before_;
  count::HistogramSnapshot waiting_before_;
  count::HistogramSnapshot lag_before_;
  watch::ProcessStats process_before_;
  watch::NetworkStats network_before_;
  int64_t process_before_ns_ = 0;
};

}  // namespace hongbao::client
