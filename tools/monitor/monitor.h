// Monitor: arrivals in; rows, news and the account out: sources, timeline and account as one.
//
// Owns all three, and what is known of the run so far. Never touches a socket or a file: main does, and tests need none.
// Thread tag: thread-compatible (main's thread); Look and Status may be called from any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "libhongbao/cli/exit_codes.h"
#include "libhongbao/cli/thresholds.h"
#include "libhongbao/watch/second_row.h"
#include "nlohmann/json.hpp"
#include "tools/monitor/account.h"
#include "tools/monitor/rows.h"
#include "tools/monitor/sources.h"
#include "tools/monitor/timeline.h"
#include "tools/monitor/verdict.h"

namespace hongbao::monitor {

// What a row came from, for who prints it.
struct Told {
  watch::SecondRow row;
  Hosts hosts;
  std::vector<std::pair<Source, wire::CounterRecord>> sources;
};

// What stands now, for status pages and metrics: copies, so that no reader holds anybody up.
struct MonitorCounts {
  std::vector<Source> sources;
  Sums sums;
  uint64_t records = 0;
  uint64_t late = 0, repeated = 0, clock_off = 0;
  uint64_t sources_refused = 0;  // records of more sources than there may be
  int64_t newest_s = 0;          // the newest second that is out
  Sources::Forgotten forgotten;
};

class Monitor {
 public:
  static constexpr size_t kRowsMax = 86'400;  // kept for --report: a day

  // `conditions`: of --fail-if, beyond what every run has to hold.
  explicit Monitor(int64_t delay_ns, const std::vector<cli::Threshold>& conditions = {})
      : timeline_(delay_ns), conditions_(cli::WithStandard(conditions)) {}

  void Take(const Arrival& arrival, int64_t wall_ns, int64_t monotonic_ns);
  // This machine's wall clock has been set.
  void ClockSet() { timeline_.Restart(); }
  // The seconds whose time has come; `all`: the end, every second there is.
  std::vector<Told> Rows(int64_t monotonic_ns, bool all = false);
  std::vector<std::string> TakeNews() { return sources_.TakeNews(); }

  Closing Close() const { return account_.Close(sources_); }
  // Why this was no pass, the gravest reason first.
  std::vector<std::string> Reasons() const;
  int ExitCode() const { return Close().Broken() ? cli::kDoesNotReconcile : Reasons().empty() ? cli::kDone : cli::kBadVerdict; }
  // The account for people, several lines, and what is missing in it.
  std::string ClosingText() const;
  nlohmann::json CloseJson() const;
  nlohmann::json ReportJson() const;

  // Makes what other threads see stand as it does now; to be called once a second.
  void Publish();
  MonitorCounts Look() const;

 private:
  Sources sources_;
  Timeline timeline_;
  Account account_;
  const std::vector<cli::Threshold> conditions_;
  std::vector<std::string> forgotten_verdicts_;  // the own verdicts of clients that have been forgotten, the first few
  std::deque<watch::SecondRow> rows_;
  uint64_t rows_forgotten_ = 0;
  uint64_t records_ = 0;

  mutable std::mutex mutex_;
  MonitorCounts published_;
};

}  // namespace hongbao::monitor
