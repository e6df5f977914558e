// Rows: a second of all sources in the words that people, pages and files read.
//
// Never decides what a second consists of.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <string>
#include <vector>

#include "libhongbao/watch/row_printer.h"
#include "libhongbao/watch/second_row.h"
#include "tools/monitor/account.h"
#include "tools/monitor/sources.h"
#include "tools/monitor/timeline.h"

namespace hongbao::monitor {

// Which processes told of a second, and which should have, by role.
struct Hosts {
  struct Of {
    int64_t told = 0;
    int64_t silent = 0;
  };
  Of clients{}, servers{}, nics{};
  std::string Text() const;  // "2c/1s"; "1c!/1s": one has told, another should have
};

Hosts HostsOf(const Timeline::Second& second, const Sources& sources);
watch::SecondRow RowOf(const Timeline::Second& second, const Hosts& hosts, const Sums& sums);

// One source's second, for --sources-csv.
std::string SourceCsvHeader();
std::string SourceCsvLine(const Source& source, const wire::CounterRecord& record);

// The printed row.
std::vector<watch::RowColumn> RowColumns();
std::vector<std::string> CellsOf(const watch::SecondRow& row, const Hosts& hosts);

}  // namespace hongbao::monitor
