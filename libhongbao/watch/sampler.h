// Sampler: what is measured of a process once a second beside its counters: processor time, memory, the machine's network.
//
// Owns the reading before. Never fails a run: what cannot be read is as process_stats.h and network_stats.h say.
// Thread tag: thread-compatible (the reporter's thread); the rest thread-safe.
#pragma once

#include <cstdint>

#include "libhongbao/time/clock.h"
#include "libhongbao/watch/network_stats.h"
#include "libhongbao/watch/process_stats.h"

namespace hongbao::watch {

// Of the time between two readings.
struct Sample {
  double cpu_percent = 0;  // 100 = one core
  int64_t rss_bytes = 0;   // at its end
  NetworkStats network{};  // of this machine
};

// `into`, of `into_s` seconds, becomes the sample of both; `next` is the later one.
void MergeSamples(Sample& into, int64_t into_s, const Sample& next, int64_t next_s);

class Sampler {
 public:
  // `clock` must outlive it.
  explicit Sampler(const time::Clock& clock);

  // Of the time since the last call, or since the start.
  Sample Take();

 private:
  const time::Clock& clock_;
  ProcessStats process_;
  NetworkStats network_;
  int64_t at_ns_;
};

}  // namespace hongbao::watch
