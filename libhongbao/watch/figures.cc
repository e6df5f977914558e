#include "libhongbao/watch/figures.h"

#include <algorithm>
#include <iterator>

namespace hongbao::watch {
namespace {

constexpr uint64_t kValueMax = 1'000'000'000'000'000;  // of one source and second; more is a broken sender's

constexpr const ColumnFacts<Column>& FactsOf(Column column) { return kColumns[static_cast<size_t>(column)]; }

constexpr bool InOrder() {
  for (size_t i = 0; i < static_cast<size_t>(Column::kCount); ++i) {
    if (kColumns[i].id != static_cast<Column>(i)) {
      return false;
    }
  }
  return std::size(kColumns) == static_cast<size_t>(Column::kCount);
}
static_assert(InOrder(), "a column's facts stand where its number says");

}  // namespace

void SetFigure(SecondRow& row, Column column, const Amount& amount) {
  const uint64_t per = FactsOf(column).per;
  if (amount.known) {
    row.Set(column, (amount.of_second + per / 2) / per);
  }
}

void SetFigure(wire::CounterRecord& record, Column column, const Amount& amount) {
  const ColumnFacts<Column>& facts = FactsOf(column);
  if (facts.slot_count != 1 || !amount.known) {
    return;
  }
  const size_t slot = facts.slots[0];
  if (facts.half != Half::kTotal) {
    record.count[slot] = amount.of_second;
  }
  if (facts.half != Half::kCount) {
    record.total[slot] = amount.in_all;
  }
}

void AddRecord(SecondRow& row, const wire::CounterRecord& record, bool all) {
  for (const ColumnFacts<Column>& facts : kColumns) {
    if (facts.slot_count == 0 || !(facts.from == record.role || (all && facts.KnownBy(record.role)))) {
      continue;
    }
    int64_t value = 0;
    for (size_t i = 0; i < facts.slot_count; ++i) {
      const auto& half = facts.half == Half::kTotal ? record.total : record.count;
      value += static_cast<int64_t>(std::min(half[facts.slots[i]], kValueMax) / facts.per);
    }
    if (!facts.worst) {
      row.Add(facts.id, value);
    } else if (value > 0) {  // 0: the sender had nothing to measure
      row[facts.id] = std::max(row[facts.id], value);
    }
  }
}

}  // namespace hongbao::watch
