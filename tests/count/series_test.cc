#include "libhongbao/count/series.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace hongbao::count {
namespace {

enum class Counter { kShakes, kLive, kCount };
constexpr int64_t kT = 1'800'000'000;

struct Worker {
  Cells<Counter> cells;
  History<Counter, 16> history;
  void Turn(int64_t second, uint64_t shakes = 0) {
    history.Roll(second, cells);
    cells.Add(Counter::kShakes, shakes);
  }
};

TEST(SeriesTest, ASecondIsCompleteWhenAllWorkersHavePassedIt) {
  Worker a, b;
  Series<Counter, 16> series({&a.history, &b.history});
  EXPECT_EQ(series.Collect(), 0u);
  a.Turn(kT, 3);
  a.Turn(kT + 1, 4);
  EXPECT_EQ(series.Collect(), 0u);  // b has not even begun
  b.Turn(kT + 1, 10);
  a.Turn(kT + 2);
  EXPECT_EQ(series.Collect(), 0u);
  b.Turn(kT + 2);
  EXPECT_EQ(series.Collect(), 2u);
  ASSERT_EQ(series.rows().size(), 2u);
  EXPECT_EQ(series.rows()[0].unix_second, kT);
  EXPECT_EQ(series.rows()[0].delta[Counter::kShakes], 3u);
  EXPECT_EQ(series.rows()[1].delta[Counter::kShakes], 14u);
  EXPECT_EQ(series.rows()[1].total[Counter::kShakes], 17u);
  EXPECT_EQ(series.rows()[1].span, 1);
  EXPECT_EQ(series.Collect(), 0u);
}

TEST(SeriesTest, WorkersThatStopAtDifferentSecondsAreAllCounted) {
  Worker a, b;
  Series<Counter, 16> series({&a.history, &b.history});
  a.Turn(kT, 1);
  b.Turn(kT, 1);
  a.history.Close(a.cells);
  for (int64_t second = kT + 1; second <= kT + 3; ++second) {
    b.Turn(second, 10);
  }
  EXPECT_EQ(series.Collect(), 3u);
  b.history.Close(b.cells);
  EXPECT_EQ(series.Collect(), 1u);
  EXPECT_EQ(series.total()[Counter::kShakes], 32u);
  EXPECT_EQ(series.rows().back().unix_second, kT + 3);
}

// The prototype's monitor zeroed a slot of its ring three seconds back while others still added to it: late counts
// vanished. Here nothing is ever cleared, and the rows add up to all that was counted however late the reporter comes.
TEST(SeriesTest, Defect12_NoCountVanishesHoweverLateItIsReadOrMade) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Worker> workers(3);
    Series<Counter, 16> series({&workers[0].history, &workers[1].history, &workers[2].history});
    std::vector<Series<Counter, 16>::Row> rows;
    const auto collect = [&] {
      series.Collect();
      rows.insert(rows.end(), series.rows().begin(), series.rows().end());
    };
    uint64_t counted = 0;
    int64_t now = kT;
    for (int turn = 0; turn < 100; ++turn) {
      for (Worker& worker : workers) {
        if (random() % 4 != 0) {  // some come round late
          const uint64_t shakes = random() % 100;
          worker.Turn(now, shakes);
          counted += shakes;
        }
      }
      if (random() % 10 == 0) {
        collect();
      }
      now += random() % 20 == 0 ? 40 : static_cast<int64_t>(random() % 2);  // now and then beyond the ring
    }
    for (Worker& worker : workers) {
      worker.Turn(now);
      worker.history.Close(worker.cells);
    }
    collect();
    uint64_t reported = 0;
    int64_t expected_second = rows.front().unix_second - rows.front().span;
    for (const auto& row : rows) {
      reported += row.delta[Counter::kShakes];
      expected_second += row.span;
      ASSERT_EQ(row.unix_second, expected_second);  // spans leave no gap and no overlap
    }
    ASSERT_EQ(reported, counted);
    ASSERT_EQ(series.total()[Counter::kShakes], counted);
  }
}

TEST(SeriesTest, AReporterThatOversleptSaysSo) {
  Worker worker;
  Series<Counter, 16> series({&worker.history});
  worker.Turn(kT, 1);
  worker.Turn(kT + 1, 1);
  EXPECT_EQ(series.Collect(), 1u);
  for (int64_t second = kT + 2; second <= kT + 50; ++second) {
    worker.Turn(second, 1);
  }
  EXPECT_EQ(series.Collect(), 16u);
  EXPECT_EQ(series.rows()[0].span, 34);
  EXPECT_EQ(series.rows()[0].delta[Counter::kShakes], 34u);
  EXPECT_EQ(series.rows()[1].span, 1);
}

// A series that runs for months keeps what is new, and its sums.
TEST(SeriesTest, OnlyNewRowsAreHeld) {
  Worker worker;
  Series<Counter, 16> series({&worker.history});
  for (int64_t second = kT; second < kT + 10'000; ++second) {
    worker.Turn(second, 1);
    series.Collect();
    ASSERT_LE(series.rows().size(), 1u);
  }
  EXPECT_EQ(series.total()[Counter::kShakes], 9'999u);
}

TEST(SeriesTest, ARowIsCalledByItsLabelAndKeepsItsSecond) {
  Worker worker;
  Series<Counter, 16> series({&worker.history}, [](int64_t second) { return second <= kT ? second : second - 3'600; });
  for (int64_t second = kT; second <= kT + 3; ++second) {
    worker.Turn(second, 1);
  }
  ASSERT_EQ(series.Collect(), 3u);
  EXPECT_EQ(series.rows()[0].unix_second, kT);
  EXPECT_EQ(series.rows()[2].unix_second, kT + 2 - 3'600);
  EXPECT_EQ(series.rows()[2].second, kT + 2);
  EXPECT_EQ(series.rows()[2].span, 1);
}

TEST(SeriesTest, AGaugeIsReadFromTheTotals) {
  Worker worker;
  Series<Counter, 16> series({&worker.history});
  worker.Turn(kT);
  worker.cells.Add(Counter::kLive, 5);
  worker.Turn(kT + 1);
  worker.cells.Subtract(Counter::kLive, 2);
  worker.Turn(kT + 2);
  series.Collect();
  EXPECT_EQ(series.rows()[0].total[Counter::kLive], 5u);
  EXPECT_EQ(series.rows()[1].total[Counter::kLive], 3u);
}

}  // namespace
}  // namespace hongbao::count
