// SecondRow: one second in the words that rows, pages, CSV files and reports of all our programs share.
//
// The columns, their names and their order are those of columns.json; new ones come at the end, as others script against
// them. A program fills in what it knows (figures.h); the rest stays unknown (null on a page, empty in a CSV file). All values
// are integers, with the unit in the name; money is fen. Thread tag: thread-compatible.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "libhongbao/watch/columns.h"  // made of columns.json
#include "nlohmann/json_fwd.hpp"

namespace hongbao::watch {

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
  std::array<int64_t, static_cast<size_t>(Column::kCount)> value_;
};

// ["unix_s", "hosts", ...]
nlohmann::json ColumnNames();
// The values in the columns' order, null for the unknown ones.
nlohmann::json RowValues(const SecondRow& row);
// {"unix_s": 1486824165, ...}: what is known, by name. With `unknown` every column, null for what is not known.
nlohmann::json RowJson(const SecondRow& row, bool unknown = false);
// As people read it: "1,234", "0.09" (ms), "10.05" (yuan), "12" (MB); "-" when it is not known.
std::string CellText(const SecondRow& row, Column column);
// "unix_s,hosts,..." and "1486824165,3,,60000...", without a line break.
std::string CsvHeader();
std::string CsvLine(const SecondRow& row);

}  // namespace hongbao::watch
