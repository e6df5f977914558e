#include "libhongbao/watch/sampler.h"

#include <algorithm>

namespace hongbao::watch {

void MergeSamples(Sample& into, int64_t into_s, const Sample& next, int64_t next_s) {
  const auto span = static_cast<double>(into_s), more = static_cast<double>(next_s);
  into.cpu_percent = (into.cpu_percent * span + next.cpu_percent * more) / (span + more);
  into.rss_bytes = std::max(into.rss_bytes, next.rss_bytes);
  into.network = next.network;
}

Sampler::Sampler(const time::Clock& clock)
    : clock_(clock), process_(ReadProcessStats()), network_(ReadNetworkStats()), at_ns_(clock.MonotonicNs()) {}

Sample Sampler::Take() {
  const ProcessStats process = ReadProcessStats();
  const NetworkStats network = ReadNetworkStats();
  const int64_t now_ns = clock_.MonotonicNs();
  const Sample sample{.cpu_percent = CpuPercent(process_, process, now_ns - at_ns_),
                      .rss_bytes = process.rss_bytes,
                      .network = network.Since(network_)};
  process_ = process;
  network_ = network;
  at_ns_ = now_ns;
  return sample;
}

}  // namespace hongbao::watch
