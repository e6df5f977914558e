// Watch: everything that looks on at a process: the printed row, the page, GET /v1/series, GET /metrics and a monitor.
//
// A program hands it each finished second once; the Watch takes it to all of them. Owns them all. Never asks a worker anything
// and never waits for who looks on. Must outlive the AdminServer that its pages are added to.
// Thread tag: thread-compatible (the reporter's thread); the pages are answered on the AdminServer's threads.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "libhongbao/address.h"
#include "libhongbao/cli/json_lines.h"
#include "libhongbao/http/admin_server.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/watch/metrics.h"
#include "libhongbao/watch/page.h"
#include "libhongbao/watch/recent_rows.h"
#include "libhongbao/watch/record_sender.h"
#include "libhongbao/watch/row_printer.h"
#include "libhongbao/watch/second_row.h"
#include "nlohmann/json.hpp"

namespace hongbao::watch {

class Watch {
 public:
  struct Options {
    std::string role;                  // "server", "client", "monitor"; the program is hongbao-ROLE
    std::string title;                 // of the page
    HostPort monitor{};                // an empty host: no monitor
    std::vector<RowColumn> columns{};  // of the printed rows
    bool quiet = false;                // no rows on stdout
    bool json = false;                 // JSON in their place
  };

  // One finished second, as each of those who look on wants it.
  struct Second {
    const SecondRow& row;                         // page and monitor's files
    nlohmann::json document;                      // GET /v1/series and --json; "unix_s" is its second
    std::vector<std::string> cells;               // one for each of Options::columns
    const wire::CounterRecord* record = nullptr;  // for the monitor; null: none
  };

  Watch(Options options, const time::Clock& clock);

  // GET /, /v1/history, /events, /v1/series, /metrics; `families` adds to /metrics, at every scrape.
  void AddTo(http::AdminServer& server, std::function<Families()> families);

  void Take(const Second& second);
  // Once a second at least: what keeps the monitor's link going.
  void Tick() { sender_.Tick(); }
  // The process ends with this code: the monitor is told.
  void End(int exit_code) { sender_.End(exit_code); }

  // The second of the newest row; 0: there is none yet.
  int64_t LastUnixSecond() const { return recent_.LastUnixSecond(); }
  // A document on stdout as a line of --json.
  void WriteJson(const nlohmann::json& document) { json_lines_.Write(document); }

 private:
  RecentRows recent_;
  Page page_;
  MetricsPage metrics_;
  RowPrinter printer_;
  const bool json_rows_;
  cli::JsonLines json_lines_{stdout};
  RecordSender sender_;
};

}  // namespace hongbao::watch
