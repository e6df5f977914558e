// Reporter: makes finished seconds of what the workers count, shows them to whoever looks on, and keeps the run's series.
//
// Owns the series. Never touches a worker: it reads their histories. Thread tag: thread-compatible (the main thread).
#pragma once

#include <vector>

#include "libhongbao/count/kept_rows.h"
#include "libhongbao/count/series.h"
#include "libhongbao/serve/server.h"
#include "libhongbao/watch/clock_news.h"
#include "libhongbao/watch/sampler.h"
#include "libhongbao/watch/watch.h"
#include "server/second.h"

namespace hongbao::server {

// Of the printed rows.
std::vector<watch::RowColumn> RowColumns();

class Reporter {
 public:
  // All three must outlive the reporter.
  Reporter(const serve::Server& server, const time::Clock& clock, watch::Watch& watch);

  // Takes up the seconds that all workers have finished, and shows them. Call about once a second.
  void Collect();

  // The whole run, in the resolution in which it is kept.
  std::vector<Second> seconds() const { return kept_.All(); }

 private:
  void CountIssued(Second& second, uint64_t now);
  void Show(const Second& second, const serve::ServerCounts& counts, uint64_t envelopes_left);
  void SayClock();
  void SayGateways();

  const serve::Server& server_;
  const time::Clock& clock_;
  watch::Watch& watch_;
  count::Series<serve::Counter> series_;
  count::KeptRows<Second, MergeSeconds> kept_;
  watch::ClockNews clock_news_;
  bool clock_confirmed_ = true;
  std::vector<uint32_t> gateways_;  // by worker, as said last
  watch::Sampler sampler_;
  serve::ServerCounts counts_;  // as the record before had them
  uint64_t issued_ = 0;
};

}  // namespace hongbao::server
