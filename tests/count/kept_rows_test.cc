#include "libhongbao/count/kept_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hongbao::count {
namespace {

struct Row {
  int64_t second = 0;
  int64_t span = 1;
  uint64_t sent = 0;
  uint64_t sent_total = 0;
  double worst = 0;
  uint64_t other[50] = {};
};

void MergeRow(Row& into, const Row& next) {
  into.second = next.second;
  into.span += next.span;
  into.sent += next.sent;
  into.sent_total = next.sent_total;
  into.worst = std::max(into.worst, next.worst);
}

using Rows = KeptRows<Row, MergeRow>;

struct Story {
  void Second(uint64_t sent, double worst = 0) {
    total += sent;
    rows.Add({.second = second++, .sent = sent, .sent_total = total, .worst = worst});
  }
  Rows rows;
  int64_t second = 1'000'000;
  uint64_t total = 0;
};

// Spans leave no gap, sums are what was counted, and the kinds come in their order.
void ExpectWhole(const Story& run) {
  int64_t second = 999'999, span = 1 << 20;
  uint64_t sent = 0;
  for (const Row& row : run.rows.All()) {
    second += row.span;
    sent += row.sent;
    ASSERT_EQ(row.second, second);
    ASSERT_EQ(row.sent_total, sent);
    ASSERT_LE(row.span, span);
    span = row.span;
  }
  EXPECT_EQ(second, run.second - 1);
  EXPECT_EQ(sent, run.total);
}

TEST(KeptRowsTest, OfNothingThereIsNothing) { EXPECT_TRUE(Rows().All().empty()); }

TEST(KeptRowsTest, EverySecondOfTheLastDayIsThere) {
  Story run;
  std::mt19937_64 random(1);
  for (size_t i = 0; i < Rows::kSecondsMax; ++i) {
    run.Second(random());
  }
  EXPECT_EQ(run.rows.All().size(), Rows::kSecondsMax);
  EXPECT_EQ(run.rows.coarse(), 0U);
  ExpectWhole(run);
}

TEST(KeptRowsTest, WhatIsOlderIsMergedAndNothingIsLost) {
  Story run;
  std::mt19937_64 random(2);
  double worst = 0;
  for (int i = 0; i < 10 * 86'400; ++i) {
    const double of_second = static_cast<double>(random() % 1'000'000);
    worst = std::max(worst, of_second);
    run.Second(random() % 100'000, of_second);
  }
  ExpectWhole(run);
  const std::vector<Row> all = run.rows.All();
  EXPECT_EQ(all.front().span, 3'600);
  EXPECT_EQ(all.back().span, 1);
  EXPECT_GE(std::count_if(all.begin(), all.end(), [](const Row& row) { return row.span == 1; }), 86'340);
  double kept = 0;
  for (const Row& row : all) {
    kept = std::max(kept, row.worst);
  }
  EXPECT_EQ(kept, worst);
}

TEST(KeptRowsTest, AnIdleMonthTakesAsMuchAsAnIdleDayAndALittle) {
  Story run;
  for (int i = 0; i < 2 * 86'400; ++i) {
    run.Second(0);
  }
  const size_t day_2 = run.rows.bytes();
  for (int i = 2 * 86'400; i < 30 * 86'400; ++i) {
    run.Second(0);
  }
  EXPECT_LT(run.rows.bytes(), day_2 + 3'000'000) << "minutes of a week, hours of three";
  EXPECT_LT(run.rows.bytes(), 86'400U * 64);
}

// Every byte may differ, or none; blocks begin anew.
TEST(KeptRowsTest, WhatIsPackedComesBackAsItWas) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 50; ++round) {
    Rows rows;
    std::vector<Row> put;
    for (int i = 0; i < 200; ++i) {
      Row row = put.empty() ? Row() : put.back();
      for (uint64_t changes = random() % 60; changes > 0; --changes) {
        row.other[random() % 50] = random() % 3 == 0 ? ~uint64_t{0} : random() >> (random() % 64);
      }
      rows.Add(row);
      put.push_back(row);
    }
    const std::vector<Row> got = rows.All();
    ASSERT_EQ(got.size(), put.size());
    for (size_t i = 0; i < put.size(); ++i) {
      ASSERT_EQ(std::memcmp(&got[i], &put[i], sizeof(Row)), 0);
    }
  }
}

}  // namespace
}  // namespace hongbao::count
