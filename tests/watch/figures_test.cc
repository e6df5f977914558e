#include "libhongbao/watch/figures.h"

#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace hongbao::watch {
namespace {

struct Measures {
  uint64_t sent = 0, sent_in_all = 0, online = 0;
  double p99_us = -1;
};

constexpr Figure<Measures> kFigures[] = {
    {Column::kSent,
     [](const Measures& m) {
       return Amount{m.sent, m.sent_in_all};
     }},
    {Column::kUsers,
     [](const Measures& m) {
       return Amount{m.online, m.online};
     }},
    {Column::kP99Us, [](const Measures& m) { return Measured(m.p99_us * 1e3); }},
    {Column::kGotFen,
     [](const Measures&) {
       return Amount{5, 50};
     }},
};
const Measures kMeasures{.sent = 7, .sent_in_all = 70, .online = 3, .p99_us = 410.6};

TEST(Figures, FillARowInTheRowsUnits) {
  const SecondRow row = RowOf(1'486'824'165, kMeasures, kFigures);
  EXPECT_EQ(RowJson(row),
            (nlohmann::json{{"unix_s", 1'486'824'165}, {"users", 3}, {"sent", 7}, {"p99_us", 411}, {"got_fen", 5}}));
  EXPECT_FALSE(RowOf(1, Measures{}, kFigures).Knows(Column::kP99Us)) << "it was not measured";
}

TEST(Figures, FillARecordInItsOwnSlotsAndUnits) {
  wire::CounterRecord record;
  SetFigures(record, kMeasures, kFigures);
  EXPECT_EQ(record.Count(wire::Slot::kRequests), 7u);
  EXPECT_EQ(record.Total(wire::Slot::kRequests), 70u);
  EXPECT_EQ(record.Count(wire::Slot::kOnline), 0u) << "the other half is another figure's";
  EXPECT_EQ(record.Total(wire::Slot::kOnline), 3u);
  EXPECT_EQ(record.Count(wire::Slot::kLatencyP99), 0u);
  EXPECT_EQ(record.Total(wire::Slot::kLatencyP99), 410'600u);
  EXPECT_EQ(record.Count(wire::Slot::kShakeReceivedFen), 0u) << "a figure that is a sum of slots fills none";
}

TEST(Figures, OfARecordARowTakesWhatItsRoleSpeaksFor) {
  wire::CounterRecord client{.role = wire::Role::kClient}, server{.role = wire::Role::kServer};
  for (wire::CounterRecord* record : {&client, &server}) {
    record->Set(wire::Slot::kRequests, 40, 400);
    record->Set(wire::Slot::kWon, 2, 20);
    record->Set(wire::Slot::kLatencyP99, 150'000, 410'900);
  }
  SecondRow row(1);
  AddRecord(row, client);
  AddRecord(row, client);
  AddRecord(row, server);
  EXPECT_EQ(row[Column::kSent], 80);
  EXPECT_EQ(row[Column::kReceived], 40);
  EXPECT_EQ(row[Column::kWon], 4) << "the clients' word stands";
  EXPECT_EQ(row[Column::kP99Us], 410) << "of several the worst, and no sum";
  SecondRow own(1);
  AddRecord(own, server, /*all=*/true);
  EXPECT_EQ(own[Column::kWon], 2);
  EXPECT_FALSE(own.Knows(Column::kSent));
}

TEST(Figures, ABrokenSendersValueIsCutOff) {
  wire::CounterRecord record{.role = wire::Role::kClient};
  record.Set(wire::Slot::kRequests, UINT64_MAX, 0);
  SecondRow row(1);
  AddRecord(row, record);
  EXPECT_EQ(row[Column::kSent], 1'000'000'000'000'000);
}

}  // namespace
}  // namespace hongbao::watch
