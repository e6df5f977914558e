#include "libhongbao/ledger/row_sum.h"

#include <sqlite3.h>

#include <algorithm>

namespace hongbao::ledger {
namespace {

void Compute(sqlite3_context* context, int count, sqlite3_value** values) {
  RowSum sum;
  for (int i = 0; i < count; ++i) {
    switch (sqlite3_value_type(values[i])) {
      case SQLITE_INTEGER:
        sum.AddNumber(sqlite3_value_int64(values[i]));
        break;
      case SQLITE_NULL:
        sum.AddNull();
        break;
      default: {
        const auto* bytes = static_cast<const unsigned char*>(sqlite3_value_blob(values[i]));
        sum.AddBytes(bytes, static_cast<size_t>(sqlite3_value_bytes(values[i])));
      }
    }
  }
  sqlite3_result_int64(context, sum.value());
}

}  // namespace

void RowSum::AddBytes(const unsigned char* bytes, size_t size) {
  Mix(3, size);
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = 0;
    for (size_t i = 0; i < std::min<size_t>(8, size - at); ++i) {
      word |= uint64_t{bytes[at + i]} << (8 * i);  // the same on every machine
    }
    Mix(3, word);
  }
}

bool OfferRowSum(sqlite3* db) {
  return sqlite3_create_function_v2(db, "row_sum", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, nullptr, &Compute,
                                    nullptr, nullptr, nullptr) == SQLITE_OK;
}

}  // namespace hongbao::ledger
