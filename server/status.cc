#include "server/status.h"

#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "libhongbao/cli/options.h"
#include "libhongbao/watch/clock_news.h"
#include "libhongbao/watch/process_stats.h"

namespace hongbao::server {
namespace {

using nlohmann::json;
using serve::Counter;

template <class E, size_t N>
json Labelled(const count::Values<E>& values, const std::array<count::Label<E>, N>& labels) {
  json object = json::object();
  for (const count::Label<E>& label : labels) {
    object[std::string(label.name)] = values[label.id];
  }
  return object;
}

json GiftsJson(const serve::ServerCounts& counts) {
  const count::Values<Counter>& c = counts.serve;
  return {{"sent", c[Counter::kGiftsSent]},
          {"sent_fen", c[Counter::kGiftsSentFen]},
          {"shares", c[Counter::kGiftShares]},
          {"opened", c[Counter::kOpened]},
          {"opened_fen", c[Counter::kOpenedFen]},
          {"opened_again", c[Counter::kOpenedAgain]},
          {"empty", c[Counter::kOpensEmpty]},
          {"left_shares", c[Counter::kGiftShares] + counts.restored.count - c[Counter::kOpened] - c[Counter::kRefundedShares]},
          {"left_fen", c[Counter::kGiftsSentFen] + static_cast<uint64_t>(counts.restored.sum.value()) - c[Counter::kOpenedFen] -
                           c[Counter::kRefundedFen]},
          {"refunded_shares", c[Counter::kRefundedShares]},
          {"refunded_fen", c[Counter::kRefundedFen]},
          {"notices", c[Counter::kNotices]},
          {"notices_lost", c[Counter::kNoticesLost]},
          {"replies_lost", c[Counter::kRepliesLost]},
          {"refused", c[Counter::kGiftsRefused] + c[Counter::kSendsRefused]},
          {"offered_again", c[Counter::kGiftsOfferedAgain]},
          {"sends_limited",
           {{"sender", c[Counter::kSendsSenderCap]},
            {"pair", c[Counter::kSendsPairCap]},
            {"recipient", c[Counter::kSendsUserFull]},
            {"book", c[Counter::kSendsBookFull]},
            {"ids", c[Counter::kSendsNoIds]}}},
          {"refused_fen", c[Counter::kGiftsRefusedFen]}};
}

json LedgerJson(const serve::ServerCounts& counts, const ProcessFacts& facts) {
  const count::Values<Counter>& c = counts.serve;
  return {{"where", facts.ledger},
          {"repeated", c[Counter::kRepeated]},
          {"returned", c[Counter::kReturned]},
          {"returned_fen", c[Counter::kReturnedFen]},
          {"sends_repeated", c[Counter::kSendsRepeated]},
          {"resumed", c[Counter::kResumed]},
          {"forwarded", c[Counter::kForwarded]},
          {"late", c[Counter::kLate]},
          {"full", c[Counter::kLedgerFull]}};
}

json ClockJson(const serve::ServerCounts& counts) {
  json clock = watch::ClockStepsJson(counts.clock_steps);
  clock["confirmed"] = counts.clock_confirmed;  // gifts expire by it
  clock["stamps_ahead"] = counts.serve[serve::Counter::kStampsAhead];
  clock["started_off_s"] = static_cast<double>(counts.clock_started_off_ns) * 1e-9;
  return clock;
}

json ConnectionsJson(const serve::ServerCounts& counts) {
  json closed_by = Labelled(counts.closes, net::kCloseReasonLabels);
  closed_by.erase("none");
  const auto& closes = counts.closes.value;
  return {{"live", counts.connections},
          {"accepted", counts.net[net::Counter::kAccepted]},
          {"closed", std::accumulate(closes.begin(), closes.end(), uint64_t{0})},
          {"closed_by", closed_by}};
}

}  // namespace

json StatusJson(const serve::Server& server, const serve::ServerCounts& counts, const ProcessFacts& facts,
                const time::Clock& clock) {
  const count::Values<Counter>& c = counts.serve;
  const watch::ProcessStats process = watch::ReadProcessStats();
  const int64_t won_fen = static_cast<int64_t>(c[Counter::kWonFen]);
  return {{"role", "server"},
          {"version", cli::Version()},
          {"pid", getpid()},
          {"unix_s", time::UnixSecond(clock.WallNs())},
          {"uptime_s", (clock.MonotonicNs() - facts.started_ns) / time::kNsPerSecond},
          {"clock", ClockJson(counts)},
          {"listen", facts.listen},
          {"plan", server.plan().ToString()},
          {"draining", server.draining()},
          {"ready", !server.draining()},
          {"connections", ConnectionsJson(counts)},
          {"users",
           {{"online", counts.users_online()}, {"max", server.options().users_max}, {"superseded", c[Counter::kSuperseded]}}},
          {"gateways", {{"by_worker", counts.gateways}, {"moved", c[Counter::kGatewaysMoved]}}},
          {"logins",
           {{"ok", c[Counter::kLoginsOk]},
            {"out_of_range", c[Counter::kLoginsOutOfRange]},
            {"bad_token", c[Counter::kLoginsBadToken]},
            {"full", c[Counter::kLoginsFull]}}},
          {"requests",
           {{"received", c[Counter::kReceived]},
            {"replied", c[Counter::kReplied]},
            {"refused", c[Counter::kRefused]},
            {"dropped", c[Counter::kDropped]}}},
          {"requests_by_type",
           {{"login", c[Counter::kFramesLogin]},
            {"shake", c[Counter::kFramesShake]},
            {"open", c[Counter::kFramesOpen]},
            {"send", c[Counter::kFramesSend]},
            {"statement", c[Counter::kFramesStatement]}}},
          {"replies",
           {{"won", c[Counter::kWon]},
            {"nothing", c[Counter::kNothing]},
            {"cap", c[Counter::kCap]},
            {"repeated", c[Counter::kRepeated]},
            {"refused", c[Counter::kRefused]}}},
          {"shake",
           {{"issued", counts.issued.count},
            {"issued_fen", counts.issued.sum.value()},
            {"won", c[Counter::kWon]},
            {"won_fen", c[Counter::kWonFen]},
            {"left", counts.envelopes_left},
            {"left_fen", counts.issued.sum.value() - won_fen}}},
          {"ledger", LedgerJson(counts, facts)},
          {"mint_waiting", counts.mint_waiting},
          {"orders",
           {{"placed", server.orders()},
            {"cancelled_shakes", counts.cancelled.shakes},
            {"cancelled_shakes_fen", counts.cancelled.shakes_fen.value()},
            {"cancelled_gifts", counts.cancelled.gifts}}},
          {"gifts", GiftsJson(counts)},
          {"memory", {{"rss_bytes", process.rss_bytes}, {"rss_max_bytes", process.rss_max_bytes}}},
          {"cpu", {{"user_s", process.user_s}, {"system_s", process.system_s}}},
          {"rings", Labelled(counts.net, net::kCounterLabels)}};
}

void AddReport(json& document, const std::vector<Second>& seconds, const std::vector<serve::Identity>& identities) {
  json series = json::array();
  for (const Second& second : seconds) {
    series.push_back(SecondJson(second));
  }
  document["series"] = std::move(series);
  // Of a run longer than a day: rows of a minute, and of an hour.
  document["series_coarse_rows"] =
      std::count_if(seconds.begin(), seconds.end(), [](const Second& second) { return second.row.span >= 60; });
  json named = json::object();
  for (const serve::Identity& identity : identities) {
    named[identity.name] = identity.holds;
  }
  document["identities"] = std::move(named);
  const bool pass = std::all_of(identities.begin(), identities.end(), [](const auto& one) { return one.holds; });
  document["report"] = true;  // by which the last line of --json is known from the rows
  document["verdict"] = pass ? "pass" : "fail";
}

}  // namespace hongbao::server
