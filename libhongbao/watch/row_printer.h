// RowPrinter: one line a second on stdout, in columns that keep their place.
//
// Owns: widths, the header (again after every 20 rows on a terminal, once in a pipe), the flush of each row.
// Never: colours, moves the cursor or rewrites a line, so that `| tee` works; never fails the run when stdout is gone.
// Thread tag: thread-compatible (the reporter's thread).
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "libhongbao/cpp20.h"

namespace hongbao::watch {

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

 private:
  void Print(const std::vector<std::string>& cells);

  std::FILE* out_;
  std::vector<RowColumn> columns_;
  bool quiet_;
  bool terminal_;
  int rows_since_header_ = -1;
};

}  // namespace hongbao::watch
