#include "tools/monitor/rows.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "libhongbao/cli/numbers.h"

namespace hongbao::monitor {

using watch::Column;
using watch::SecondRow;
using wire::CounterRecord;
using wire::NicSlot;
using wire::Role;
using wire::Slot;

namespace {

constexpr int64_t kValueMax = 1'000'000'000'000'000;  // of one source and second; more is a broken sender's

int64_t Known(uint64_t value) { return static_cast<int64_t>(std::min<uint64_t>(value, kValueMax)); }

std::string Text(const Hosts::Of& of, const char* letter) {
  return absl::StrCat(of.told, letter, of.silent > 0 ? "!" : "");
}

void AddTo(SecondRow& row, Column column, uint64_t value) { row.Add(column, Known(value)); }
// Percentiles of several clients cannot be added: the worst stands.
void Worst(SecondRow& row, Column column, uint64_t ns) { row[column] = std::max(row[column], Known(ns) / 1'000); }

void AddClient(SecondRow& row, const CounterRecord& record) {
  AddTo(row, Column::kUsers, record.Total(Slot::kOnline));
  AddTo(row, Column::kTarget, record.Count(Slot::kTarget));
  AddTo(row, Column::kSent, record.Count(Slot::kRequests));
  AddTo(row, Column::kAnswered, record.Count(Slot::kResponses));
  AddTo(row, Column::kMissed, record.Count(Slot::kMissed));
  AddTo(row, Column::kLate, record.Count(Slot::kLate));
  AddTo(row, Column::kLost, record.Count(Slot::kLost));
  AddTo(row, Column::kSuperseded, record.Count(Slot::kSuperseded));
  AddTo(row, Column::kWon, record.Count(Slot::kWon));
  AddTo(row, Column::kNothing, record.Count(Slot::kNothing));
  AddTo(row, Column::kCap, record.Count(Slot::kCap));
  AddTo(row, Column::kOverload, record.Count(Slot::kOverload));
  AddTo(row, Column::kOpened, record.Count(Slot::kSharesReceived));
  AddTo(row, Column::kGotFen, record.Count(Slot::kShakeReceivedFen));
  AddTo(row, Column::kGotFen, record.Count(Slot::kSharesReceivedFen));
  AddTo(row, Column::kClientCpuPct, record.Count(Slot::kCpuUs) / 10'000);
  AddTo(row, Column::kClientRssBytes, record.Count(Slot::kMemory));
  if (record.Total(Slot::kLatencyP50) > 0) {
    Worst(row, Column::kP50Us, record.Count(Slot::kLatencyP50));
    Worst(row, Column::kP90Us, record.Count(Slot::kLatencyP99));
    Worst(row, Column::kP99Us, record.Total(Slot::kLatencyP99));
    Worst(row, Column::kP999Us, record.Count(Slot::kLatencyMax));
    Worst(row, Column::kMaxUs, record.Total(Slot::kLatencyMax));
  }
}

void AddServer(SecondRow& row, const CounterRecord& record) {
  AddTo(row, Column::kConnections, record.Count(Slot::kOnline));
  AddTo(row, Column::kReceived, record.Count(Slot::kRequests));
  AddTo(row, Column::kIssued, record.Count(Slot::kShakeIssued));
  AddTo(row, Column::kGivenFen, record.Count(Slot::kShakeReceivedFen));
  AddTo(row, Column::kGivenFen, record.Count(Slot::kSharesReceivedFen));
  AddTo(row, Column::kServerCpuPct, record.Count(Slot::kCpuUs) / 10'000);
  AddTo(row, Column::kServerRssBytes, record.Count(Slot::kMemory));
}

void AddNic(SecondRow& row, const CounterRecord& record) {
  AddTo(row, Column::kRxPackets, record.Count(NicSlot::kRxPackets));
  AddTo(row, Column::kTxPackets, record.Count(NicSlot::kTxPackets));
  AddTo(row, Column::kRxBytes, record.Count(NicSlot::kRxBytes));
  AddTo(row, Column::kTxBytes, record.Count(NicSlot::kTxBytes));
  AddTo(row, Column::kDropped, record.Count(NicSlot::kRxDropped));
  AddTo(row, Column::kDropped, record.Count(NicSlot::kTxDropped));
  AddTo(row, Column::kRetransmitted, record.Count(NicSlot::kTcpRetransmitted));
}

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
  uint64_t users_by_servers = 0;
  for (const auto& [id, record] : second.records) {
    switch (record.role) {
      case Role::kClient: AddClient(row, record); break;
      case Role::kServer:
        AddServer(row, record);
        users_by_servers += static_cast<uint64_t>(Known(record.Total(Slot::kOnline)));
        break;
      case Role::kNic: AddNic(row, record); break;
    }
  }
  if (hosts.clients.told == 0 && hosts.servers.told > 0) {
    row.Set(Column::kUsers, users_by_servers);
  }
  row[Column::kGivenTotalFen] = sums.given_fen;
  row[Column::kGotTotalFen] = sums.got_fen;
  row[Column::kDifferenceFen] = sums.difference_fen();
  return row;
}

std::string SourceCsvHeader() {
  return "unix_s,role,host,users,target,sent,answered,missed,won,empty,overload,error,p50_us,p99_us,p999_us,max_us,lag_us,"
         "given_fen,got_fen,cpu_pct,rss_bytes";
}

std::string SourceCsvLine(const Source& source, const CounterRecord& record) {
  const bool client = record.role == Role::kClient, server = record.role == Role::kServer;
  std::string line = absl::StrCat(record.unix_s, ",", RoleName(record.role), ",", source.peer.HostToString());
  const auto cell = [&line](bool known, uint64_t value) { absl::StrAppend(&line, ",", known ? absl::StrCat(value) : ""); };
  const bool latency = client && record.Total(Slot::kLatencyP50) > 0;
  const uint64_t fen = record.Count(Slot::kShakeReceivedFen) + record.Count(Slot::kSharesReceivedFen);
  cell(client || server, record.Total(Slot::kOnline));
  cell(client, record.Count(Slot::kTarget));
  cell(client || server, record.Count(Slot::kRequests));  // a server: received
  cell(client || server, record.Count(Slot::kResponses));
  cell(client, record.Count(Slot::kMissed));
  cell(client || server, record.Count(Slot::kWon));
  cell(client || server, record.Count(Slot::kNothing));
  cell(client || server, record.Count(Slot::kOverload));
  cell(client, record.Count(Slot::kLost));
  cell(latency, record.Count(Slot::kLatencyP50) / 1'000);
  cell(latency, record.Total(Slot::kLatencyP99) / 1'000);
  cell(latency, record.Count(Slot::kLatencyMax) / 1'000);
  cell(latency, record.Total(Slot::kLatencyMax) / 1'000);
  cell(false, 0);  // lag: no record tells it
  cell(server, fen);
  cell(client, fen);
  cell(client || server, record.Count(Slot::kCpuUs) / 10'000);
  cell(client || server, record.Count(Slot::kMemory));
  return line;
}

TextRows::TextRows(std::FILE* out, bool quiet)
    : printer_(out,
               {{"second", 8},
                {"hosts", 6},
                {"users", 6},
                {"target", 7},
                {"sent", 7},
                {"answered", 8},
                {"srv req", 7},
                {"missed", 6},
                {"won", 6, true},
                {"over", 5},
                {"err", 4},
                {"p50", 5, true},
                {"p99", 5},
                {"max ms", 6},
                {"given", 10, true},
                {"got", 10},
                {"diff yuan", 9}},
               quiet) {}

void TextRows::Print(const SecondRow& row, const Hosts& hosts) {
  const auto number = [&row](Column column) { return row.Knows(column) ? cli::WithCommas(row[column]) : "-"; };
  const auto ms = [&row](Column column) { return row.Knows(column) ? cli::Milliseconds(row[column] * 1'000) : "-"; };
  const int64_t difference = row[Column::kDifferenceFen];
  printer_.Row({cli::ClockTime(row[Column::kUnixS]), hosts.Text(),
                row.Knows(Column::kUsers) ? cli::Short(row[Column::kUsers]) : "-", number(Column::kTarget),
                number(Column::kSent), number(Column::kAnswered), number(Column::kReceived), number(Column::kMissed),
                number(Column::kWon), number(Column::kOverload), number(Column::kLost), ms(Column::kP50Us), ms(Column::kP99Us),
                ms(Column::kMaxUs), cli::Yuan(row[Column::kGivenTotalFen]), cli::Yuan(row[Column::kGotTotalFen]),
                absl::StrCat(cli::Yuan(difference), difference == 0 ? "" : " (in flight)")});
}

}  // namespace hongbao::monitor
