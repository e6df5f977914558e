#include "tools/monitor/rows.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "libhongbao/cli/numbers.h"
#include "libhongbao/watch/figures.h"

namespace hongbao::monitor {

using watch::Column;
using watch::SecondRow;
using wire::CounterRecord;
using wire::Role;

namespace {

std::string Text(const Hosts::Of& of, const char* letter) { return absl::StrCat(of.told, letter, of.silent > 0 ? "!" : ""); }

}  // namespace

std::string Hosts::Text() const {
  const bool nic = nics.told > 0 || nics.silent > 0;
  return absl::StrCat(monitor::Text(clients, "c"), "/", monitor::Text(servers, "s"),
                      nic ? absl::StrCat("/", monitor::Text(nics, "n")) : "");
}

Hosts HostsOf(const Timeline::Second& second, const Sources& sources) {
  Hosts hosts;
  const auto of = [&hosts](Role role) -> Hosts::Of& {
    return role == Role::kClient ? hosts.clients : role == Role::kServer ? hosts.servers : hosts.nics;
  };
  std::set<uint32_t> told;
  for (const auto& [id, record] : second.records) {
    told.insert(id);
    ++of(record.role).told;
  }
  for (const Source& source : sources.all()) {
    // From its first second on; until its last if it ended in order, or until the life after it tells.
    const int64_t until_s = source.condition == Condition::kEnded      ? source.last_s
                            : source.condition == Condition::kReplaced ? sources.Of(source.after).first_s - 1
                                                                       : second.unix_s;
    if (source.first_s != 0 && source.first_s <= second.unix_s && second.unix_s <= until_s && told.count(source.id) == 0) {
      ++of(source.role).silent;
    }
  }
  return hosts;
}

SecondRow RowOf(const Timeline::Second& second, const Hosts& hosts, const Sums& sums) {
  SecondRow row(second.unix_s);
  row[Column::kHosts] = hosts.clients.told + hosts.servers.told + hosts.nics.told;
  row[Column::kSilent] = hosts.clients.silent + hosts.servers.silent + hosts.nics.silent;
  for (const auto& [id, record] : second.records) {
    watch::AddRecord(row, record);
  }
  if (hosts.clients.told == 0) {  // what the servers know of it
    for (const auto& [id, record] : second.records) {
      SecondRow own(second.unix_s);
      watch::AddRecord(own, record, true);
      row.Add(Column::kUsers, own[Column::kUsers]);
    }
  }
  row[Column::kGivenTotalFen] = sums.given_fen;
  row[Column::kGotTotalFen] = sums.got_fen;
  row[Column::kDifferenceFen] = sums.difference_fen();
  return row;
}

namespace {

// One column of the file: a client's figure, or the server's.
struct SourceColumn {
  const char* name;
  Column client, server;
};

constexpr Column kNone = Column::kCount;
constexpr SourceColumn kSourceColumns[] = {
    {"users", Column::kUsers, Column::kUsers},
    {"target", Column::kTarget, kNone},
    {"sent", Column::kSent, Column::kReceived},
    {"answered", Column::kAnswered, Column::kAnswered},
    {"missed", Column::kMissed, kNone},
    {"won", Column::kWon, Column::kWon},
    {"nothing", Column::kNothing, Column::kNothing},
    {"refused", Column::kRefused, Column::kRefused},
    {"lost", Column::kLost, kNone},
    {"p50_us", Column::kP50Us, kNone},
    {"p99_us", Column::kP99Us, kNone},
    {"p999_us", Column::kP999Us, kNone},
    {"max_us", Column::kMaxUs, kNone},
    {"lag_us", Column::kLagUs, kNone},
    {"given_fen", kNone, Column::kGivenFen},
    {"got_fen", Column::kGotFen, kNone},
    {"cpu_pct", Column::kClientCpuPct, Column::kServerCpuPct},
    {"rss_bytes", Column::kClientRssBytes, Column::kServerRssBytes},
};

}  // namespace

std::string SourceCsvHeader() {
  std::string line = "unix_s,role,host";
  for (const SourceColumn& column : kSourceColumns) {
    absl::StrAppend(&line, ",", column.name);
  }
  return line;
}

std::string SourceCsvLine(const Source& source, const CounterRecord& record) {
  SecondRow row(record.unix_s);
  watch::AddRecord(row, record, true);
  std::string line = absl::StrCat(record.unix_s, ",", RoleName(record.role), ",", source.peer.HostToString());
  for (const SourceColumn& column : kSourceColumns) {
    const Column shown = record.role == Role::kClient ? column.client : record.role == Role::kServer ? column.server : kNone;
    absl::StrAppend(&line, ",", shown != kNone && row.Knows(shown) ? absl::StrCat(row[shown]) : "");
  }
  return line;
}

std::vector<watch::RowColumn> RowColumns() {
  return {{"second", 8},   {"hosts", 6},  {"users", 6},        {"target", 7},  {"sent", 7},     {"answered", 8},
          {"received", 8}, {"missed", 6}, {"won", 6, true},    {"refused", 7}, {"lost", 4},     {"p50", 5, true},
          {"p99", 5},      {"max ms", 6}, {"given", 10, true}, {"got", 10},    {"diff yuan", 9}};
}

std::vector<std::string> CellsOf(const SecondRow& row, const Hosts& hosts) {
  const auto cell = [&row](Column column) { return watch::CellText(row, column); };
  return {cli::ClockTime(row[Column::kUnixS]),
          hosts.Text(),
          row.Knows(Column::kUsers) ? cli::Short(row[Column::kUsers]) : "-",
          cell(Column::kTarget),
          cell(Column::kSent),
          cell(Column::kAnswered),
          cell(Column::kReceived),
          cell(Column::kMissed),
          cell(Column::kWon),
          cell(Column::kRefused),
          cell(Column::kLost),
          cell(Column::kP50Us),
          cell(Column::kP99Us),
          cell(Column::kMaxUs),
          cell(Column::kGivenTotalFen),
          cell(Column::kGotTotalFen),
          absl::StrCat(cell(Column::kDifferenceFen), row[Column::kDifferenceFen] == 0 ? "" : " (in flight)")};
}

}  // namespace hongbao::monitor
