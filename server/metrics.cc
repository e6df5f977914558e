#include "server/metrics.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace hongbao::server {
namespace {

using serve::Counter;
using serve::ServerCounts;
using watch::CounterOf;
using watch::Families;
using watch::GaugeOf;
using watch::Labelled;
using watch::Whole;
using watch::With;

double Fen(const envelope::Tally& tally) { return static_cast<double>(tally.sum.value()); }

// A difference of counters that were read one after the other, each whole: it may be off by what happened in between, but is
// never told as less than nothing.
double Left(uint64_t in, uint64_t out) { return in > out ? Whole(in - out) : 0; }

Families ConnectionFamilies(const ServerCounts& counts) {
  const auto& c = counts.serve;
  std::vector<std::pair<std::string, uint64_t>> closes;
  for (const auto& label : net::kCloseReasonLabels) {
    closes.emplace_back(label.name, counts.closes[label.id]);
  }
  return {
      GaugeOf("hongbao_connections", "Connections now.", Whole(counts.connections)),
      CounterOf("hongbao_connections_opened_total", "Connections accepted.", counts.net[net::Counter::kAccepted]),
      watch::ClosedConnectionsOf(closes),
      GaugeOf("hongbao_users_online", "Users logged in now.", static_cast<double>(std::max<int64_t>(counts.users_online(), 0))),
      CounterOf("hongbao_logins_total", "Logins, by what was answered.",
                {With("result", "ok", c[Counter::kLoginsOk]), With("result", "out_of_range", c[Counter::kLoginsOutOfRange]),
                 With("result", "bad_token", c[Counter::kLoginsBadToken]), With("result", "full", c[Counter::kLoginsFull])}),
      CounterOf("hongbao_sessions_superseded_total", "Sessions that a newer login of the same user replaced.",
                c[Counter::kSuperseded])};
}

Families RequestFamilies(const ServerCounts& counts) {
  const auto& c = counts.serve;
  return {CounterOf("hongbao_requests_total", "Requests received, by what they ask for.",
                    {With("type", "login", c[Counter::kFramesLogin]), With("type", "shake", c[Counter::kFramesShake]),
                     With("type", "open", c[Counter::kFramesOpen]), With("type", "send", c[Counter::kFramesSend]),
                     With("type", "statement", c[Counter::kFramesStatement])}),
          CounterOf("hongbao_responses_total",
                    "Answers to shakes: won, nothing (to win), cap (the user has won enough), refused (overload, or a "
                    "stamp too far ahead), repeated "
                    "(the first outcome once more).",
                    {With("result", "won", c[Counter::kWon]), With("result", "nothing", c[Counter::kNothing]),
                     With("result", "cap", c[Counter::kCap]), With("result", "refused", c[Counter::kRefused]),
                     With("result", "repeated", c[Counter::kRepeated])}),
          CounterOf("hongbao_requests_dropped_total", "Shakes without an answer, because the connection had no room for it.",
                    c[Counter::kDropped]),
          CounterOf("hongbao_ledger_refusals_total", "Requests refused because too many records waited for the ledger.",
                    c[Counter::kLedgerFull]),
          CounterOf("hongbao_gateways_moved_total",
                    "Gateways that went to another worker at their login, as it had fewer of them.", c[Counter::kGatewaysMoved]),
          CounterOf("hongbao_stamps_ahead_total",
                    "Requests refused because they were stamped more than an hour ahead of the server's clock.",
                    c[Counter::kStampsAhead]),
          GaugeOf("hongbao_ledger_waiting_requests", "Shakes whose answer waits for the ledger now.",
                  Left(c[Counter::kReceived], c[Counter::kReplied] + c[Counter::kRefused] + c[Counter::kDropped]))};
}

Families EnvelopeFamilies(const ServerCounts& counts) {
  const auto& c = counts.serve;
  const uint64_t shares_gone = c[Counter::kOpened] + c[Counter::kRefundedShares];
  const uint64_t shares = c[Counter::kGiftShares] + counts.restored.count;
  return {
      CounterOf("hongbao_envelopes_created_total", "Envelopes made: shake envelopes issued into the pool, and gifts.",
                {With("kind", "shake", counts.issued.count), With("kind", "gift", c[Counter::kGiftsSent])}),
      CounterOf("hongbao_gift_shares_created_total", "Shares of the gifts made, one for each invited user.",
                c[Counter::kGiftShares]),
      CounterOf("hongbao_envelopes_opened_total", "Grants: shake envelopes won, and shares of gifts opened.",
                {With("kind", "shake", c[Counter::kWon]), With("kind", "gift", c[Counter::kOpened])}),
      GaugeOf("hongbao_envelopes_left", "What nobody has yet: shake envelopes in the pool, shares of gifts that live.",
              {With("kind", "shake", counts.envelopes_left), {.labels = {{"kind", "gift"}}, .value = Left(shares, shares_gone)}}),
      GaugeOf("hongbao_queue_envelopes", "Envelopes ordered and not issued yet.",
              static_cast<double>(std::max<int64_t>(counts.mint_waiting, 0))),
      CounterOf("hongbao_gifts_refused_total", "Gifts refused: users' that may not be, minted ones without room in the book.",
                c[Counter::kGiftsRefused] + c[Counter::kSendsRefused]),
      CounterOf("hongbao_sends_overloaded_total", "Requests to send a gift that were answered \"overloaded\".",
                c[Counter::kSendsOverload]),
      CounterOf("hongbao_gifts_offered_again_total",
                "Times a minted gift found no room with its owner and went back, to be offered again.",
                c[Counter::kGiftsOfferedAgain]),
      CounterOf("hongbao_sends_limited_total",
                "Requests to send a gift that met a limit: of the sender's live gifts, of those to one user, of a recipient's "
                "unopened gifts, of the book's part for sends, of the numbers for gifts.",
                {With("limit", "sender", c[Counter::kSendsSenderCap]), With("limit", "pair", c[Counter::kSendsPairCap]),
                 With("limit", "recipient", c[Counter::kSendsUserFull]), With("limit", "book", c[Counter::kSendsBookFull]),
                 With("limit", "ids", c[Counter::kSendsNoIds])}),
      CounterOf("hongbao_envelopes_cancelled_total", "Envelopes that were ordered and, as their order was cancelled, not made.",
                {With("kind", "shake", counts.cancelled.shakes), With("kind", "gift", counts.cancelled.gifts)}),
      CounterOf("hongbao_notices_total", "Notices of gifts queued to a connection.", c[Counter::kNotices]),
      CounterOf("hongbao_notices_lost_total",
                "Notices whose connection was gone or had no room; they are sent again when there is some, or at the next login.",
                c[Counter::kNoticesLost]),
      CounterOf("hongbao_replies_lost_total", "Answers whose connection was gone; asking again gives the same.",
                c[Counter::kRepliesLost])};
}

Families MoneyFamilies(const ServerCounts& counts) {
  const auto& c = counts.serve;
  const uint64_t issued_fen = static_cast<uint64_t>(std::max<int64_t>(counts.issued.sum.value(), 0));
  const uint64_t gifts_fen = c[Counter::kGiftsSentFen] + static_cast<uint64_t>(std::max<int64_t>(counts.restored.sum.value(), 0));
  return {
      CounterOf("hongbao_money_issued_fen_total", "Money put into envelopes, in fen (1/100 yuan).",
                {{.labels = {{"kind", "shake"}}, .value = Fen(counts.issued)}, With("kind", "gift", c[Counter::kGiftsSentFen])}),
      CounterOf("hongbao_money_given_fen_total", "Money given to users, in fen: won by shaking, opened from gifts.",
                {With("kind", "shake", c[Counter::kWonFen]), With("kind", "gift", c[Counter::kOpenedFen])}),
      CounterOf("hongbao_money_refunded_fen_total", "Money of expired gifts given back to who sent them, in fen.",
                c[Counter::kRefundedFen]),
      GaugeOf("hongbao_money_left_fen", "Money in envelopes that nobody has yet, in fen.",
              {{.labels = {{"kind", "shake"}}, .value = Left(issued_fen, c[Counter::kWonFen])},
               {.labels = {{"kind", "gift"}}, .value = Left(gifts_fen, c[Counter::kOpenedFen] + c[Counter::kRefundedFen])}})};
}

Families NetworkFamilies(const ServerCounts& counts) {
  const auto& n = counts.net;
  using net::Counter;
  return {CounterOf("hongbao_network_received_bytes_total", "Bytes of messages received.", n[Counter::kReceivedBytes]),
          CounterOf("hongbao_network_sent_bytes_total", "Bytes of messages sent.", n[Counter::kSentBytes]),
          CounterOf("hongbao_network_receives_total", "Receives that brought bytes.", n[Counter::kReceives]),
          CounterOf("hongbao_network_sends_total", "Sends that completed.", n[Counter::kSends]),
          CounterOf("hongbao_receive_buffer_shortages_total", "Receives that had to wait for a buffer.", n[Counter::kNoBuffers]),
          CounterOf("hongbao_connection_holds_total", "Times a connection was made to wait: no room for more answers to it.",
                    n[Counter::kHolds]),
          CounterOf("hongbao_accept_pauses_total", "Times accepting stopped for want of descriptors or memory.",
                    n[Counter::kAcceptPauses]),
          CounterOf("hongbao_connections_turned_away_total", "Connections closed at once: the table was too small.",
                    n[Counter::kTurnedAway]),
          CounterOf("hongbao_ring_overflows_total", "Times a completion queue overflowed.", n[Counter::kOverflows])};
}

}  // namespace

Families ServerFamilies(const ServerCounts& counts, const Moment& moment) {
  Families all;
  for (Families part : {ConnectionFamilies(counts), RequestFamilies(counts), EnvelopeFamilies(counts), MoneyFamilies(counts),
                        NetworkFamilies(counts)}) {
    std::move(part.begin(), part.end(), std::back_inserter(all));
  }
  all.push_back(GaugeOf("hongbao_draining", "1 once the server sends what it owes and lets nobody in.", moment.draining ? 1 : 0));
  all.push_back(watch::ClockStepsOf(counts.clock_steps.count));
  all.push_back(GaugeOf("hongbao_clock_confirmed", "1 while gifts expire by the wall clock; 0: nobody has confirmed it yet.",
                        counts.clock_confirmed ? 1 : 0));
  all.push_back(GaugeOf("hongbao_last_second_timestamp_seconds",
                        "The last second that is counted to its end, unix time; 0: none.",
                        static_cast<double>(moment.last_unix_s)));
  return all;
}

}  // namespace hongbao::server
