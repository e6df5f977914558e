// --fail-if: whatever is typed is refused with a reason or means what its parts say; never a crash, never half of it.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "libhongbao/check.h"
#include "libhongbao/cli/thresholds.h"
#include "nlohmann/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hongbao::Check;
  using namespace hongbao::cli;
  // Most bytes become pieces of the grammar: random ones alone would be refused at the first.
  static constexpr const char* kPieces[] = {
      "p99", "p99.9", "max", "service.", "missed", "rate", "wins", "error", "<",   "<=", "==", ">=", ">", "=",
      ",",   " ",     "1",   "0",        ".5",     "%",    "1ms",  "10k",   "99%", "s",  "-",  "G",  "h", "9999999999"};
  std::string text;
  for (size_t i = 0; i < size && i < 64; ++i) {
    if (data[i] < 192) {
      text += kPieces[data[i] % std::size(kPieces)];
    } else {
      text += static_cast<char>(data[i] - 128);
    }
  }
  const auto thresholds = ParseThresholds(text);
  if (!thresholds.ok()) {
    Check(!thresholds.status().message().empty(), "a refusal has a reason");
    return 0;
  }
  Check(!thresholds->empty(), "something was asked");
  const Facts facts = {{"p99", 1e6}, {"missed", 3}, {"due", 100}, {"sent", 97}};
  for (const Threshold& threshold : *thresholds) {
    Check(std::isfinite(threshold.wanted) && threshold.wanted >= 0, "a bound is a number");
    const auto again = ParseThresholds(threshold.expr);
    Check(again.ok() && again->size() == 1 && again->front().wanted == threshold.wanted && again->front().key == threshold.key &&
              again->front().op == threshold.op,
          "an expression means the same when it is read again");
  }
  Check(ThresholdsDocument(Judge(*thresholds, facts)).size() == thresholds->size(), "each is judged");
  return 0;
}
