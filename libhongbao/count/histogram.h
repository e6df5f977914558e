// Histogram: a distribution of latencies in ns, log-linear: exact below 256 ns, then 128 buckets per doubling, so that
// a bucket is less than 0.8 % wide, from 0 to 1.2 hours in 37 KB.
//
// Recorded by one worker, read by any thread as snapshots, which can be merged (workers) and subtracted (moments).
// Never allocates after construction, never resets: an interval is the difference of two snapshots. Source of the idea:
// HdrHistogram (Gil Tene), whose percentile text (.hgrm) it writes.
// Thread tag: Record worker-local; Snapshot thread-safe; HistogramSnapshot thread-compatible.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "libhongbao/cpp20.h"

namespace hongbao::count {

inline constexpr double NsToUs(double ns) { return ns / 1'000.0; }

// The buckets: pure arithmetic.
inline constexpr int kSubBucketBits = 7;
inline constexpr int kValueBits = 42;
inline constexpr uint64_t kValueMaxNs = (uint64_t{1} << kValueBits) - 1;  // 4,398 s; above: counted in the last bucket
inline constexpr size_t kBuckets = (size_t{kValueBits - kSubBucketBits} + 1) << kSubBucketBits;

constexpr size_t BucketOf(uint64_t value_ns) {
  const uint64_t value = value_ns < kValueMaxNs ? value_ns : kValueMaxNs;
  const auto width = static_cast<int>(std::bit_width(value | (uint64_t{1} << kSubBucketBits)));
  const int shift = width - kSubBucketBits - 1;
  return (static_cast<size_t>(shift) << kSubBucketBits) + static_cast<size_t>(value >> shift);
}
// Smallest and largest value of a bucket.
constexpr uint64_t BucketLowNs(size_t bucket) {
  const size_t group = bucket >> kSubBucketBits;
  const size_t shift = group < 2 ? 0 : group - 1;
  return static_cast<uint64_t>(bucket - (shift << kSubBucketBits)) << shift;
}
constexpr uint64_t BucketHighNs(size_t bucket) { return bucket + 1 < kBuckets ? BucketLowNs(bucket + 1) - 1 : kValueMaxNs; }

// What reports show, in microseconds.
struct LatencyUs {
  uint64_t count = 0;
  double mean = 0, p50 = 0, p90 = 0, p99 = 0, p999 = 0, p9999 = 0, max = 0;
};
// Percentile by percentile the worse of the two.
LatencyUs Worse(const LatencyUs& a, const LatencyUs& b);

// `into` becomes what holds of both: how many, and of each figure the larger (percentiles do not add up).
void MergeWorst(LatencyUs& into, const LatencyUs& other);

// Plain numbers; empty until merged or taken.
class HistogramSnapshot {
 public:
  uint64_t count() const { return count_; }
  uint64_t sum_ns() const { return sum_ns_; }
  // Largest value. Exact in a snapshot or a merge; in a difference exact if the maximum was set in the interval, else
  // the upper edge of the highest bucket in use.
  uint64_t max_ns() const { return max_ns_; }
  double MeanNs() const;
  // Smallest bucket edge with at least `quantile` (0..1) of all values at or below it; at most max_ns(). 0 when empty.
  uint64_t ValueAtNs(double quantile) const;
  // Values recorded in `bucket` < kBuckets.
  uint64_t CountAt(size_t bucket) const { return counts_.empty() ? 0 : counts_[bucket]; }
  LatencyUs Summary() const;

  // Counts `n` values more, as if they had been recorded: of requests that nobody has answered, to whom no Record came.
  void Add(uint64_t value_ns, uint64_t n);
  HistogramSnapshot& operator+=(const HistogramSnapshot& other);
  // What was recorded between `earlier` and this: both of the same histogram(s), `earlier` taken first.
  HistogramSnapshot Since(const HistogramSnapshot& earlier) const;

  // HdrHistogram's percentile distribution as text, values in `unit_ns` (1,000: us), `ticks` lines per halving of what
  // is left above.
  std::string Hgrm(double unit_ns = 1'000.0, int ticks = 5) const;

 private:
  friend class Histogram;
  std::vector<uint64_t> counts_;  // kBuckets, or none
  uint64_t count_ = 0;
  uint64_t sum_ns_ = 0;
  uint64_t max_ns_ = 0;
};

class alignas(64) Histogram {
 public:
  Histogram() = default;
  Histogram(const Histogram&) = delete;
  Histogram& operator=(const Histogram&) = delete;

  // A few ns. Negative values (the wall clock stepped back) count as 0.
  void Record(int64_t value_ns) {
    const uint64_t value = value_ns > 0 ? static_cast<uint64_t>(value_ns) : 0;
    Bump(counts_[BucketOf(value)], 1);
    Bump(sum_ns_, value);
    if (value > max_ns_.load(std::memory_order_relaxed)) {
      max_ns_.store(value, std::memory_order_relaxed);
    }
  }

  // May miss the values being recorded right now; each bucket never shrinks from one snapshot to the next.
  HistogramSnapshot Snapshot() const;

 private:
  // One writer: load + store, no read-modify-write. Relaxed: readers want each number whole, not an order.
  static void Bump(std::atomic<uint64_t>& cell, uint64_t n) {
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  std::atomic<uint64_t> sum_ns_{0};
  std::atomic<uint64_t> max_ns_{0};
  std::array<std::atomic<uint64_t>, kBuckets> counts_{};
};

}  // namespace hongbao::count
