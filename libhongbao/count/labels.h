// Labels: the names of an enum's enumerators, as JSON and metrics have them: Counter::kMissedLate is "missed_late".
//
// They are read from the compiler's own spelling of a template argument, so that a counter is named in one place. Ideas: Aeron's
// counter table (a label per counter), magic_enum (the spelling). Thread tag: thread-safe (constants).
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "libhongbao/count/cells.h"

namespace hongbao::count {

template <CounterEnum E>
struct Label {
  E id;
  std::string_view name;
};

// "kMissedLate".
template <auto kId>
constexpr std::string_view Spelling() {
  // g++: "... [with auto kId = hongbao::load::Counter::kMissedLate; ...]"; clang++ has "... [kId = " and a bracket behind it.
  const std::string_view text = __PRETTY_FUNCTION__;
  const size_t begin = text.find("kId = ");
  const std::string_view value = text.substr(begin, text.find_first_of(";]", begin) - begin);
  return value.substr(value.rfind(':') + 1);
}

// "missed_late" in an array of its own; what is behind it is 0.
template <auto kId>
inline constexpr auto kSnakeCase = [] {
  constexpr std::string_view spelling = Spelling<kId>();
  static_assert(spelling.size() > 1 && spelling.front() == 'k', "an enumerator is called k and a name");
  std::array<char, 2 * spelling.size()> name{};
  size_t size = 0;
  for (const char c : spelling.substr(1)) {
    const bool capital = c >= 'A' && c <= 'Z';
    if (capital && size > 0) {
      name[size++] = '_';
    }
    name[size++] = capital ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return name;
}();

// All enumerators but kCount, in their order.
template <CounterEnum E>
constexpr auto LabelsOf() {
  return []<size_t... kIds>(std::index_sequence<kIds...>) {
    return std::array<Label<E>, kCellsOf<E>>{
        Label<E>{static_cast<E>(kIds), std::string_view(kSnakeCase<static_cast<E>(kIds)>.data())}...};
  }
  (std::make_index_sequence<kCellsOf<E>>());
}

}  // namespace hongbao::count
