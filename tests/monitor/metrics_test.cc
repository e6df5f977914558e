#include "tools/monitor/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace hongbao::monitor {
namespace {

using ::testing::HasSubstr;
using wire::NicSlot;
using wire::Role;
using wire::Slot;

std::string TextOf(const MonitorCounts& snapshot, const Refused& refused = {}) {
  return "\n" + watch::OpenMetricsText(MonitorFamilies(snapshot, refused, 0));
}

void ExpectLines(const std::string& text, std::initializer_list<const char*> lines) {
  for (const char* line : lines) {
    EXPECT_THAT(text, HasSubstr("\nhongbao_monitor_" + std::string(line) + "\n"));
  }
}

Source SourceOf(Role role, Condition condition, uint64_t requests) {
  Source source;
  source.role = role;
  source.condition = condition;
  source.newest.Set(Slot::kRequests, 1, requests);
  source.newest.Set(Slot::kResponses, 1, requests + 1);
  source.newest.Set(Slot::kWon, 1, requests + 2);
  source.newest.Set(Slot::kMissed, 1, requests + 3);
  source.newest.Set(Slot::kLate, 1, requests + 4);
  source.newest.Set(Slot::kLost, 1, requests + 5);
  source.newest.Set(Slot::kOnline, 10, 20);
  return source;
}

TEST(MonitorMetrics, SumsAreOfAllLivesAndWhatStandsNowIsOfTheLiving) {
  MonitorCounts snapshot;
  snapshot.sources = {SourceOf(Role::kClient, Condition::kLiving, 1'000), SourceOf(Role::kClient, Condition::kReplaced, 200),
                      SourceOf(Role::kServer, Condition::kLiving, 3'000), SourceOf(Role::kServer, Condition::kSilent, 40)};
  ExpectLines(TextOf(snapshot),
              {"requests_total{role=\"client\"} 1200", "requests_total{role=\"server\"} 3040",
               "responses_total{role=\"client\"} 1202", "responses_total{role=\"server\"} 3042",
               "envelopes_won_total{role=\"client\"} 1204", "envelopes_won_total{role=\"server\"} 3044",
               "missed_sends_total 1206", "late_sends_total 1208", "requests_lost_total 1210", "users_online{role=\"client\"} 20",
               "users_online{role=\"server\"} 20", "connections{role=\"client\"} 10", "connections{role=\"server\"} 10",
               "sources{role=\"client\",condition=\"living\"} 1", "sources{role=\"client\",condition=\"replaced\"} 1",
               "sources{role=\"server\",condition=\"silent\"} 1", "sources{role=\"server\",condition=\"ended\"} 0"});
}

TEST(MonitorMetrics, TheAccountAndWhatWasRefused) {
  MonitorCounts snapshot;
  snapshot.sums = {.given_fen = 900, .got_fen = 700, .left_fen = 55};
  snapshot.records = 1, snapshot.late = 2, snapshot.repeated = 3, snapshot.clock_off = 4, snapshot.sources_refused = 5;
  snapshot.newest_s = 1'800'000'000;
  Inlet inlet(0);
  inlet.Refuse(Refusal::kShort);
  inlet.Put({});
  const std::string text = TextOf(snapshot, RefusedBy(inlet));
  ExpectLines(
      text, {"money_given_fen 900", "money_received_fen 700", "money_difference_fen 200", "money_left_fen 55", "records_total 1",
             "records_refused_total{reason=\"late\"} 2", "records_refused_total{reason=\"repeated\"} 3",
             "records_refused_total{reason=\"clock_off\"} 4", "records_refused_total{reason=\"too_many_sources\"} 5",
             "records_refused_total{reason=\"short\"} 1", "records_refused_total{reason=\"no_room\"} 1",
             "records_refused_total{reason=\"malformed\"} 0", "records_refused_total{reason=\"flood\"} 0"});
  EXPECT_THAT(text, HasSubstr("\nhongbao_last_second_timestamp_seconds 1800000000\n"));
}

TEST(MonitorMetrics, CardsAreCountedByThemselves) {
  Source card;
  card.role = Role::kNic;
  for (const NicSlot slot : {NicSlot::kRxPackets, NicSlot::kRxBytes, NicSlot::kTxPackets, NicSlot::kTxBytes, NicSlot::kRxDropped,
                             NicSlot::kTxDropped, NicSlot::kTcpRetransmitted}) {
    card.newest.Set(slot, 1, 100 + static_cast<uint64_t>(slot));
  }
  MonitorCounts snapshot;
  snapshot.sources = {card, card};
  ExpectLines(TextOf(snapshot),
              {"network_packets_total{direction=\"in\"} 280", "network_packets_total{direction=\"out\"} 284",
               "network_card_bytes_total{direction=\"in\"} 282", "network_card_bytes_total{direction=\"out\"} 286",
               "network_packets_dropped_total{direction=\"in\"} 288", "network_packets_dropped_total{direction=\"out\"} 290",
               "tcp_retransmitted_total 296", "requests_total{role=\"client\"} 0", "missed_sends_total 0"});
}

}  // namespace
}  // namespace hongbao::monitor
