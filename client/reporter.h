// Reporter: makes finished seconds of what the workers count, shows them to whoever looks on, and keeps the run's series.
//
// Owns the series. Never touches a worker: it reads what they publish. Thread tag: thread-compatible (main's thread).
#pragma once

#include <cstdint>
#include <vector>

#include "client/second.h"
#include "libhongbao/count/kept_rows.h"
#include "libhongbao/load/client.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/watch/clock_news.h"
#include "libhongbao/watch/sampler.h"
#include "libhongbao/watch/watch.h"

namespace hongbao::client {

// Of the printed rows; `wide`: for the millions a second of gateways.
std::vector<watch::RowColumn> RowColumns(bool wide);

class Reporter {
 public:
  // All three must outlive the reporter.
  Reporter(const load::Client& client, const time::Clock& clock, watch::Watch& watch);

  // Takes up the seconds that all workers have finished, and shows them. Call several times a second.
  void Collect();

  // The whole run, in the resolution in which it is kept.
  std::vector<Second> seconds() const { return kept_.All(); }

 private:
  void Show(const Second& second);

  const load::Client& client_;
  watch::Watch& watch_;
  load::Client::Series series_;
  count::KeptRows<Second, MergeSeconds> kept_;
  watch::ClockNews clock_news_;
  count::HistogramSnapshot latency_, waiting_, lag_;  // as the second before had them, as what follows
  watch::Sampler sampler_;
};

}  // namespace hongbao::client
