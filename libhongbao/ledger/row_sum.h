// RowSum: the checksum that every row carries over its columns that never change.
//
// SQLite's own checks see what breaks its structure, and double entry sees what breaks the money; a byte that turns a time, a
// stamp, a key or an invited user into another one breaks neither. Offered to SQL as row_sum(a, b, ...): the statement that
// inserts a row computes it, recovery and the audit compare it. Owns nothing. Thread tag: thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libhongbao/cpp20.h"

struct sqlite3;

namespace hongbao::ledger {

class RowSum {
 public:
  void AddNumber(int64_t value) { Mix(1, static_cast<uint64_t>(value)); }
  void AddNull() { Mix(2, 0); }
  void AddBytes(const unsigned char* bytes, size_t size);

  // 32 bits, signed: it takes four bytes in a row.
  int64_t value() const { return static_cast<int32_t>(static_cast<uint32_t>(state_ >> 32)); }

 private:
  // Each step is one-to-one in the state and in the value: two rows that differ in one value differ until value().
  void Mix(uint64_t kind, uint64_t value) {
    state_ = (state_ ^ value) * 0x9e3779b97f4a7c15 + kind;
    state_ ^= state_ >> 29;
    state_ *= 0xbf58476d1ce4e5b9;
    state_ ^= state_ >> 32;
  }

  uint64_t state_ = 0x68626c67;
};

// Makes row_sum() known to a connection. False: out of memory.
bool OfferRowSum(sqlite3* db);

}  // namespace hongbao::ledger
