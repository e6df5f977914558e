#include "client/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace hongbao::client {
namespace {

using load::Counter;
using ::testing::HasSubstr;

std::string TextOf(const load::ClientCounts& snapshot, const load::ClientOptions& options = {}, const Moment& moment = {}) {
  return "\n" + watch::OpenMetricsText(ClientFamilies(options, snapshot, moment));
}

TEST(ClientMetrics, EveryCounterStandsUnderItsOwnName) {
  load::ClientCounts snapshot;
  auto& c = snapshot.counters;
  for (size_t i = 0; i < c.value.size(); ++i) {
    c.value[i] = 1'000 + i;  // each another number: a swapped pair shows
  }
  const std::pair<const char*, uint64_t> kLines[] = {
      {"users_online", c[Counter::kOnline]},
      {"users_barred", c[Counter::kBarred]},
      {"connections_opened_total", c[Counter::kConnects]},
      {"logins_total{result=\"ok\"}", c[Counter::kLogins]},
      {"logins_total{result=\"refused\"}", c[Counter::kLoginsRefused]},
      {"logins_total{result=\"timed_out\"}", c[Counter::kLoginsTimedOut]},
      {"requests_total{type=\"shake\"}", c[Counter::kSent]},
      {"requests_total{type=\"open\"}", c[Counter::kOpensSent]},
      {"requests_total{type=\"login\"}", c[Counter::kConnects]},
      {"requests_repeated_total{type=\"shake\"}", c[Counter::kShakesRepeated]},
      {"requests_repeated_total{type=\"open\"}", c[Counter::kOpensRepeated]},
      {"requests_due_total", c[Counter::kDue]},
      {"missed_sends_total{reason=\"late\"}", c[Counter::kMissedLate]},
      {"missed_sends_total{reason=\"offline\"}", c[Counter::kMissedOffline]},
      {"missed_sends_total{reason=\"backlog\"}", c[Counter::kMissedBacklog]},
      {"late_sends_total", c[Counter::kLate]},
      {"requests_lost_total", c[Counter::kLost]},
      {"requests_outstanding{type=\"shake\"}", c[Counter::kOutstanding]},
      {"requests_outstanding{type=\"open\"}", c[Counter::kOpensOutstanding]},
      {"responses_total{result=\"won\"}", c[Counter::kWon]},
      {"responses_total{result=\"nothing\"}", c[Counter::kNothing]},
      {"responses_total{result=\"cap\"}", c[Counter::kCap]},
      {"responses_total{result=\"refused\"}", c[Counter::kRefused]},
      {"responses_total{result=\"error\"}", c[Counter::kMalformed] + c[Counter::kUnexpected] + c[Counter::kStampMismatch]},
      {"envelopes_opened_total{kind=\"shake\"}", c[Counter::kWon]},
      {"envelopes_opened_total{kind=\"gift\"}", c[Counter::kOpened]},
      {"money_received_fen_total{kind=\"shake\"}", c[Counter::kWonFen]},
      {"money_received_fen_total{kind=\"gift\"}", c[Counter::kOpenedFen]},
      {"notices_total", c[Counter::kNotices]},
      {"statements_total{result=\"equal\"}", c[Counter::kStatementsEqual]},
      {"statements_total{result=\"different\"}", c[Counter::kStatementsDifferent]},
      {"statements_total{result=\"skipped\"}", c[Counter::kStatementsSkipped]},
  };
  const std::string text = TextOf(snapshot);
  for (const auto& [name, value] : kLines) {
    EXPECT_THAT(text, HasSubstr("\nhongbao_" + std::string(name) + " " + std::to_string(value) + "\n"));
  }
}

TEST(ClientMetrics, ConnectFailuresHaveFiveReasonsFromTheStart) {
  load::ClientCounts snapshot;
  snapshot.connect_errors = {{"ECONNREFUSED", 1}, {"ETIMEDOUT", 2}, {"EADDRNOTAVAIL", 3},
                             {"ECONNRESET", 4},   {"EMFILE", 5},    {"ENOMEM", 6}};
  const std::string text = TextOf(snapshot);
  for (const char* line : {"refused\"} 1", "timeout\"} 2", "no_port\"} 3", "reset\"} 4", "other\"} 11"}) {
    EXPECT_THAT(text, HasSubstr("\nhongbao_connect_failures_total{reason=\"" + std::string(line) + "\n"));
  }
  EXPECT_THAT(TextOf({}), HasSubstr("\nhongbao_connect_failures_total{reason=\"other\"} 0\n"));
}

TEST(ClientMetrics, TheTargetIsThisClientsPartOfTheFleets) {
  load::ClientCounts snapshot;
  snapshot.target_qps = 60'000;
  snapshot.skew = {.samples = 3, .skew_ns = -1'500'000};
  load::ClientOptions options;
  options.users = {0, 249, 1'000};
  const std::string text = TextOf(snapshot, options);
  EXPECT_THAT(text, HasSubstr("\nhongbao_target_requests_per_second 15000\n"));
  EXPECT_THAT(text, HasSubstr("\nhongbao_fleet_target_requests_per_second 60000\n"));
  EXPECT_THAT(text, HasSubstr("\nhongbao_clock_offset_seconds -0.0015\n"));
  EXPECT_THAT(text, HasSubstr("\nhongbao_latency_sample_every 1\n"));
  options.gateways = 4;
  EXPECT_THAT(TextOf(snapshot, options), HasSubstr("\nhongbao_latency_sample_every 64\n"));
  EXPECT_THAT(TextOf({}), HasSubstr("\nhongbao_clock_offset_seconds NaN\n"));
}

TEST(ClientMetrics, TheThreeDurationsAreNotMixedUp) {
  const auto of = [](int64_t value_ns) {
    auto histogram = std::make_unique<count::Histogram>();
    histogram->Record(value_ns);
    return histogram->Snapshot();
  };
  const std::string text =
      TextOf({}, {}, {.request = of(3'000'000), .service = of(2'000'000), .lag = of(1'000'000), .last_unix_s = 1'800'000'000});
  EXPECT_THAT(text, HasSubstr("\nhongbao_request_duration_seconds_sum 0.003\n"));
  EXPECT_THAT(text, HasSubstr("\nhongbao_service_duration_seconds_sum 0.002\n"));
  EXPECT_THAT(text, HasSubstr("\nhongbao_schedule_lag_seconds_sum 0.001\n"));
  EXPECT_THAT(text, HasSubstr("\nhongbao_last_second_timestamp_seconds 1800000000\n"));
}

}  // namespace
}  // namespace hongbao::client
