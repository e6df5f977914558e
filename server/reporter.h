// Reporter: the server's second-by-second story: one row a second on stdout, and the same rows for the report.
//
// Owns the series and the printer. Never touches a worker: it reads their histories.
// Thread tag: thread-compatible (the main thread).
#pragma once

#include <vector>

#include "libhongbao/admin/process_stats.h"
#include "libhongbao/admin/recent_rows.h"
#include "libhongbao/admin/rows.h"
#include "libhongbao/count/series.h"
#include "libhongbao/serve/server.h"
#include "server/status.h"

namespace hongbao::server {

class Reporter {
 public:
  // `recent` gets a copy of each row; it must outlive the reporter, as the server and the clock must.
  Reporter(const serve::Server& server, const time::Clock& clock, bool quiet, admin::RecentRows& recent);

  // Takes up the seconds that all workers have finished, and prints them. Call about once a second.
  void Collect();

  const std::vector<Second>& seconds() const { return seconds_; }

 private:
  void Print(const Second& second);

  const serve::Server& server_;
  const time::Clock& clock_;
  admin::RecentRows& recent_;
  count::Series<serve::Counter> series_;
  admin::RowPrinter rows_;
  std::vector<Second> seconds_;
  admin::ProcessStats process_;
  int64_t sampled_ns_;
  uint64_t issued_ = 0;
};

}  // namespace hongbao::server
