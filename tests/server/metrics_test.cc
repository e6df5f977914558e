#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace hongbao::server {
namespace {

using serve::Counter;
using ::testing::HasSubstr;

std::string TextOf(const serve::ServerCounts& counts, const Moment& moment = {}) {
  return "\n" + watch::OpenMetricsText(ServerFamilies(counts, moment));
}

TEST(ServerMetrics, EveryCounterStandsUnderItsOwnName) {
  serve::ServerCounts counts;
  for (size_t i = 0; i < counts.serve.value.size(); ++i) {
    counts.serve.value[i] = 1'000 + i;  // each another number: a swapped pair shows
  }
  const auto at = [&counts](Counter id) { return std::to_string(counts.serve[id]); };
  const std::string text = TextOf(counts);
  const std::pair<const char*, Counter> kLines[] = {
      {"requests_total{type=\"login\"}", Counter::kFramesLogin},
      {"requests_total{type=\"shake\"}", Counter::kFramesShake},
      {"requests_total{type=\"open\"}", Counter::kFramesOpen},
      {"requests_total{type=\"send\"}", Counter::kFramesSend},
      {"requests_total{type=\"statement\"}", Counter::kFramesStatement},
      {"responses_total{result=\"won\"}", Counter::kWon},
      {"responses_total{result=\"nothing\"}", Counter::kNothing},
      {"responses_total{result=\"cap\"}", Counter::kCap},
      {"responses_total{result=\"refused\"}", Counter::kRefused},
      {"responses_total{result=\"repeated\"}", Counter::kRepeated},
      {"requests_dropped_total", Counter::kDropped},
      {"sessions_superseded_total", Counter::kSuperseded},
      {"logins_total{result=\"ok\"}", Counter::kLoginsOk},
      {"logins_total{result=\"out_of_range\"}", Counter::kLoginsOutOfRange},
      {"logins_total{result=\"bad_token\"}", Counter::kLoginsBadToken},
      {"logins_total{result=\"full\"}", Counter::kLoginsFull},
      {"ledger_refusals_total", Counter::kLedgerFull},
      {"envelopes_created_total{kind=\"gift\"}", Counter::kGiftsSent},
      {"gift_shares_created_total", Counter::kGiftShares},
      {"envelopes_opened_total{kind=\"shake\"}", Counter::kWon},
      {"envelopes_opened_total{kind=\"gift\"}", Counter::kOpened},
      {"money_given_fen_total{kind=\"shake\"}", Counter::kWonFen},
      {"money_given_fen_total{kind=\"gift\"}", Counter::kOpenedFen},
      {"money_issued_fen_total{kind=\"gift\"}", Counter::kGiftsSentFen},
      {"money_refunded_fen_total", Counter::kRefundedFen},
      {"sends_overloaded_total", Counter::kSendsOverload},
      {"notices_total", Counter::kNotices},
      {"notices_lost_total", Counter::kNoticesLost},
      {"gateways_moved_total", Counter::kGatewaysMoved},
      {"stamps_ahead_total", Counter::kStampsAhead},
      {"replies_lost_total", Counter::kRepliesLost},
  };
  for (const auto& [name, id] : kLines) {
    EXPECT_THAT(text, HasSubstr("\nhongbao_" + std::string(name) + " " + at(id) + "\n"));
  }
}

TEST(ServerMetrics, GaugesAreWhatIsLeft) {
  serve::ServerCounts counts{
      .issued = {.count = 10, .sum = envelope::Fen(1'000)}, .envelopes_left = 7, .connections = 4, .mint_waiting = 90};
  counts.restored = {.count = 5, .sum = envelope::Fen(50)};
  auto& c = counts.serve;
  c[Counter::kReceived] = 100, c[Counter::kReplied] = 80, c[Counter::kRefused] = 5, c[Counter::kDropped] = 1;
  c[Counter::kWonFen] = 300, c[Counter::kUsersCame] = 9, c[Counter::kUsersLeft] = 6;
  c[Counter::kGiftShares] = 6, c[Counter::kOpened] = 2, c[Counter::kRefundedShares] = 1;
  c[Counter::kGiftsSentFen] = 600, c[Counter::kOpenedFen] = 200, c[Counter::kRefundedFen] = 100;
  const std::string text = TextOf(counts, {.draining = true, .last_unix_s = 1'800'000'000});
  for (const char* line : {"connections 4", "users_online 3", "envelopes_left{kind=\"shake\"} 7",
                           "envelopes_left{kind=\"gift\"} 8", "queue_envelopes 90", "money_left_fen{kind=\"shake\"} 700",
                           "money_left_fen{kind=\"gift\"} 350", "ledger_waiting_requests 14", "draining 1",
                           "last_second_timestamp_seconds 1800000000", "money_issued_fen_total{kind=\"shake\"} 1000"}) {
    EXPECT_THAT(text, HasSubstr("\nhongbao_" + std::string(line) + "\n"));
  }
}

// Counters are read one after the other while the workers go on.
TEST(ServerMetrics, NothingIsLessThanNothing) {
  serve::ServerCounts counts;
  counts.serve[Counter::kReplied] = 3, counts.serve[Counter::kUsersLeft] = 1, counts.serve[Counter::kWonFen] = 9;
  const std::string text = TextOf(counts);
  EXPECT_THAT(text, HasSubstr("\nhongbao_ledger_waiting_requests 0\n"));
  EXPECT_THAT(text, HasSubstr("\nhongbao_users_online 0\n"));
  EXPECT_THAT(text, HasSubstr("\nhongbao_money_left_fen{kind=\"shake\"} 0\n"));
}

TEST(ServerMetrics, EveryCauseOfACloseIsThereFromTheStart) {
  const std::string text = TextOf({});
  for (const auto& label : net::kCloseReasonLabels) {
    if (label.name != "none") {
      EXPECT_THAT(text, HasSubstr("cause=\"" + std::string(label.name) + "\"} 0\n"));
    }
  }
}

}  // namespace
}  // namespace hongbao::server
