#include "libhongbao/count/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "libhongbao/check.h"

namespace hongbao::count {
namespace {

double MiddleNs(size_t bucket) {
  return (static_cast<double>(BucketLowNs(bucket)) + static_cast<double>(BucketHighNs(bucket))) / 2;
}

template <typename... Args>
void AppendLine(std::string& out, const char* format, Args... args) {
  char line[128];
  const int length = std::snprintf(line, sizeof line, format, args...);
  out.append(line, static_cast<size_t>(length));
}

}  // namespace

void MergeWorst(LatencyUs& into, const LatencyUs& other) {
  into.count += other.count;
  for (double LatencyUs::*figure : {&LatencyUs::mean, &LatencyUs::p50, &LatencyUs::p90, &LatencyUs::p99, &LatencyUs::p999,
                                    &LatencyUs::p9999, &LatencyUs::max}) {
    into.*figure = std::max(into.*figure, other.*figure);
  }
}

double HistogramSnapshot::MeanNs() const { return count_ == 0 ? 0 : static_cast<double>(sum_ns_) / static_cast<double>(count_); }

uint64_t HistogramSnapshot::ValueAtNs(double quantile) const {
  if (count_ == 0) {
    return 0;
  }
  const double wanted = std::ceil(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(count_));
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count_);
  uint64_t below = 0;
  for (size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    below += counts_[bucket];
    if (below >= rank) {
      // The last bucket has no upper edge: what lies above the range is in it.
      return bucket + 1 == kBuckets ? max_ns_ : std::min(BucketHighNs(bucket), max_ns_);
    }
  }
  return max_ns_;
}

LatencyUs HistogramSnapshot::Summary() const {
  const auto at_us = [this](double quantile) { return NsToUs(static_cast<double>(ValueAtNs(quantile))); };
  return {.count = count_,
          .mean = NsToUs(MeanNs()),
          .p50 = at_us(0.5),
          .p90 = at_us(0.9),
          .p99 = at_us(0.99),
          .p999 = at_us(0.999),
          .p9999 = at_us(0.9999),
          .max = NsToUs(static_cast<double>(max_ns_))};
}

LatencyUs Worse(const LatencyUs& a, const LatencyUs& b) {
  return {.count = std::max(a.count, b.count),
          .mean = std::max(a.mean, b.mean),
          .p50 = std::max(a.p50, b.p50),
          .p90 = std::max(a.p90, b.p90),
          .p99 = std::max(a.p99, b.p99),
          .p999 = std::max(a.p999, b.p999),
          .p9999 = std::max(a.p9999, b.p9999),
          .max = std::max(a.max, b.max)};
}

void HistogramSnapshot::Add(uint64_t value_ns, uint64_t n) {
  if (n == 0) {
    return;
  }
  if (counts_.empty()) {
    counts_.resize(kBuckets);
  }
  counts_[BucketOf(value_ns)] += n;
  count_ += n;
  sum_ns_ += value_ns * n;
  max_ns_ = std::max(max_ns_, value_ns);
}

HistogramSnapshot& HistogramSnapshot::operator+=(const HistogramSnapshot& other) {
  if (counts_.empty()) {
    counts_.resize(kBuckets);
  }
  for (size_t i = 0; i < other.counts_.size(); ++i) {
    counts_[i] += other.counts_[i];
  }
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
  return *this;
}

HistogramSnapshot HistogramSnapshot::Since(const HistogramSnapshot& earlier) const {
  HistogramSnapshot difference = *this;
  size_t highest = 0;
  difference.count_ = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    Check(counts_[i] >= earlier.CountAt(i), "a difference of histograms is taken from the later one");
    difference.counts_[i] = counts_[i] - earlier.CountAt(i);
    difference.count_ += difference.counts_[i];
    highest = difference.counts_[i] > 0 ? i : highest;
  }
  difference.sum_ns_ = sum_ns_ - earlier.sum_ns_;
  if (difference.count_ == 0) {
    difference.max_ns_ = 0;
  } else if (max_ns_ == earlier.max_ns_ && highest + 1 < kBuckets) {
    difference.max_ns_ = std::min(max_ns_, BucketHighNs(highest));
  }
  return difference;
}

std::string HistogramSnapshot::Hgrm(double unit_ns, int ticks) const {
  std::string out = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n";
  double variance = 0;
  double level = 0;  // the quantile of the next line
  uint64_t below = 0;
  for (size_t bucket = 0; bucket < counts_.size() && count_ > 0; ++bucket) {
    if (counts_[bucket] == 0) {
      continue;
    }
    below += counts_[bucket];
    const double from_mean = MiddleNs(bucket) - MeanNs();
    variance += from_mean * from_mean * static_cast<double>(counts_[bucket]) / static_cast<double>(count_);
    const double reached = static_cast<double>(below) / static_cast<double>(count_);
    const uint64_t edge_ns = bucket + 1 == kBuckets ? max_ns_ : std::min(BucketHighNs(bucket), max_ns_);
    const double value = static_cast<double>(edge_ns) / unit_ns;
    // Until all is reached, a line for each level that this bucket passes; the levels draw nearer to 1 by halves.
    while (below < count_ && level <= reached) {
      AppendLine(out, "%12.3f %2.12f %10llu %14.2f\n", value, level, static_cast<unsigned long long>(below), 1 / (1 - level));
      const double halvings = std::floor(std::log2(1 / (1 - level))) + 1;
      level += 1 / (static_cast<double>(ticks) * std::exp2(halvings));
    }
    if (below == count_) {
      AppendLine(out, "%12.3f %2.12f %10llu\n", value, 1.0, static_cast<unsigned long long>(below));
    }
  }
  AppendLine(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", MeanNs() / unit_ns, std::sqrt(variance) / unit_ns);
  AppendLine(out, "#[Max     = %12.3f, Total count    = %12llu]\n", static_cast<double>(max_ns_) / unit_ns,
             static_cast<unsigned long long>(count_));
  AppendLine(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", kValueBits - kSubBucketBits, 2 << kSubBucketBits);
  return out;
}

HistogramSnapshot Histogram::Snapshot() const {
  HistogramSnapshot snapshot;
  snapshot.counts_.resize(kBuckets);
  for (size_t i = 0; i < kBuckets; ++i) {
    snapshot.counts_[i] = counts_[i].load(std::memory_order_relaxed);
    snapshot.count_ += snapshot.counts_[i];
  }
  snapshot.sum_ns_ = sum_ns_.load(std::memory_order_relaxed);
  snapshot.max_ns_ = max_ns_.load(std::memory_order_relaxed);
  return snapshot;
}

}  // namespace hongbao::count
