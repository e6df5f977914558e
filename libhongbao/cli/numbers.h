// Numbers: how numbers, times and money look to people, the same in every program.
//
// Thread tag: thread-safe (pure functions).
#pragma once

#include <cstdint>
#include <string>

#include "libhongbao/cpp20.h"

namespace hongbao::cli {

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

}  // namespace hongbao::cli
