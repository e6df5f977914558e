#include "client/verdict.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/rate_held.h"
#include "libhongbao/cli/exit_codes.h"
#include "libhongbao/cli/numbers.h"

namespace hongbao::client {
namespace {

using load::Counter;

// Of the requests due. Being late by more than a millisecond is forgiven more easily than not being sent at all.
constexpr double kLateShare = 0.01;
constexpr double kMissedShare = 0.001;
constexpr double kBusyWorker = 0.9;

// Cores per worker over the seconds in which something was sent.
double CoresPerWorker(const std::vector<Second>& seconds, uint32_t workers) {
  double percent = 0;
  int rows = 0;
  for (const Second& second : seconds) {
    if (second.row.delta[Counter::kSent] > 0) {
      percent += second.sample.cpu_percent;
      ++rows;
    }
  }
  return rows == 0 ? 0 : percent / rows / 100 / std::max(1u, workers);
}

nlohmann::json Bound(const char* by, const std::string& reason) { return {{"by", by}, {"reason", reason}}; }

std::string Number(uint64_t count) { return cli::WithCommas(static_cast<int64_t>(count)); }

// Why nothing was measured; empty when something was.
std::string NothingMeasured(const load::ClientCounts& snapshot) {
  const auto& n = snapshot.counters;
  if (n[Counter::kAnswered] + n[Counter::kOpened] + n[Counter::kOpenedEmpty] > 0) {
    return "";
  }
  std::string errors;
  for (const auto& [name, number] : snapshot.connect_errors) {
    absl::StrAppend(&errors, ", ", name, " ", Number(number));
  }
  if (n[Counter::kEstablished] == 0) {
    return absl::StrCat("nothing was measured: none of ", Number(snapshot.target), " users logged in (",
                        Number(n[Counter::kLoginsRefused]), " logins refused", errors, ")");
  }
  return n[Counter::kDue] == 0
             ? std::string("nothing was measured: no request was due")
             : absl::StrCat("nothing was measured: none of ", Number(n[Counter::kDue]), " requests was answered");
}

// Beside the figure: why requests were missed.
std::string MissedBy(const count::Values<Counter>& n) {
  std::string text;
  for (const auto& [id, words] :
       {std::pair(Counter::kMissedOffline, " without a session"), std::pair(Counter::kMissedLate, " too late"),
        std::pair(Counter::kMissedBacklog, " behind too many without an answer")}) {
    if (n[id] > 0) {
      absl::StrAppend(&text, text.empty() ? "; " : ", ", Number(n[id]), words);
    }
  }
  return text;
}

}  // namespace

cli::Facts FactsOf(const Options& options, const load::ClientCounts& snapshot, const nlohmann::json& rate_held,
                   const Ending& ending) {
  const auto& n = snapshot.counters;
  const auto value = [](uint64_t count) { return static_cast<double>(count); };
  cli::Facts facts = {
      {"due", value(n[Counter::kDue])},
      {"sent", value(n[Counter::kSent])},
      {"missed", value(load::Missed(n))},
      {"late", value(n[Counter::kLate])},
      {"lost", value(n[Counter::kLost])},
      {"refused", value(n[Counter::kRefused])},
      {"unanswered", value(load::Unanswered(n))},
      {"wins", value(n[Counter::kWon])},
      {"superseded", value(n[Counter::kSuperseded])},
      {"errors", value(n[Counter::kMalformed] + n[Counter::kUnexpected] + n[Counter::kStampMismatch] + n[Counter::kLost] +
                       n[Counter::kConnectsFailed] + n[Counter::kSuperseded])},
  };
  if (!rate_held.is_null()) {
    facts["seconds"] = rate_held["seconds"].get<double>();
    facts["held"] = rate_held["held"].get<double>();
  }
  if (options.load.max_rate) {
    facts.erase("due");  // nothing was: there is no schedule
  }
  if (n[Counter::kStatementsEqual] + n[Counter::kStatementsDifferent] > 0) {
    facts["difference"] = value(n[Counter::kStatementsDifferenceFen]);
  }
  for (const cli::Quantile& quantile : cli::kQuantiles) {
    if (ending.schedule.count() > 0) {
      facts[quantile.key] = value(ending.schedule.ValueAtNs(quantile.quantile));
    }
    if (ending.service.count() > 0) {
      facts[std::string("service.") + quantile.key] = value(ending.service.ValueAtNs(quantile.quantile));
    }
  }
  return facts;
}

nlohmann::json RateHeldDocument(const Options& options, const std::vector<Second>& seconds) {
  if (options.load.max_rate || options.load.requests_max > 0) {
    return {};
  }
  std::vector<client::ScheduledSecond> scheduled;
  for (const Second& second : seconds) {
    scheduled.push_back({.unix_s = second.row.unix_second,
                         .span = second.row.span,
                         .due = second.row.delta[Counter::kScheduled],
                         .sent = second.row.delta[Counter::kSent]});
  }
  const client::RateHeld found = client::RateHeldIn(scheduled);
  return {{"seconds", found.seconds}, {"held", found.held}, {"share", client::RateHeld::kShare}, {"not_held", found.not_held}};
}

std::vector<std::string> ReasonsOf(const load::ClientCounts& snapshot, const nlohmann::json& identities,
                                   const std::vector<cli::Judged>& judged, const cli::Facts& facts, bool interrupted) {
  std::vector<std::string> reasons;
  for (const auto& [name, holds] : identities.items()) {
    if (!holds.get<bool>()) {
      reasons.push_back(absl::StrCat("does not reconcile: ", name));
    }
  }
  if (std::string nothing = NothingMeasured(snapshot); !nothing.empty()) {
    reasons.push_back(std::move(nothing));
  }
  for (const cli::Judged& one : judged) {
    if (!one.ok && (one.threshold.standard || !interrupted)) {
      reasons.push_back(cli::ReasonOf(one, facts) + (one.threshold.key == "missed" ? MissedBy(snapshot.counters) : ""));
    }
  }
  return reasons;
}

nlohmann::json BoundByDocument(const Options& options, const load::ClientCounts& live, const std::vector<Second>& seconds,
                               const Ending& ending) {
  const auto& n = live.counters;
  const double cores = CoresPerWorker(seconds, ending.workers);
  const std::string busy = absl::StrFormat("%.2f cores a worker", cores);
  if (options.load.max_rate) {
    return cores >= kBusyWorker ? Bound("client", busy) : Bound("server", busy + ", the rest of the time no room in the windows");
  }
  if (n[Counter::kDue] == 0) {
    return Bound("nothing", "nothing was due");
  }
  const auto share = [due = static_cast<double>(n[Counter::kDue])](uint64_t count) { return static_cast<double>(count) / due; };
  const bool server_closed = n[Counter::kClosed] > 0;
  const double late = share(n[Counter::kLate]);
  const double offline = share(n[Counter::kMissedOffline]);
  const double missed = share(n[Counter::kMissedLate]) + (server_closed ? 0 : offline);
  const double unserved =
      share(n[Counter::kMissedBacklog] + n[Counter::kRefused] + load::Unanswered(n)) + (server_closed ? offline : 0);
  const std::string behind = absl::StrFormat("missed %.1f %% of its schedule, late %.1f %%; %s", 100 * missed, 100 * late, busy);
  // A gateway sends late when its window is full of requests that the server has not answered.
  const bool waits_for_server = options.load.gateways > 0 && cores < kBusyWorker;
  const double client = waits_for_server ? 0 : std::max(missed / kMissedShare, late / kLateShare);
  const double server = std::max(unserved / kMissedShare, waits_for_server ? late / kLateShare : 0);
  if (client >= 1 && client >= server) {
    return Bound("client", behind + (cores < kBusyWorker ? ", so it was woken late" : ""));
  }
  if (server >= 1) {
    return Bound("server", absl::StrFormat("%.1f %% of the requests refused, lost, unanswered or held back%s; %s", 100 * unserved,
                                           waits_for_server ? absl::StrFormat(", late %.1f %%", 100 * late) : "", busy));
  }
  return Bound("nothing", behind);
}

int ExitCodeOf(const nlohmann::json& report) {
  return !AllHold(report["identities"]) ? cli::kDoesNotReconcile : report["reasons"].empty() ? cli::kDone : cli::kBadVerdict;
}

}  // namespace hongbao::client
