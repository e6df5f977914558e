// Exact JSON: documents whose whole numbers everybody reads as they are.
//
// A reader that keeps numbers as doubles (jq, every browser) rounds a whole number beyond 2^53 - 1. So beside each such
// number of an object stands the same as text: "first_id": 9007199254740993, "first_id_text": "9007199254740993". In the
// arrays of rows (second_row.h) the text stands in the number's place. Thread tag: thread-safe (pure functions).
#pragma once

#include <cstdint>
#include <string>

#include "libhongbao/cpp20.h"
#include "nlohmann/json_fwd.hpp"

namespace hongbao::cli {

// Whether a double holds `number` and both its neighbours apart.
bool IsExactInDoubles(int64_t number);

// The document as text, with the texts beside its wide numbers. indent -1: on one line. Bytes that are no UTF-8 are replaced,
// never a reason to fail.
std::string Dump(const nlohmann::json& document, int indent);

}  // namespace hongbao::cli
