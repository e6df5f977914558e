#include "client/status.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <iterator>
#include <string>

#include "client/reach.h"
#include "client/verdict.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/time/clock_sync.h"
#include "libhongbao/watch/clock_news.h"

namespace hongbao::client {
namespace {

using load::Counter;
using load::PhaseCounter;
using nlohmann::json;

constexpr int64_t kSkewToleranceNs = 5'000'000;

json LatencyDocument(const count::LatencyUs& latency) {
  return {{"count", latency.count}, {"mean", latency.mean}, {"p50", latency.p50},     {"p90", latency.p90},
          {"p99", latency.p99},     {"p999", latency.p999}, {"p9999", latency.p9999}, {"max", latency.max}};
}

// The buckets in use as [largest ns, how many], so that a reader can add up several clients'; exact as the histogram is.
json HistogramDocument(const count::HistogramSnapshot& histogram) {
  json buckets = json::array();
  for (size_t bucket = 0; bucket < count::kBuckets; ++bucket) {
    if (histogram.CountAt(bucket) > 0) {
      buckets.push_back({count::BucketHighNs(bucket), histogram.CountAt(bucket)});
    }
  }
  return buckets;
}

json ClockDocument(const time::Skew& skew, const time::StepCount& steps) {
  const time::KernelClock kernel = time::ReadKernelClock();
  const char* warning = time::ClockWarning(kernel, skew, kSkewToleranceNs);
  json document = watch::ClockStepsJson(steps);
  document.update({{"synchronised", kernel.available && kernel.synchronised},
                   {"max_error_us", kernel.max_error_ns / 1'000},
                   {"server_samples", skew.samples},
                   {"server_skew_us", skew.skew_ns / 1'000},
                   {"server_round_trip_us", skew.round_trip_ns / 1'000},
                   {"warning", warning == nullptr ? json() : json(warning)}});
  return document;
}

json PhaseDocument(const load::PhaseReport& phase) {
  const auto& counters = phase.counters;
  return {{"name", phase.name},
          {"at_unix_s", phase.at_second},
          {"target_qps", phase.target_qps},
          {"duration_s", phase.duration_s},
          {"due", counters[PhaseCounter::kDue]},
          {"sent", counters[PhaseCounter::kSent]},
          {"answered", counters[PhaseCounter::kAnswered]},
          {"refused", counters[PhaseCounter::kRefused]},
          {"missed", counters[PhaseCounter::kMissed]},
          {"late", counters[PhaseCounter::kLate]},
          {"lost", counters[PhaseCounter::kLost]},
          {"won", counters[PhaseCounter::kWon]},
          {"won_fen", counters[PhaseCounter::kWonFen]},
          {"mean_qps", phase.mean_qps},
          {"worst_second_qps", phase.worst_second_qps},
          {"best_second_qps", phase.best_second_qps},
          {"wins_per_second", {{"min", phase.wins_per_second_min}, {"max", phase.wins_per_second_max}}},
          {"latency_us",
           {{"schedule", LatencyDocument(phase.schedule.Summary())},
            {"winners", LatencyDocument(phase.winners.Summary())},
            {"others", LatencyDocument(phase.others.Summary())},
            {"service", LatencyDocument(phase.service.Summary())}}}};
}

json ConnectionsDocument(const Options& options, const load::ClientCounts& snapshot) {
  const auto& counters = snapshot.counters;
  const std::string trouble = TroubleOf(options, snapshot);
  json failed = json::object();
  for (const auto& [name, number] : snapshot.connect_errors) {
    failed[name] = number;
  }
  json closed_by = json::object();
  for (const auto& label : net::kCloseReasonLabels) {
    if (snapshot.closes[label.id] != 0) {
      closed_by[std::string(label.name)] = snapshot.closes[label.id];
    }
  }
  return {{"target", snapshot.target},
          {"established", counters[Counter::kEstablished]},
          {"live", counters[Counter::kOnline]},
          {"opened", counters[Counter::kConnects]},
          {"closed", counters[Counter::kClosed]},
          {"closed_by", closed_by},
          {"failed", failed},
          {"logins", counters[Counter::kLogins]},
          {"logins_refused", counters[Counter::kLoginsRefused]},
          {"logins_timed_out", counters[Counter::kLoginsTimedOut]},
          {"logins_closed", counters[Counter::kLoginsClosed]},
          {"logins_garbled", counters[Counter::kLoginsGarbled]},
          {"closed_silent", counters[Counter::kClosedSilent]},
          {"closed_idle", counters[Counter::kClosedIdle]},
          {"closed_idle_after_s", static_cast<double>(snapshot.idle_close_ns) * 1e-9},
          {"trouble", trouble.empty() ? json() : json(trouble)},
          {"barred", counters[Counter::kBarred]},
          {"superseded", counters[Counter::kSuperseded]},
          {"seconds", snapshot.connect_seconds},
          {"done", snapshot.all_online}};
}

}  // namespace

json StatusJson(const Options& options, const load::ClientCounts& snapshot, const watch::ProcessStats& process) {
  const auto& counters = snapshot.counters;
  json net_counters;
  for (const auto& label : net::kCounterLabels) {
    net_counters[std::string(label.name)] = snapshot.net[label.id];
  }
  const load::UserRange& users = options.load.users;
  return {{"role", "client"},
          {"version", cli::Version()},
          {"pid", getpid()},
          {"unix_s", std::time(nullptr)},
          {"server", options.server.ToString()},
          {"protocol", static_cast<int>(options.load.version)},
          {"users", {{"first", users.first}, {"last", users.last}, {"total", users.total}}},
          {"connections", ConnectionsDocument(options, snapshot)},
          {"target_qps", snapshot.target_qps},
          {"gateways", options.load.gateways},                               // 0: a connection for each user
          {"latency_sample_every", load::LatencySampleEvery(options.load)},  // requests; of one of them it is known
          {"requests",
           {{"due", counters[Counter::kDue]},
            {"sent", counters[Counter::kSent]},
            {"answered", counters[Counter::kAnswered]},
            {"refused", counters[Counter::kRefused]},
            {"lost", counters[Counter::kLost]},
            {"repeated", counters[Counter::kShakesRepeated]},
            {"missed", load::Missed(counters)},
            {"missed_by",
             {{"late", counters[Counter::kMissedLate]},
              {"offline", counters[Counter::kMissedOffline]},
              {"backlog", counters[Counter::kMissedBacklog]}}},
            {"late", counters[Counter::kLate]},
            {"outstanding", counters[Counter::kOutstanding]}}},
          {"replies",
           {{"won", counters[Counter::kWon]},
            {"nothing", counters[Counter::kNothing]},
            {"cap", counters[Counter::kCap]},
            {"refused", counters[Counter::kRefused]},
            {"ahead", counters[Counter::kStampsAhead]},  // of the refused
            {"repeated", counters[Counter::kAnswersRepeated]}}},
          {"won", {{"count", counters[Counter::kWon]}, {"fen", counters[Counter::kWonFen]}}},
          {"gifts",
           {{"notices", counters[Counter::kNotices]},
            {"notices_repeated", counters[Counter::kNoticesRepeated]},
            {"notices_misdelivered", counters[Counter::kNoticesMisdelivered]},
            {"notices_not_opened", counters[Counter::kNoticesNotOpened]},
            {"opens_sent", counters[Counter::kOpensSent]},
            {"opens_repeated", counters[Counter::kOpensRepeated]},
            {"opens_outstanding", counters[Counter::kOpensOutstanding]},
            {"opened", counters[Counter::kOpened]},
            {"opened_fen", counters[Counter::kOpenedFen]},
            {"empty", counters[Counter::kOpenedEmpty]}}},
          {"statements",
           {{"bases", counters[Counter::kStatementBases]},
            {"bases_fen", counters[Counter::kStatementBasesFen]},
            {"asked", counters[Counter::kStatementsAsked]},
            {"equal", counters[Counter::kStatementsEqual]},
            {"different", counters[Counter::kStatementsDifferent]},
            {"skipped", counters[Counter::kStatementsSkipped]}}},
          {"protocol_errors",
           {{"malformed", counters[Counter::kMalformed]},
            {"unexpected", counters[Counter::kUnexpected]},
            {"stamp_mismatch", counters[Counter::kStampMismatch]}}},
          {"memory", {{"rss_bytes", process.rss_bytes}, {"rss_max_bytes", process.rss_max_bytes}}},
          {"cpu", {{"user_s", process.user_s}, {"system_s", process.system_s}}},
          {"clock", ClockDocument(snapshot.skew, snapshot.clock_steps)},
          {"net", net_counters}};
}

json Identities(const load::ClientCounts& snapshot, const absl::optional<MoneyLogEnd>& money_log) {
  const auto& n = snapshot.counters;
  const uint64_t statements = n[Counter::kStatementsEqual] + n[Counter::kStatementsDifferent] + n[Counter::kStatementsSkipped];
  return {
      {"due = sent + missed", n[Counter::kDue] == n[Counter::kSent] + load::Missed(n)},
      {"sent = answered + lost + outstanding",
       n[Counter::kSent] == n[Counter::kAnswered] + n[Counter::kLost] + n[Counter::kOutstanding]},
      {"answered = won + nothing + cap + refused",
       n[Counter::kAnswered] == n[Counter::kWon] + n[Counter::kNothing] + n[Counter::kCap] + n[Counter::kRefused]},
      {"notices = opens_sent + repeated + misdelivered + not_opened",
       n[Counter::kNotices] == n[Counter::kOpensSent] + n[Counter::kNoticesRepeated] + n[Counter::kNoticesMisdelivered] +
                                   n[Counter::kNoticesNotOpened]},
      {"opens_sent = opened + empty + outstanding",
       n[Counter::kOpensSent] == n[Counter::kOpened] + n[Counter::kOpenedEmpty] + n[Counter::kOpensOutstanding]},
      {"statements: what the server says each user got is what came", n[Counter::kStatementsDifferent] == 0},
      {"statements: every user is compared or skipped", statements == 0 || statements == snapshot.target},
      {"money log: complete",
       n[Counter::kMoneyLogFull] == 0 &&
           (!money_log.has_value() || (!money_log->failed && money_log->written == n[Counter::kWon] + n[Counter::kOpened]))},
      {"every frame was expected",
       n[Counter::kMalformed] + n[Counter::kUnexpected] + n[Counter::kStampMismatch] + n[Counter::kNoticesMisdelivered] == 0}};
}

bool AllHold(const json& identities) {
  for (const json& holds : identities) {
    if (!holds.get<bool>()) {
      return false;
    }
  }
  return true;
}

namespace {

// What was asked for (`standard`: or is asked of every run). What was asked of an interrupted run stays open.
json ConditionsOf(const std::vector<cli::Judged>& judged, bool standard, bool interrupted) {
  std::vector<cli::Judged> some;
  std::copy_if(judged.begin(), judged.end(), std::back_inserter(some),
               [=](const cli::Judged& one) { return one.threshold.standard == standard; });
  json conditions = cli::ThresholdsDocument(some);
  for (json& condition : conditions) {
    condition["ok"] = interrupted && !standard ? json() : condition["ok"];
  }
  return conditions;
}

}  // namespace

json ReportJson(const Options& options, const load::ClientCounts& live, const load::ClientCounts& final,
                const std::vector<load::PhaseReport>& phases, const std::vector<Second>& seconds,
                const watch::ProcessStats& process, const Ending& ending) {
  json document = StatusJson(options, final, process);
  document["report"] = true;  // by which the last line of --json is known from the rows
  document["connections"]["live"] = live.counters[Counter::kOnline];
  document["requests"]["unanswered"] = load::Unanswered(final.counters);  // opens too
  document["config"] = {{"qps", options.load.max_rate ? json("max") : json(options.qps)},
                        {"profile", options.profile.empty() ? json() : json(options.profile)},
                        {"profile_requests", options.profile.empty() ? json() : json(options.profile_requests)},
                        {"requests", options.load.requests_max},
                        {"window", options.load.gateways > 0 ? json(options.load.window) : json()},
                        {"duration_s", static_cast<double>(options.duration_ns) * 1e-9},
                        {"burst", options.load.burst},
                        {"workers", options.load.workers},
                        {"connect_rate", options.load.connects_per_second},
                        {"late_max_ms", static_cast<double>(options.load.late_max_ns) * 1e-6}};
  document["interrupted"] = ending.interrupted;
  document["latency_us"] = {{"schedule", LatencyDocument(ending.schedule.Summary())},
                            {"service", LatencyDocument(ending.service.Summary())}};
  document["histogram_ns"] = {{"schedule", HistogramDocument(ending.schedule)}, {"service", HistogramDocument(ending.service)}};
  document["phases"] = json::array();
  for (const load::PhaseReport& phase : phases) {
    document["phases"].push_back(PhaseDocument(phase));
  }
  document["series"] = json::array();
  for (const Second& second : seconds) {
    document["series"].push_back(SecondJson(second));
  }
  // Of a run longer than a day: rows of a minute, and of an hour.
  document["series_coarse_rows"] =
      std::count_if(seconds.begin(), seconds.end(), [](const Second& second) { return second.row.span >= 60; });
  if (ending.money_log.has_value()) {
    document["money_log"] = {{"file", ending.money_log->path},
                             {"written", ending.money_log->written},
                             {"full", final.counters[Counter::kMoneyLogFull]}};
  }
  document["identities"] = Identities(final, ending.money_log);
  // Of a schedule whose users are shared out over several clients, nobody's part is a round number.
  const bool whole = options.load.max_rate || options.load.users.count() == options.load.users.total;
  if (options.load.requests_max > 0 && whole && !ending.interrupted && options.duration_ns == 0) {
    document["identities"]["requests: sent as many as were asked for"] =
        final.counters[Counter::kSent] == options.load.requests_max;
  }
  document["rate_held"] = RateHeldDocument(options, seconds);
  document["bound_by"] = BoundByDocument(options, live, seconds, ending);
  const cli::Facts facts = FactsOf(options, final, document["rate_held"], ending);
  const std::vector<cli::Judged> judged = cli::Judge(cli::WithStandard(options.thresholds), facts);
  document["thresholds"] = ConditionsOf(judged, /*standard=*/false, ending.interrupted);
  document["conditions"] = ConditionsOf(judged, /*standard=*/true, ending.interrupted);
  document["reasons"] = ReasonsOf(final, document["identities"], judged, facts, ending.interrupted);
  document["verdict"] = document["reasons"].empty() ? "pass" : "fail";
  return document;
}

}  // namespace hongbao::client
