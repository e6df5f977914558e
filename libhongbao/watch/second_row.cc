#include "libhongbao/watch/second_row.h"

#include "absl/strings/str_cat.h"
#include "libhongbao/cli/exact_json.h"
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
  for (const auto& label : kColumnLabels) {
    names.push_back(std::string(label.name));
  }
  return names;
}

nlohmann::json RowValues(const SecondRow& row) {
  nlohmann::json values = nlohmann::json::array();
  for (const auto& label : kColumnLabels) {
    values.push_back(!row.Knows(label.id)               ? nlohmann::json()
                     : cli::IsExactInDoubles(row[label.id]) ? nlohmann::json(row[label.id])
                                                       : nlohmann::json(absl::StrCat(row[label.id])));
  }
  return values;
}

std::string CsvHeader() {
  std::string line;
  for (const auto& label : kColumnLabels) {
    absl::StrAppend(&line, line.empty() ? "" : ",", std::string(label.name));
  }
  return line;
}

std::string CsvLine(const SecondRow& row) {
  std::string line;
  for (const auto& label : kColumnLabels) {
    line += label.id == Column::kUnixS ? "" : ",";
    if (row.Knows(label.id)) {
      absl::StrAppend(&line, row[label.id]);
    }
  }
  return line;
}

}  // namespace hongbao::watch
