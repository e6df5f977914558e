// ProcessStats: figures of this process, read from /proc: memory, CPU time, limits.
//
// Owns nothing. Never fails a run: what cannot be read is -1 (or the smallest honest value where said).
// Thread tag: thread-safe (each call opens and reads the files anew, a few microseconds; for once a second, not for a
// hot path).
#pragma once

#include <cstdint>

#include "libhongbao/cpp20.h"

namespace hongbao::watch {

struct ProcessStats {
  int64_t rss_bytes = -1;
  int64_t rss_max_bytes = -1;
  double user_s = 0;  // CPU time of all threads since the start
  double system_s = 0;
  int64_t threads = -1;
  int64_t open_files = -1;
  int64_t open_files_max = -1;  // the soft limit; -1 also when there is none
};

// Of this process.
ProcessStats ReadProcessStats();
// When this process began, unix time; it does not move when the clock is set later. 0: not known.
double ProcessStartUnixSeconds();

// Seconds between two readings as a share of one core, in percent: 100 = one core busy. 0 when no time passed.
double CpuPercent(const ProcessStats& before, const ProcessStats& after, int64_t elapsed_ns);

}  // namespace hongbao::watch
