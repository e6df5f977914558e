#include "libhongbao/watch/row_printer.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "libhongbao/check.h"
#include "libhongbao/cli/standard_streams.h"

namespace hongbao::watch {
namespace {

constexpr int kRowsPerHeader = 20;

}  // namespace

RowPrinter::RowPrinter(std::FILE* out, std::vector<RowColumn> columns, bool quiet)
    : out_(out), columns_(std::move(columns)), quiet_(quiet), terminal_(isatty(fileno(out)) == 1) {}

void RowPrinter::Row(const std::vector<std::string>& cells) {
  Check(cells.size() == columns_.size(), "a row has one cell for each column");
  if (quiet_) {
    return;
  }
  if (rows_since_header_ < 0 || (terminal_ && rows_since_header_ >= kRowsPerHeader)) {
    std::vector<std::string> names;
    for (const RowColumn& column : columns_) {
      names.push_back(column.name);
    }
    Print(names);
    rows_since_header_ = 0;
  }
  Print(cells);
  ++rows_since_header_;
}

void RowPrinter::Print(const std::vector<std::string>& cells) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const auto width = std::max(static_cast<size_t>(columns_[i].width), columns_[i].name.size());
    if (i > 0) {
      line += columns_[i].bar_before ? " | " : " ";
    }
    if (cells[i].size() < width) {
      line.append(width - cells[i].size(), ' ');
    }
    line += cells[i];
  }
  line += '\n';
  // A reader that went away (`| head`) ends the rows, not the run.
  quiet_ = !cli::WriteOut(out_, line);
}

}  // namespace hongbao::watch
