#include "libhongbao/cli/numbers.h"

#include <cmath>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace hongbao::cli {

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

std::string ClockTime(int64_t unix_s) {
  const auto time = static_cast<std::time_t>(unix_s);
  std::tm parts{};
  char text[16];
  return localtime_r(&time, &parts) == nullptr ? "?" : std::string(text, std::strftime(text, sizeof text, "%H:%M:%S", &parts));
}

}  // namespace hongbao::cli
