#include "libhongbao/admin/rows.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "libhongbao/admin/standard_streams.h"
#include "libhongbao/check.h"

namespace hongbao::admin {
namespace {

constexpr int kRowsPerHeader = 20;

std::string FormatTime(int64_t unix_s, const char* format, bool utc) {
  const auto time = static_cast<std::time_t>(unix_s);
  std::tm parts{};
  if ((utc ? gmtime_r(&time, &parts) : localtime_r(&time, &parts)) == nullptr) {
    return "?";
  }
  char text[32];
  return {text, std::strftime(text, sizeof text, format, &parts)};
}

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
  quiet_ = !WriteOut(out_, line);
}

std::string WithCommas(int64_t number) {
  // The magnitude in unsigned arithmetic: the smallest int64 has no positive counterpart.
  const std::string digits =
      absl::StrCat(number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : static_cast<uint64_t>(number));
  std::string text = number < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) {
      text += ',';
    }
    text += digits[i];
  }
  return text;
}

std::string Short(int64_t number) {
  const double magnitude = std::fabs(static_cast<double>(number));
  if (magnitude < 10'000) {
    return WithCommas(number);
  }
  const auto [unit, factor] = magnitude < 999'500       ? std::pair<const char*, double>("k", 1e3)
                              : magnitude < 999'500'000 ? std::pair<const char*, double>("M", 1e6)
                                                        : std::pair<const char*, double>("G", 1e9);
  const double value = static_cast<double>(number) / factor;
  const double size = std::fabs(value);
  return absl::StrFormat("%.*f%s", size < 9.995 ? 2 : size < 99.95 ? 1 : 0, value, unit);
}

std::string Milliseconds(int64_t duration_ns) {
  const double ms = static_cast<double>(duration_ns) / 1e6;
  const double size = std::fabs(ms);
  return absl::StrFormat("%.*f", size < 0.995 ? 2 : size < 99.95 ? 1 : 0, ms);
}

std::string Yuan(int64_t amount_fen) {
  return absl::StrFormat("%s%s.%02d", amount_fen < 0 ? "-" : "", WithCommas(std::llabs(amount_fen / 100)),
                         std::abs(static_cast<int>(amount_fen % 100)));
}

std::string ClockTime(int64_t unix_s) { return FormatTime(unix_s, "%H:%M:%S", false); }

std::string UtcStamp(int64_t unix_s) { return FormatTime(unix_s, "%Y%m%d-%H%M%S", true); }

}  // namespace hongbao::admin
