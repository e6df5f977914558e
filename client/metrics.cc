#include "client/metrics.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace hongbao::client {
namespace {

using load::ClientCounts;
using load::Counter;
using watch::CounterOf;
using watch::Families;
using watch::GaugeOf;
using watch::HistogramOf;
using watch::Whole;
using watch::With;

prometheus::MetricFamily ConnectFailures(const ClientCounts& snapshot) {
  std::vector<std::pair<std::string, uint64_t>> by_reason = {
      {"refused", 0}, {"timeout", 0}, {"no_port", 0}, {"reset", 0}, {"other", 0}};
  for (const auto& [error, number] : snapshot.connect_errors) {
    const size_t reason = error == "ECONNREFUSED"    ? 0U
                          : error == "ETIMEDOUT"     ? 1U
                          : error == "EADDRNOTAVAIL" ? 2U
                          : error == "ECONNRESET"    ? 3U
                                                     : 4U;
    by_reason[reason].second += number;
  }
  std::vector<watch::Labelled> samples;
  for (const auto& [reason, number] : by_reason) {
    samples.push_back(With("reason", reason, number));
  }
  return CounterOf("hongbao_connect_failures_total", "Connects that failed; /v1/status has them by errno.", std::move(samples));
}

Families ConnectionFamilies(const ClientCounts& snapshot) {
  const auto& c = snapshot.counters;
  std::vector<std::pair<std::string, uint64_t>> closes;
  for (const auto& label : net::kCloseReasonLabels) {
    closes.emplace_back(label.name, snapshot.closes[label.id]);
  }
  const uint64_t open = c[Counter::kConnects] - std::min(c[Counter::kConnects], c[Counter::kClosed]);
  return {GaugeOf("hongbao_users", "Users of this client.", Whole(snapshot.target)),
          GaugeOf("hongbao_users_online", "Users logged in now.", Whole(c[Counter::kOnline])),
          GaugeOf("hongbao_users_barred", "Users that the server refused for good.", Whole(c[Counter::kBarred])),
          GaugeOf("hongbao_connections", "Connections now.", Whole(open)),
          CounterOf("hongbao_connections_opened_total", "Connects that succeeded.", c[Counter::kConnects]),
          watch::ClosedConnectionsOf(closes),
          ConnectFailures(snapshot),
          CounterOf("hongbao_logins_total", "Logins, by what came of them.",
                    {With("result", "ok", c[Counter::kLogins]), With("result", "refused", c[Counter::kLoginsRefused]),
                     With("result", "timed_out", c[Counter::kLoginsTimedOut]),
                     With("result", "closed", c[Counter::kLoginsClosed]), With("result", "garbled", c[Counter::kLoginsGarbled])}),
          CounterOf("hongbao_connections_closed_idle_total",
                    "Connections that the server closed for idleness; their users were back at once.", c[Counter::kClosedIdle]),
          CounterOf("hongbao_sessions_superseded_total",
                    "Sessions that a login of the same user elsewhere ended: another client has the same users.",
                    c[Counter::kSuperseded])};
}

Families RequestFamilies(const ClientCounts& snapshot) {
  const auto& c = snapshot.counters;
  return {CounterOf("hongbao_requests_total", "Requests sent for the first time, by what they ask for.",
                    {With("type", "login", c[Counter::kConnects]), With("type", "shake", c[Counter::kSent]),
                     With("type", "open", c[Counter::kOpensSent])}),
          CounterOf("hongbao_requests_repeated_total", "Requests sent again after a reconnect, with the stamp they had.",
                    {With("type", "shake", c[Counter::kShakesRepeated]), With("type", "open", c[Counter::kOpensRepeated])}),
          CounterOf("hongbao_requests_due_total", "Shakes whose time came: sent or missed.", c[Counter::kDue]),
          CounterOf("hongbao_missed_sends_total",
                    "Shakes that were due and not sent: too late, no session, or too many without an answer.",
                    {With("reason", "late", c[Counter::kMissedLate]), With("reason", "offline", c[Counter::kMissedOffline]),
                     With("reason", "backlog", c[Counter::kMissedBacklog])}),
          CounterOf("hongbao_late_sends_total", "Shakes sent more than 1 ms after they were due.", c[Counter::kLate]),
          CounterOf("hongbao_requests_lost_total", "Shakes sent that will have no answer.", c[Counter::kLost]),
          CounterOf("hongbao_stamps_ahead_total",
                    "Requests refused because they were stamped more than an hour ahead of the server's clock.",
                    c[Counter::kStampsAhead]),
          GaugeOf("hongbao_requests_outstanding", "Requests without an answer now.",
                  {With("type", "shake", c[Counter::kOutstanding]), With("type", "open", c[Counter::kOpensOutstanding])}),
          CounterOf("hongbao_responses_total",
                    "Answers to shakes: won, nothing (to win), cap (the user has won enough), refused (overload, or a "
                    "stamp too far ahead); "
                    "error: frames that the protocol does not have or that answer nothing.",
                    {With("result", "won", c[Counter::kWon]), With("result", "nothing", c[Counter::kNothing]),
                     With("result", "cap", c[Counter::kCap]), With("result", "refused", c[Counter::kRefused]),
                     With("result", "error", c[Counter::kMalformed] + c[Counter::kUnexpected] + c[Counter::kStampMismatch])})};
}

Families MoneyFamilies(const ClientCounts& snapshot) {
  const auto& c = snapshot.counters;
  return {CounterOf("hongbao_envelopes_opened_total", "Grants: shake envelopes won, and shares of gifts opened.",
                    {With("kind", "shake", c[Counter::kWon]), With("kind", "gift", c[Counter::kOpened])}),
          CounterOf("hongbao_money_received_fen_total", "Money received, in fen (1/100 yuan): won by shaking, opened from gifts.",
                    {With("kind", "shake", c[Counter::kWonFen]), With("kind", "gift", c[Counter::kOpenedFen])}),
          CounterOf("hongbao_notices_total", "Notices of gifts received.", c[Counter::kNotices]),
          CounterOf("hongbao_statements_total", "Accounts compared with the server's at the end, by what came of it.",
                    {With("result", "equal", c[Counter::kStatementsEqual]),
                     With("result", "different", c[Counter::kStatementsDifferent]),
                     With("result", "skipped", c[Counter::kStatementsSkipped])})};
}

Families TimeFamilies(const load::ClientOptions& options, const ClientCounts& snapshot, const Moment& moment) {
  const double part = static_cast<double>(options.users.count()) / static_cast<double>(std::max(1U, options.users.total));
  const double offset_s = snapshot.skew.samples == 0 ? std::nan("") : static_cast<double>(snapshot.skew.skew_ns) * 1e-9;
  return {HistogramOf("hongbao_request_duration_seconds",
                      "From the time a shake was due to its answer: what a user would have felt.", moment.request),
          HistogramOf("hongbao_service_duration_seconds", "From the send of a shake to its answer.", moment.service),
          HistogramOf("hongbao_schedule_lag_seconds", "From the time a shake was due to its send: what is this client's own.",
                      moment.lag),
          GaugeOf("hongbao_latency_sample_every", "Of so many shakes the three durations of one are recorded.",
                  Whole(load::LatencySampleEvery(options))),
          GaugeOf("hongbao_target_requests_per_second",
                  "Shakes a second of this client now; 0 also when it sends as fast as it goes.", snapshot.target_qps * part),
          GaugeOf("hongbao_fleet_target_requests_per_second", "Shakes a second of the whole fleet now.", snapshot.target_qps),
          GaugeOf("hongbao_clock_offset_seconds",
                  "The server's clock less this one's, by its login replies; NaN before the first.", offset_s),
          watch::ClockStepsOf(snapshot.clock_steps.count),
          GaugeOf("hongbao_last_second_timestamp_seconds", "The last second that is counted to its end, unix time; 0: none.",
                  static_cast<double>(moment.last_unix_s))};
}

}  // namespace

Moment MomentOf(const load::Client& client, int64_t last_unix_s) {
  return {.request = client.Latency(), .service = client.Service(), .lag = client.Lag(), .last_unix_s = last_unix_s};
}

Families ClientFamilies(const load::ClientOptions& options, const ClientCounts& snapshot, const Moment& moment) {
  Families all;
  for (Families part : {ConnectionFamilies(snapshot), RequestFamilies(snapshot), MoneyFamilies(snapshot),
                        TimeFamilies(options, snapshot, moment)}) {
    std::move(part.begin(), part.end(), std::back_inserter(all));
  }
  all.push_back(CounterOf("hongbao_network_received_bytes_total", "Bytes of messages received.",
                          snapshot.net[net::Counter::kReceivedBytes]));
  all.push_back(CounterOf("hongbao_network_sent_bytes_total", "Bytes of messages sent.", snapshot.net[net::Counter::kSentBytes]));
  return all;
}

}  // namespace hongbao::client
