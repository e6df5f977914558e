// Workers that count as fast as they can against readers that look as fast as they can. Right by construction or not is
// what ThreadSanitizer is asked here; the values themselves show tearing.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "libhongbao/count/cells.h"
#include "libhongbao/count/histogram.h"
#include "libhongbao/count/history.h"
#include "libhongbao/count/series.h"

namespace hongbao::count {
namespace {

enum class Counter { kA, kB, kC, kD, kE, kF, kG, kH, kCount };
constexpr int64_t kFirstSecond = 1'000;

// In pretended second S a worker counts S of each, so the totals at its end are known from S alone.
uint64_t TotalAtEnd(int64_t second) {
  const int64_t n = second - kFirstSecond;
  return static_cast<uint64_t>(n * (n + 1) / 2 + (n + 1) * kFirstSecond);
}

template <size_t kRing>
struct Worker {
  Cells<Counter> cells;
  History<Counter, kRing> history;
  void Run(int64_t seconds) {  // pretended ones: it rolls as fast as it can
    for (int64_t second = kFirstSecond; second < kFirstSecond + seconds; ++second) {
      history.Roll(second, cells);
      for (size_t id = 0; id < kCellsOf<Counter>; ++id) {
        history.Roll(second, cells);
        cells.Add(static_cast<Counter>(id), static_cast<uint64_t>(second));
      }
    }
    history.Close(cells);
  }
};

// A ring of two, so that the reader is nearly always at an entry that is being overwritten. Taking away either look at
// the entry's second makes this fail nearly always.
TEST(CellsStressTest, NoEntryOfTheHistoryIsEverReadTorn) {
  constexpr int64_t kSeconds = 3'000'000;
  const auto worker = std::make_unique<Worker<2>>();
  std::thread writer([&worker] { worker->Run(kSeconds); });
  uint64_t read = 0, refused = 0, wrong = 0;
  for (bool last = false; !last;) {
    last = worker->history.closed();
    const int64_t finished = worker->history.finished();
    for (int64_t second = finished; second >= kFirstSecond && second >= finished - 1; --second) {
      Values<Counter> values;
      if (!worker->history.Read(second, values)) {
        ++refused;
        continue;
      }
      ++read;
      for (const uint64_t value : values.value) {
        wrong += value != TotalAtEnd(second) ? uint64_t{1} : uint64_t{0};
      }
    }
  }
  writer.join();
  EXPECT_EQ(wrong, 0u) << "of " << read << " read, " << refused << " refused";
  EXPECT_GT(read, 0u);
}

TEST(CellsStressTest, TheSeriesOfRunningWorkersAddsUp) {
  constexpr int64_t kSeconds = 100'000;
  std::vector<std::unique_ptr<Worker<16>>> workers;
  std::vector<const History<Counter, 16>*> histories;
  for (int i = 0; i < 3; ++i) {
    workers.push_back(std::make_unique<Worker<16>>());
    histories.push_back(&workers.back()->history);
  }
  std::vector<std::thread> threads;
  for (auto& worker : workers) {
    threads.emplace_back([&worker] { worker->Run(kSeconds); });
  }
  Series<Counter, 16> series(histories);
  std::vector<Series<Counter, 16>::Row> rows;
  for (bool last = false; !last;) {
    last = true;
    for (const auto* history : histories) {
      last = last && history->closed();
    }
    series.Collect();
    rows.insert(rows.end(), series.rows().begin(), series.rows().end());
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const uint64_t expected = 3 * TotalAtEnd(kFirstSecond + kSeconds - 1);
  uint64_t sum = 0;
  for (const auto& row : rows) {
    ASSERT_EQ(row.total[Counter::kA], 3 * TotalAtEnd(row.unix_second));
    ASSERT_EQ(row.total[Counter::kC], row.total[Counter::kA]);
    sum += row.delta[Counter::kB];
  }
  EXPECT_EQ(sum, expected);
  EXPECT_EQ(series.total()[Counter::kA], expected);
}

TEST(CellsStressTest, SnapshotsOfABusyHistogramOnlyGrow) {
  const auto histogram = std::make_unique<Histogram>();
  constexpr int kRecords = 500'000;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < kRecords; ++i) {
      histogram->Record(i % 5'000 * 100);
    }
    done.store(true, std::memory_order_release);  // the reader's last snapshot sees every record
  });
  HistogramSnapshot sum, before;
  for (bool last = false; !last;) {
    last = done.load(std::memory_order_acquire);
    const HistogramSnapshot now = histogram->Snapshot();
    sum += now.Since(before);  // aborts if a bucket has shrunk
    before = now;
  }
  writer.join();
  EXPECT_EQ(before.count(), static_cast<uint64_t>(kRecords));
  EXPECT_EQ(sum.count(), static_cast<uint64_t>(kRecords));
  EXPECT_EQ(sum.sum_ns(), before.sum_ns());
}

}  // namespace
}  // namespace hongbao::count
