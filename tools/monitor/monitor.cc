#include "tools/monitor/monitor.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libhongbao/cli/numbers.h"
#include "tools/monitor/status.h"

namespace hongbao::monitor {
namespace {

using nlohmann::json;

constexpr size_t kVerdictsMax = 100;

}  // namespace

void Monitor::Take(const Arrival& arrival, int64_t wall_ns, int64_t monotonic_ns) {
  const Sources::Taken taken = sources_.Take(arrival, wall_ns, monotonic_ns);
  if (taken.source == nullptr) {
    return;
  }
  ++records_;
  // Totals are moved with their second, so that given and got in a row are of the same time. What has no row counts at once.
  Timeline::Added added = Timeline::Added::kLate;  // what a wrong clock tells has no second either
  if (taken.verdict == Sources::Verdict::kLineUp) {
    added = timeline_.Add(taken.source->id, arrival.record, monotonic_ns);
    taken.source->late += added == Timeline::Added::kLate ? 1 : 0;
    taken.source->repeated += added == Timeline::Added::kRepeated ? 1 : 0;
  }
  if (added == Timeline::Added::kLate) {
    account_.Tell(taken.source->id, arrival.record);
  }
}

std::vector<Told> Monitor::Rows(int64_t monotonic_ns, bool all) {
  sources_.Look(monotonic_ns);
  if (const std::vector<uint32_t> over = sources_.OldestOver(monotonic_ns); !over.empty()) {
    for (const uint32_t id : over) {
      if (std::string own = OwnVerdictOf(sources_.Of(id)); !own.empty() && forgotten_verdicts_.size() < kVerdictsMax) {
        forgotten_verdicts_.push_back(std::move(own));
      }
    }
    account_.Forget(over, sources_);
    sources_.Forget(over);
  }
  std::vector<Told> rows;
  for (const Timeline::Second& second : all ? timeline_.TakeAll() : timeline_.Take(monotonic_ns)) {
    const Hosts hosts = HostsOf(second, sources_);
    for (const auto& [id, record] : second.records) {
      account_.Tell(id, record);
    }
    Told told{.row = RowOf(second, hosts, account_.Look(sources_)), .hosts = hosts, .sources = {}};
    for (const auto& [id, record] : second.records) {
      told.sources.emplace_back(sources_.Of(id), record);
    }
    rows_.push_back(told.row);
    if (rows_.size() > kRowsMax) {
      rows_.pop_front();
      ++rows_forgotten_;
    }
    rows.push_back(std::move(told));
  }
  return rows;
}

std::vector<std::string> Monitor::Reasons() const {
  std::vector<std::string> reasons;
  if (Close().Broken()) {
    reasons.push_back("the money does not reconcile");
  }
  const cli::Facts facts = FactsOf(sources_);
  for (const cli::Judged& one : facts.empty() ? std::vector<cli::Judged>() : cli::Judge(conditions_, facts)) {
    if (!one.ok) {
      reasons.push_back(cli::ReasonOf(one, facts));
    }
  }
  reasons.insert(reasons.end(), forgotten_verdicts_.begin(), forgotten_verdicts_.end());
  for (const Source& source : sources_.all()) {
    if (std::string own = OwnVerdictOf(source); !own.empty()) {
      reasons.push_back(std::move(own));
    }
  }
  return reasons;
}

std::string Monitor::ClosingText() const {
  const Closing closing = Close();
  const auto yuan = [](int64_t fen) { return cli::Yuan(fen); };
  const Sums& sums = closing.sums;
  std::string text = absl::StrCat("account    given ", yuan(sums.given_fen), " yuan, got ", yuan(sums.got_fen), ", left ",
                                  yuan(sums.left_fen), ", difference ", yuan(sums.difference_fen()));
  absl::StrAppend(&text, closing.Broken()                       ? "  DOES NOT RECONCILE\n"
                         : !closing.servers && !closing.clients ? "  (nobody has told of any)\n"
                         : sums.difference_fen() == 0           ? "  ok\n"
                         : !closing.in_order                    ? "  (in flight, or not told)\n"
                         : sums.difference_fen() < 0 ? "  (clients had it from a server before the first one seen here)\n"
                         : !closing.left_behind      ? "  (users had it before their client was seen here)\n"
                                                     : "  (in answers that clients did not get)\n");
  for (const uint32_t id : closing.never_back) {
    const Source& source = sources_.Of(id);
    absl::StrAppend(&text, "  never back ", source.Name(), ", last heard of at ", cli::ClockTime(source.newest.unix_s),
                    source.role == wire::Role::kClient ? ": what it got after that is missing in \"got\"\n"
                                                       : ": what it gave after that is missing in \"given\"\n");
  }
  for (const uint32_t id : closing.unanswered) {
    absl::StrAppend(&text, "  unanswered ", sources_.Of(id).Name(), " ended with requests that had no answer\n");
  }
  for (const Source& source : sources_.all()) {
    if (source.condition == Condition::kReplaced) {
      const bool known = std::find(closing.not_known.begin(), closing.not_known.end(), source.id) == closing.not_known.end();
      absl::StrAppend(&text, "  went on    ", source.Name(), " died; what it had done is ",
                      known ? "known from " : "not all known from ", sources_.Of(source.after).Name(), "\n");
    }
  }
  for (const std::string& reason : Reasons()) {
    absl::StrAppend(&text, "  FAIL       ", reason, "\n");
  }
  if (const uint64_t lives = sources_.forgotten().lives; lives > 0) {
    absl::StrAppend(&text, "  forgotten  ", lives, " lives that ended in order made room for others; their money is counted\n");
  }
  return text;
}

json Monitor::CloseJson() const {
  const Closing closing = Close();
  json never_back = json::array();
  for (const uint32_t id : closing.never_back) {
    never_back.push_back(SourceJson(sources_.Of(id)));
  }
  return {{"money_fen", SumsJson(closing.sums)},
          {"before_clients_fen", closing.unseen_fen},
          {"before_servers_fen", std::min(closing.older_fen, closing.ledger_fen)},
          {"unanswered", closing.unanswered},
          {"in_order", closing.in_order},
          {"never_back", std::move(never_back)},
          {"reasons", Reasons()},
          {"verdict", ExitCode() != 0                      ? "fail"
                      : closing.servers || closing.clients ? "pass"
                                                           : "none"}};
}

json Monitor::ReportJson() const {
  json document = StatusJson(Look());
  document["account"] = CloseJson();
  document["verdict"] = document["account"]["verdict"];
  document["columns"] = watch::ColumnNames();
  json rows = json::array();
  for (const watch::SecondRow& row : rows_) {
    rows.push_back(watch::RowValues(row));
  }
  document["rows"] = std::move(rows);
  document["rows_forgotten"] = rows_forgotten_;  // older than those, of a run longer than a day; sums have them
  return document;
}

void Monitor::Publish() {
  MonitorCounts fresh{.sources = {sources_.all().begin(), sources_.all().end()},
                      .sums = account_.Look(sources_),
                      .records = records_,
                      .sources_refused = sources_.refused(),
                      .newest_s = timeline_.given_out_s(),
                      .forgotten = sources_.forgotten()};
  fresh.late = fresh.forgotten.late;
  fresh.repeated = fresh.forgotten.repeated;
  fresh.clock_off = fresh.forgotten.clock_off;
  for (const Source& source : fresh.sources) {
    fresh.late += source.late;
    fresh.repeated += source.repeated;
    fresh.clock_off += source.clock_off;
  }
  const std::lock_guard lock(mutex_);
  published_ = std::move(fresh);
}

MonitorCounts Monitor::Look() const {
  const std::lock_guard lock(mutex_);
  return published_;
}

}  // namespace hongbao::monitor
