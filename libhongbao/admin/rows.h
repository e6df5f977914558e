// Rows: one line a second on stdout, in columns that keep their place; and how numbers look to people.
//
// Owns: widths, the header (again after every 20 rows on a terminal, once in a pipe), the flush of each row.
// Never: colours, moves the cursor or rewrites a line, so that `| tee` works; never fails the run when stdout is gone.
// Thread tag: thread-compatible (the reporter's thread); the format functions are thread-safe.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "libhongbao/cpp20.h"

namespace hongbao::admin {

struct RowColumn {
  std::string name{};
  int width = 8;            // at least the name's; a wider cell pushes its row, never loses a digit
  bool bar_before = false;  // " |" before it, to group columns
};

class RowPrinter {
 public:
  // `quiet`: prints nothing. `out` is not owned.
  RowPrinter(std::FILE* out, std::vector<RowColumn> columns, bool quiet = false);

  // One cell for each column.
  void Row(const std::vector<std::string>& cells);
  // The header is printed again before the next row (after other output has come between).
  void RepeatHeader() { rows_since_header_ = -1; }

 private:
  void Print(const std::vector<std::string>& cells);

  std::FILE* out_;
  std::vector<RowColumn> columns_;
  bool quiet_;
  bool terminal_;
  int rows_since_header_ = -1;
};

// "1,234,567".
std::string WithCommas(int64_t number);
// Three digits and a unit once it is long: "999", "20.0k", "1.00M".
std::string Short(int64_t number);
// Nanoseconds as milliseconds for a latency column: "0.09", "1.3", "12.4", "134".
std::string Milliseconds(int64_t duration_ns);
// Fen as yuan: "10,367.31", "-0.05".
std::string Yuan(int64_t amount_fen);
// Local time of a unix second, "22:30:01".
std::string ClockTime(int64_t unix_s);
// UTC for file names and logs, "20261122-104503".
std::string UtcStamp(int64_t unix_s);

}  // namespace hongbao::admin
