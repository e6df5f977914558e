// ColumnFacts: what is known of a figure of a second beside its value: its name, who knows it, and where a counter record has it.
//
// The table of all figures, kColumns, is made of columns.json. Thread tag: thread-safe (constants).
#pragma once

#include <array>
#include <cstdint>

#include "libhongbao/wire/counter_record.h"

namespace hongbao::watch {

// How a figure looks to people (cli/numbers.h).
enum class Format : uint8_t { kWhole, kMicros, kYuan, kPercent, kBytes };

// Which part of a record's slot a figure is. A count has both: of the second, and since the process began.
enum class Half : uint8_t { kBoth, kCount, kTotal };

template <typename Column>
struct ColumnFacts {
  Column id;
  const char* name;
  Format format;
  bool client, server;           // who knows the figure; nobody: it is worked out where rows are merged
  wire::Role from;               // whose figure stands in a row of several programs
  std::array<uint8_t, 2> slots;  // of a counter record; several are added
  uint8_t slot_count;            // 0: the figure is in no record
  Half half;
  uint32_t per;  // so many of the record's units are one of the row's
  bool worst;    // of several programs the highest stands, as percentiles cannot be added

  constexpr bool KnownBy(wire::Role role) const {
    return role == wire::Role::kClient ? client : role == wire::Role::kServer ? server : from == role;
  }
};

}  // namespace hongbao::watch
