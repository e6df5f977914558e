// Figures: how a program fills the row of a second and its counter record from one list, a line a figure.
//
//   constexpr watch::Figure<Second> kFigures[] = {
//       {Column::kSent, watch::Sum<Counter::kSent>},
//       {Column::kIssued, [](const Second& second) { return watch::Amount{second.issued, second.issued_total}; }},
//       ...};
//   watch::SecondRow row = watch::RowOf(unix_s, second, kFigures);
//   watch::SetFigures(record, second, kFigures);
//
// Which slot of a record a figure has, and in which unit, is said in columns.json alone.
// Thread tag: thread-safe (pure functions).
#pragma once

#include <cstddef>
#include <cstdint>

#include "libhongbao/watch/second_row.h"
#include "libhongbao/wire/counter_record.h"

namespace hongbao::watch {

// A figure's value in the record's unit (that of the row, times the column's `per`). What is as it is now, or was measured in the
// second, is the same in both.
struct Amount {
  uint64_t of_second = 0;
  uint64_t in_all = 0;  // since the process began
  bool known = true;
};

inline constexpr Amount kUnknownAmount = {.known = false};
// Of something measured, which is no count; what is negative could not be measured.
constexpr Amount Measured(double value) {
  const auto whole = static_cast<uint64_t>(value < 0 ? 0 : value + 0.5);
  return value < 0 ? kUnknownAmount : Amount{whole, whole};
}

// The sum of these counters; `second.row` is a row of a count::Series.
template <auto... kCounters, typename Second>
Amount Sum(const Second& second) {
  return {(second.row.delta[kCounters] + ...), (second.row.total[kCounters] + ...)};
}

template <typename Second>
struct Figure {
  Column column;
  Amount (*of)(const Second&);
};

void SetFigure(SecondRow& row, Column column, const Amount& amount);
// Into the column's slot; a column of several slots, or of none, changes nothing.
void SetFigure(wire::CounterRecord& record, Column column, const Amount& amount);

template <typename Second, size_t kFigures>
SecondRow RowOf(int64_t unix_s, const Second& second, const Figure<Second> (&figures)[kFigures]) {
  SecondRow row(unix_s);
  for (const Figure<Second>& figure : figures) {
    SetFigure(row, figure.column, figure.of(second));
  }
  return row;
}

template <typename Second, size_t kFigures>
void SetFigures(wire::CounterRecord& record, const Second& second, const Figure<Second> (&figures)[kFigures]) {
  for (const Figure<Second>& figure : figures) {
    SetFigure(record, figure.column, figure.of(second));
  }
}

// Adds to `row` what a record says of the columns for which its role speaks: those whose figure comes `from` it, or with `all`
// those it knows. Values that no process can have are cut off.
void AddRecord(SecondRow& row, const wire::CounterRecord& record, bool all = false);

}  // namespace hongbao::watch
