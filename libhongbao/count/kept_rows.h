// KeptRows: the rows of a run that may last for months, in bounded memory: each second of the last day, before that a row for
// 60 seconds, for a week, before that a row for 60 of these (an hour), for a year.
//
// Owns the rows, packed: of each only what differs from the row before it, so that an idle second takes some 50 bytes. What a
// row for several is, is the caller's to say (Merge): sums stay exact, a worst stays the worst. Whoever wants the rows
// unpacks all of them, once, at the end.
// Thread tag: thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <type_traits>
#include <vector>

#include "libhongbao/cpp20.h"

namespace hongbao::count {

// Appends `row`, of `size` bytes, as what differs from `before` and how many bytes in between do not.
void PackRow(const unsigned char* row, const unsigned char* before, size_t size, std::string& to);
// The row that was packed at `at`; `row` holds the one before it. Returns where the next one begins.
size_t UnpackRow(const std::string& from, size_t at, unsigned char* row, size_t size);

// `Merge(into, next)`: `into` becomes the row of both; `next` comes after it.
template <typename Row, void (*Merge)(Row& into, const Row& next)>
class KeptRows {
  static_assert(std::is_trivially_copyable_v<Row>);

 public:
  static constexpr size_t kMerged = 60;  // rows of one kind that make one of the next
  static constexpr size_t kSecondsMax = 86'400;
  static constexpr size_t kMinutesMax = 7 * 1'440;
  static constexpr size_t kHoursMax = 366 * 24;

  // `row` is the newest. Rows of several seconds (a late reporter's) count as one.
  void Add(const Row& row) {
    Append(seconds_, row);
    if (seconds_.rows > kSecondsMax) {
      Append(minutes_, TakeOldest(seconds_));
    }
    if (minutes_.rows > kMinutesMax) {
      Append(hours_, TakeOldest(minutes_));
    }
    if (hours_.rows > kHoursMax) {
      TakeOldest(hours_);
    }
  }

  // Oldest first.
  std::vector<Row> All() const {
    std::vector<Row> all;
    all.reserve(hours_.rows + minutes_.rows + seconds_.rows);
    for (const Kind* kind : {&hours_, &minutes_, &seconds_}) {
      for (const Block& block : kind->blocks) {
        Unpack(block, all);
      }
    }
    return all;
  }

  // Rows that are of more than one second.
  size_t coarse() const { return hours_.rows + minutes_.rows; }
  // What the packed rows take.
  size_t bytes() const {
    size_t bytes = 0;
    for (const Kind* kind : {&hours_, &minutes_, &seconds_}) {
      for (const Block& block : kind->blocks) {
        bytes += sizeof(Block) + block.packed.capacity();
      }
    }
    return bytes;
  }

 private:
  using Bytes = unsigned char[sizeof(Row)];

  struct Block {
    std::string packed;
    size_t rows = 0;  // kMerged, but for the last
  };
  struct Kind {
    std::deque<Block> blocks;
    size_t rows = 0;
    Bytes newest{};  // of the last block; zeros before its first
  };

  static void Append(Kind& kind, const Row& row) {
    if (kind.blocks.empty() || kind.blocks.back().rows == kMerged) {
      if (!kind.blocks.empty()) {
        kind.blocks.back().packed.shrink_to_fit();
      }
      kind.blocks.emplace_back();
      std::memset(kind.newest, 0, sizeof(Row));
    }
    Bytes bytes;
    std::memcpy(bytes, &row, sizeof(Row));
    PackRow(bytes, kind.newest, sizeof(Row), kind.blocks.back().packed);
    std::memcpy(kind.newest, bytes, sizeof(Row));
    ++kind.blocks.back().rows;
    ++kind.rows;
  }

  static void Unpack(const Block& block, std::vector<Row>& to) {
    Bytes bytes{};
    for (size_t i = 0, at = 0; i < block.rows; ++i) {
      at = UnpackRow(block.packed, at, bytes, sizeof(Row));
      std::memcpy(&to.emplace_back(), bytes, sizeof(Row));
    }
  }

  // The oldest kMerged rows, as one. There are more than these.
  static Row TakeOldest(Kind& kind) {
    std::vector<Row> rows;
    Unpack(kind.blocks.front(), rows);
    kind.blocks.pop_front();
    kind.rows -= rows.size();
    for (size_t i = 1; i < rows.size(); ++i) {
      Merge(rows.front(), rows[i]);
    }
    return rows.front();
  }

  Kind seconds_, minutes_, hours_;
};

}  // namespace hongbao::count
