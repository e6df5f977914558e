#include "libhongbao/count/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace hongbao::count {
namespace {

TEST(BucketTest, EveryBucketBeginsWhereTheOneBelowEnds) {
  EXPECT_EQ(BucketLowNs(0), 0u);
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    ASSERT_EQ(BucketOf(BucketLowNs(bucket)), bucket);
    ASSERT_EQ(BucketOf(BucketHighNs(bucket)), bucket);
    if (bucket > 0) {
      ASSERT_EQ(BucketLowNs(bucket), BucketHighNs(bucket - 1) + 1);
    }
  }
  EXPECT_EQ(BucketHighNs(kBuckets - 1), kValueMaxNs);
}

TEST(BucketTest, IsLessThanOnePercentWide) {
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    const uint64_t width = BucketHighNs(bucket) - BucketLowNs(bucket) + 1;
    ASSERT_TRUE(width == 1 || static_cast<double>(width) / static_cast<double>(BucketLowNs(bucket)) <= 0.0079);
  }
}

TEST(BucketTest, HoldsAnHourAndClampsAbove) {
  EXPECT_GT(kValueMaxNs, uint64_t{3'600'000'000'000});
  EXPECT_EQ(BucketOf(~uint64_t{0}), kBuckets - 1);
}

TEST(HistogramTest, QuantilesAreWithinOnePercentOfTheSortedValues) {
  std::mt19937_64 random(8);
  const auto histogram = std::make_unique<Histogram>();
  std::vector<int64_t> values;
  for (int i = 0; i < 100'000; ++i) {
    // From 100 ns to about 10 s, evenly in the logarithm.
    const double exponent = 2 + 8 * static_cast<double>(random() % 1'000'000) / 1e6;
    values.push_back(static_cast<int64_t>(std::pow(10, exponent)));
    histogram->Record(values.back());
  }
  std::sort(values.begin(), values.end());
  const HistogramSnapshot snapshot = histogram->Snapshot();
  for (const double quantile : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999}) {
    const auto rank = static_cast<size_t>(std::ceil(quantile * 100'000)) - 1;
    const auto exact = static_cast<double>(values[rank]);
    EXPECT_GE(static_cast<double>(snapshot.ValueAtNs(quantile)), exact);
    EXPECT_LE(static_cast<double>(snapshot.ValueAtNs(quantile)), exact * 1.01);
  }
  EXPECT_EQ(snapshot.max_ns(), static_cast<uint64_t>(values.back()));
  EXPECT_EQ(snapshot.ValueAtNs(1), static_cast<uint64_t>(values.back()));
  double sum = 0;
  for (const int64_t value : values) {
    sum += static_cast<double>(value);
  }
  EXPECT_NEAR(snapshot.MeanNs(), sum / 100'000, 1);
}

TEST(HistogramTest, EmptyIsAllZeros) {
  const HistogramSnapshot none;
  EXPECT_EQ(none.ValueAtNs(0.99), 0u);
  EXPECT_EQ(none.Summary().p99, 0);
  EXPECT_EQ(none.MeanNs(), 0);
  EXPECT_EQ(Histogram().Snapshot().count(), 0u);
}

TEST(HistogramTest, OutliersAreCountedAndTheirMaximumIsExact) {
  Histogram histogram;
  histogram.Record(-5);  // a wall clock stepped back
  histogram.Record(7'200'000'000'000);
  const HistogramSnapshot snapshot = histogram.Snapshot();
  EXPECT_EQ(snapshot.count(), 2u);
  EXPECT_EQ(snapshot.CountAt(0), 1u);
  EXPECT_EQ(snapshot.CountAt(kBuckets - 1), 1u);
  EXPECT_EQ(snapshot.max_ns(), 7'200'000'000'000u);
  EXPECT_EQ(snapshot.ValueAtNs(0.99), 7'200'000'000'000u);
}

TEST(HistogramTest, MergeEqualsRecordingAllInOne) {
  std::mt19937_64 random(9);
  Histogram one, two, both;
  for (int i = 0; i < 10'000; ++i) {
    const auto value = static_cast<int64_t>(random() % 50'000'000);
    (i % 3 == 0 ? one : two).Record(value);
    both.Record(value);
  }
  HistogramSnapshot merged;
  merged += one.Snapshot();
  merged += two.Snapshot();
  const HistogramSnapshot expected = both.Snapshot();
  EXPECT_EQ(merged.count(), expected.count());
  EXPECT_EQ(merged.sum_ns(), expected.sum_ns());
  EXPECT_EQ(merged.max_ns(), expected.max_ns());
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    ASSERT_EQ(merged.CountAt(bucket), expected.CountAt(bucket));
  }
}

TEST(HistogramTest, DifferenceHoldsOneIntervalOnly) {
  Histogram histogram;
  histogram.Record(9'000'000);
  const HistogramSnapshot first = histogram.Snapshot();
  for (int i = 0; i < 100; ++i) {
    histogram.Record(100'000);
  }
  const HistogramSnapshot second = histogram.Snapshot();
  const HistogramSnapshot interval = second.Since(first);
  EXPECT_EQ(interval.count(), 100u);
  EXPECT_EQ(interval.MeanNs(), 100'000);
  EXPECT_NEAR(static_cast<double>(interval.max_ns()), 100'000, 1'000);  // not the 9 ms of the interval before
  EXPECT_EQ(second.Since(second).max_ns(), 0u);
  EXPECT_EQ(first.Since(HistogramSnapshot()).count(), 1u);
  histogram.Record(10'000'001);
  EXPECT_EQ(histogram.Snapshot().Since(second).max_ns(), 10'000'001u);  // a new maximum is exact
}

TEST(HistogramTest, SummaryIsInMicroseconds) {
  Histogram histogram;
  for (int i = 1; i <= 1'000; ++i) {
    histogram.Record(int64_t{i} * 1'000);
  }
  const LatencyUs summary = histogram.Snapshot().Summary();
  EXPECT_EQ(summary.count, 1'000u);
  EXPECT_NEAR(summary.mean, 500.5, 0.001);
  EXPECT_NEAR(summary.p50, 500, 5);
  EXPECT_NEAR(summary.p90, 900, 9);
  EXPECT_NEAR(summary.p99, 990, 10);
  EXPECT_NEAR(summary.p999, 999, 10);
  EXPECT_EQ(summary.max, 1'000);
}

// The text that HdrHistogram's plotter reads: a header, ascending lines, the last one at 1.0 with all counted, three
// notes.
TEST(HistogramTest, HgrmIsHdrHistogramsPercentileText) {
  Histogram histogram;
  std::mt19937_64 random(10);
  for (int i = 0; i < 10'000; ++i) {
    histogram.Record(static_cast<int64_t>(50'000 + random() % 1'000'000));
  }
  const HistogramSnapshot snapshot = histogram.Snapshot();
  std::istringstream text(snapshot.Hgrm());
  std::string line;
  ASSERT_TRUE(std::getline(text, line));
  EXPECT_EQ(line, "       Value     Percentile TotalCount 1/(1-Percentile)");
  ASSERT_TRUE(std::getline(text, line));
  EXPECT_EQ(line, "");
  double value = 0, level = -1;
  unsigned long long count = 0;
  int lines = 0;
  while (std::getline(text, line) && line[0] != '#') {
    double new_value = 0, new_level = 0;
    ASSERT_EQ(std::sscanf(line.c_str(), "%lf %lf %llu", &new_value, &new_level, &count), 3) << line;
    EXPECT_GE(new_value, value);
    EXPECT_GT(new_level, level);
    EXPECT_GE(static_cast<double>(count), new_level * 10'000 - 1e-6);
    if (new_level > 0 && new_level < 1) {
      EXPECT_NEAR(new_value * 1'000, static_cast<double>(snapshot.ValueAtNs(new_level)), 10'000);
    }
    value = new_value;
    level = new_level;
    ++lines;
  }
  EXPECT_EQ(level, 1.0);
  EXPECT_EQ(count, 10'000u);
  EXPECT_GT(lines, 40);
  EXPECT_EQ(line.substr(0, 9), "#[Mean   ");
  ASSERT_TRUE(std::getline(text, line));
  EXPECT_NE(line.find("Total count    =        10000]"), std::string::npos) << line;
  ASSERT_TRUE(std::getline(text, line));
  EXPECT_NE(line.find("SubBuckets     =          256]"), std::string::npos) << line;
}

TEST(HistogramTest, HgrmOfNothingHasNoLines) {
  EXPECT_NE(HistogramSnapshot().Hgrm().find("Total count    =            0]"), std::string::npos);
}

TEST(HistogramSnapshot, TakesValuesThatNobodyRecorded) {
  Histogram recorded, both;
  for (const int64_t ns : {100, 2'000'000}) {
    recorded.Record(ns);
    both.Record(ns);
  }
  HistogramSnapshot added = recorded.Snapshot();
  added.Add(5'000'000'000, 3);
  added.Add(7, 0);
  for (int i = 0; i < 3; ++i) {
    both.Record(5'000'000'000);
  }
  EXPECT_EQ(added.Hgrm(), both.Snapshot().Hgrm());
  EXPECT_EQ(added.sum_ns(), both.Snapshot().sum_ns());
  HistogramSnapshot empty;
  empty.Add(100, 2);
  EXPECT_EQ(empty.Summary().p99, 0.1);
}

TEST(LatencyUs, TheWorseOfTwoIsWorsePercentileByPercentile) {
  const LatencyUs worse = Worse({.count = 5, .p50 = 3, .max = 4}, {.count = 9, .p50 = 1, .p99 = 8, .max = 10});
  EXPECT_EQ(worse.count, 9u);
  EXPECT_EQ(worse.p50, 3);
  EXPECT_EQ(worse.p99, 8);
  EXPECT_EQ(worse.max, 10);
}

}  // namespace
}  // namespace hongbao::count
