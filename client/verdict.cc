#include "client/verdict.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_format.h"

namespace hongbao::client {
namespace {

using load::Counter;

constexpr double kHeldShare = 0.99;
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
      percent += second.cpu_percent;
      ++rows;
    }
  }
  return rows == 0 ? 0 : percent / rows / 100 / std::max(1u, workers);
}

nlohmann::json Bound(const char* by, const std::string& reason) { return {{"by", by}, {"reason", reason}}; }

}  // namespace

admin::Facts FactsOf(const Options& options, const load::ClientSnapshot& snapshot, const Ending& ending) {
  const auto& n = snapshot.counters;
  const auto value = [](uint64_t count) { return static_cast<double>(count); };
  admin::Facts facts = {
      {"due", value(n[Counter::kDue])},
      {"sent", value(n[Counter::kSent])},
      {"missed", value(load::Missed(n))},
      {"late", value(n[Counter::kLate])},
      {"lost", value(n[Counter::kLost])},
      {"refused", value(n[Counter::kOverload])},
      {"unanswered", value(ending.unanswered)},
      {"wins", value(n[Counter::kWon])},
      {"errors", value(n[Counter::kMalformed] + n[Counter::kUnexpected] + n[Counter::kStampMismatch] +
                       n[Counter::kLost] + n[Counter::kConnectsFailed])},
  };
  if (options.load.max_rate) {
    facts.erase("due");  // nothing was: there is no schedule
  }
  if (n[Counter::kStatementsEqual] + n[Counter::kStatementsDifferent] > 0) {
    facts["difference"] = value(n[Counter::kStatementsDifferenceFen]);
  }
  for (const admin::Quantile& quantile : admin::kQuantiles) {
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
  if (options.load.max_rate) {
    return {};
  }
  int64_t of = 0, held = 0;
  for (const Second& second : seconds) {
    const auto& delta = second.row.delta;
    if (delta[Counter::kScheduled] == 0) {
      continue;
    }
    of += second.row.span;
    // A row of several seconds is a stall.
    held += second.row.span == 1 && static_cast<double>(delta[Counter::kSent]) >=
                                        kHeldShare * static_cast<double>(delta[Counter::kScheduled])
                ? 1
                : 0;
  }
  return {{"seconds", of}, {"held", held}, {"share", kHeldShare}};
}

nlohmann::json BoundByDocument(const Options& options, const load::ClientSnapshot& live,
                               const std::vector<Second>& seconds, const Ending& ending) {
  const auto& n = live.counters;
  const double cores = CoresPerWorker(seconds, ending.workers);
  const std::string busy = absl::StrFormat("%.2f cores a worker", cores);
  if (options.load.max_rate) {
    return cores >= kBusyWorker ? Bound("client", busy)
                                : Bound("server", busy + ", the rest of the time no room in the windows");
  }
  if (n[Counter::kDue] == 0) {
    return Bound("nothing", "nothing was due");
  }
  const auto share = [due = static_cast<double>(n[Counter::kDue])](uint64_t count) {
    return static_cast<double>(count) / due;
  };
  const bool server_closed = n[Counter::kClosed] > 0;
  const double late = share(n[Counter::kLate]);
  const double offline = share(n[Counter::kMissedOffline]);
  const double missed = share(n[Counter::kMissedLate]) + (server_closed ? 0 : offline);
  const double unserved =
      share(n[Counter::kMissedBacklog] + n[Counter::kOverload] + n[Counter::kLost] + ending.unanswered) +
      (server_closed ? offline : 0);
  const std::string behind =
      absl::StrFormat("missed %.1f %% of its schedule, late %.1f %%; %s", 100 * missed, 100 * late, busy);
  // A gateway sends late when its window is full of requests that the server has not answered.
  const bool waits_for_server = options.load.gateways > 0 && cores < kBusyWorker;
  const double client = waits_for_server ? 0 : std::max(missed / kMissedShare, late / kLateShare);
  const double server = std::max(unserved / kMissedShare, waits_for_server ? late / kLateShare : 0);
  if (client >= 1 && client >= server) {
    return Bound("client", behind + (cores < kBusyWorker ? ", so it was woken late" : ""));
  }
  if (server >= 1) {
    return Bound("server",
                 absl::StrFormat("%.1f %% of the requests refused, lost, unanswered or held back%s; %s", 100 * unserved,
                                 waits_for_server ? absl::StrFormat(", late %.1f %%", 100 * late) : "", busy));
  }
  return Bound("nothing", behind);
}

int ExitCodeOf(const nlohmann::json& report) {
  if (!AllHold(report["identities"])) {
    return 4;
  }
  for (const nlohmann::json& threshold : report["thresholds"]) {
    if (threshold["ok"] == false) {
      return 3;
    }
  }
  return 0;
}

}  // namespace hongbao::client
