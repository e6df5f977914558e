#include "libhongbao/watch/second_row.h"

#include "absl/strings/str_cat.h"
#include "libhongbao/cli/exact_json.h"
#include "libhongbao/cli/numbers.h"
#include "nlohmann/json.hpp"

namespace hongbao::watch {

void SecondRow::Add(Column column, int64_t value) {
  int64_t& sum = (*this)[column];
  if (value == kUnknown || __builtin_add_overflow(sum == kUnknown ? 0 : sum, value, &sum)) {
    sum = value == kUnknown ? sum : kUnknown;  // an overflow is a broken sender's
  }
}

nlohmann::json ColumnNames() {
  nlohmann::json names = nlohmann::json::array();
  for (const auto& column : kColumns) {
    names.push_back(column.name);
  }
  return names;
}

nlohmann::json RowValues(const SecondRow& row) {
  nlohmann::json values = nlohmann::json::array();
  for (const auto& column : kColumns) {
    values.push_back(!row.Knows(column.id)                   ? nlohmann::json()
                     : cli::IsExactInDoubles(row[column.id]) ? nlohmann::json(row[column.id])
                                                             : nlohmann::json(absl::StrCat(row[column.id])));
  }
  return values;
}

nlohmann::json RowJson(const SecondRow& row, bool unknown) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& column : kColumns) {
    if (row.Knows(column.id)) {
      object[column.name] = row[column.id];
    } else if (unknown) {
      object[column.name] = nullptr;
    }
  }
  return object;
}

std::string CellText(const SecondRow& row, Column column) {
  if (!row.Knows(column)) {
    return "-";
  }
  const int64_t value = row[column];
  switch (kColumns[static_cast<size_t>(column)].format) {
    case Format::kMicros:
      return cli::Milliseconds(value * 1'000);
    case Format::kYuan:
      return cli::Yuan(value);
    case Format::kBytes:
      return absl::StrCat((value + 500'000) / 1'000'000);
    case Format::kWhole:
    case Format::kPercent:
      break;
  }
  return cli::WithCommas(value);
}

std::string CsvHeader() {
  std::string line;
  for (const auto& column : kColumns) {
    absl::StrAppend(&line, line.empty() ? "" : ",", column.name);
  }
  return line;
}

std::string CsvLine(const SecondRow& row) {
  std::string line;
  for (const auto& column : kColumns) {
    line += column.id == Column::kUnixS ? "" : ",";
    if (row.Knows(column.id)) {
      absl::StrAppend(&line, row[column.id]);
    }
  }
  return line;
}

}  // namespace hongbao::watch
