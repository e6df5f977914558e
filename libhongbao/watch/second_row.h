// SecondRow: one second in the words that rows, pages, CSV files and reports of all our programs share.
//
// Owns the names and the order of the columns; new ones come at the end, as others script against them. A program fills in
// what it knows; the rest stays unknown (null on a page, empty in a CSV file). All values are integers, with the unit in the
// name; money is fen. Thread tag: thread-compatible.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "libhongbao/count/cells.h"
#include "nlohmann/json_fwd.hpp"

namespace hongbao::watch {

enum class Column : uint32_t {
  kUnixS,
  kHosts,            // processes that told of this second
  kSilent,           // processes that should have and did not
  kUsers,            // logged in, as the clients say (a server: as it says)
  kConnections,      // of the servers
  kTarget,           // requests due
  kSent,
  kAnswered,
  kReceived,         // requests, by the servers
  kMissed,
  kLate,
  kLost,
  kWon,
  kNothing,
  kCap,
  kOverload,
  kP50Us,            // from the intended time; of several clients the worst
  kP90Us,
  kP99Us,
  kP999Us,
  kMaxUs,
  kIssued,           // shake envelopes
  kOpened,           // gift shares
  kGivenFen,         // in this second, by the servers
  kGotFen,           // in this second, by the clients
  kGivenTotalFen,    // since the start
  kGotTotalFen,
  kDifferenceFen,    // given less got, since the start: what is in flight
  kServerCpuPct,     // 100 = one core
  kClientCpuPct,
  kServerRssBytes,
  kClientRssBytes,
  kRxPackets,        // of the network cards
  kTxPackets,
  kRxBytes,
  kTxBytes,
  kDropped,          // packets, both ways
  kRetransmitted,    // TCP segments
  kSuperseded,       // sessions that a login of the same user elsewhere ended
  kCount
};

inline constexpr count::Label<Column> kColumnLabels[] = {
    {Column::kUnixS, "unix_s"},
    {Column::kHosts, "hosts"},
    {Column::kSilent, "silent"},
    {Column::kUsers, "users"},
    {Column::kConnections, "connections"},
    {Column::kTarget, "target"},
    {Column::kSent, "sent"},
    {Column::kAnswered, "answered"},
    {Column::kReceived, "received"},
    {Column::kMissed, "missed"},
    {Column::kLate, "late"},
    {Column::kLost, "lost"},
    {Column::kWon, "won"},
    {Column::kNothing, "nothing"},
    {Column::kCap, "cap"},
    {Column::kOverload, "overload"},
    {Column::kP50Us, "p50_us"},
    {Column::kP90Us, "p90_us"},
    {Column::kP99Us, "p99_us"},
    {Column::kP999Us, "p999_us"},
    {Column::kMaxUs, "max_us"},
    {Column::kIssued, "issued"},
    {Column::kOpened, "opened"},
    {Column::kGivenFen, "given_fen"},
    {Column::kGotFen, "got_fen"},
    {Column::kGivenTotalFen, "given_total_fen"},
    {Column::kGotTotalFen, "got_total_fen"},
    {Column::kDifferenceFen, "difference_fen"},
    {Column::kServerCpuPct, "server_cpu_pct"},
    {Column::kClientCpuPct, "client_cpu_pct"},
    {Column::kServerRssBytes, "server_rss_bytes"},
    {Column::kClientRssBytes, "client_rss_bytes"},
    {Column::kRxPackets, "rx_packets"},
    {Column::kTxPackets, "tx_packets"},
    {Column::kRxBytes, "rx_bytes"},
    {Column::kTxBytes, "tx_bytes"},
    {Column::kDropped, "dropped"},
    {Column::kRetransmitted, "retransmitted"},
    {Column::kSuperseded, "superseded"},
};
static_assert(count::LabelsMatch(kColumnLabels));

class SecondRow {
 public:
  static constexpr int64_t kUnknown = std::numeric_limits<int64_t>::min();

  explicit SecondRow(int64_t unix_s) { value_.fill(kUnknown), (*this)[Column::kUnixS] = unix_s; }

  int64_t& operator[](Column column) { return value_[static_cast<size_t>(column)]; }
  int64_t operator[](Column column) const { return value_[static_cast<size_t>(column)]; }
  bool Knows(Column column) const { return (*this)[column] != kUnknown; }
  // Counts as the counters have them; beyond int64 it is a broken sender's, and unknown.
  void Set(Column column, uint64_t value) {
    (*this)[column] = value > uint64_t{std::numeric_limits<int64_t>::max()} ? kUnknown : static_cast<int64_t>(value);
  }
  // Adds to what is known; an unknown becomes `value`.
  void Add(Column column, int64_t value);

  friend bool operator==(const SecondRow&, const SecondRow&) = default;

 private:
  std::array<int64_t, count::kCellsOf<Column>> value_;
};

// ["unix_s", "hosts", ...]
nlohmann::json ColumnNames();
// The values in the columns' order, null for the unknown ones.
nlohmann::json RowValues(const SecondRow& row);
// "unix_s,hosts,..." and "1486824165,3,,60000...", without a line break.
std::string CsvHeader();
std::string CsvLine(const SecondRow& row);

}  // namespace hongbao::watch
