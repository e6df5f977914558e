// MetricsPage: GET /metrics, what a process has counted in the words of Prometheus: its text format, and OpenMetrics for who
// asks for that.
//
// Owns the formats, the buckets, and the metrics that every process has: what was built, processor time, memory, files. What
// else is told of comes from Collectables of prometheus-cpp's core, which read the workers' own counters when somebody asks:
// nothing is counted twice and no worker waits, locks or allocates for it. Counters only grow and are there, as 0, from the
// start. Never a label whose values a peer can choose. Thread tag: Add and AddTo before the AdminServer starts; Answer
// thread-safe when the Collectables are; the functions are pure.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "libhongbao/count/cells.h"
#include "libhongbao/count/histogram.h"
#include "libhongbao/http/admin_server.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace hongbao::watch {

using Families = std::vector<prometheus::MetricFamily>;

// ---- making families ----

// One value of a family, and the labels that tell it from the others.
struct Labelled {
  std::vector<prometheus::ClientMetric::Label> labels{};
  double value = 0;
};
// Whole numbers up to 9e15, as all of ours are, are exact in a double.
inline double Whole(uint64_t value) { return static_cast<double>(value); }
inline Labelled With(std::string label, std::string value, uint64_t number) {
  return {{{std::move(label), std::move(value)}}, Whole(number)};
}

// Names end in _total; all samples are there from the start.
prometheus::MetricFamily CounterOf(std::string name, std::string help, std::vector<Labelled> samples);
inline prometheus::MetricFamily CounterOf(std::string name, std::string help, uint64_t value) {
  return CounterOf(std::move(name), std::move(help), {Labelled{.value = Whole(value)}});
}
prometheus::MetricFamily GaugeOf(std::string name, std::string help, std::vector<Labelled> samples);
inline prometheus::MetricFamily GaugeOf(std::string name, std::string help, double value) {
  return GaugeOf(std::move(name), std::move(help), {Labelled{.value = value}});
}

// The upper bounds of all histograms' buckets, in ns: 100 us to 10 s in steps of 1, 2, 5.
std::vector<int64_t> BucketBoundsNs();
// In seconds. A value in one of `values`' own buckets (0.8 % wide) that a bound goes through counts as above the bound:
// nothing looks faster than it was.
prometheus::MetricFamily HistogramOf(std::string name, std::string help, const count::HistogramSnapshot& values);

// hongbao_connections_closed_total. `by_cause`: how many closes each of net/'s reasons (its names) had; "none" is left out.
// The label `reason` says whose doing it was: peer, idle, superseded, error or shutdown.
prometheus::MetricFamily ClosedConnectionsOf(const std::vector<std::pair<std::string, uint64_t>>& by_cause);

// hongbao_clock_steps_total.
prometheus::MetricFamily ClockStepsOf(uint64_t steps);

// ---- telling them ----

inline constexpr char kTextFormat[] = "text/plain; version=0.0.4; charset=utf-8";
inline constexpr char kOpenMetricsFormat[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";

// Whether an Accept header wants OpenMetrics 1.0.0 rather than the text format.
bool WantsOpenMetrics(const std::string& accept);
// The whole page, in OpenMetrics: no _total in a counter's TYPE and HELP, UNIT where the name ends in one, "# EOF".
std::string OpenMetricsText(const Families& families);

// A Collectable made of a function.
std::shared_ptr<const prometheus::Collectable> Collects(std::function<Families()> collect);

class MetricsPage {
 public:
  // `role`: "server", "client", "monitor": a label of hongbao_build_info.
  explicit MetricsPage(std::string role);

  // Asked at every scrape, on the AdminServer's threads, in the order they were added.
  void Add(std::shared_ptr<const prometheus::Collectable> source) { sources_.push_back(std::move(source)); }
  // The page must outlive the server.
  void AddTo(http::AdminServer& server);

  // All families, those that every process has first.
  Families Collect() const;
  http::Response Answer(const http::Request& request) const;

 private:
  Families ProcessFamilies() const;

  const std::string role_;
  const double start_unix_s_;
  const http::AdminServer* server_ = nullptr;
  std::vector<std::shared_ptr<const prometheus::Collectable>> sources_;
};

}  // namespace hongbao::watch
