// Places: which places of an order are taken, as ranges.
//
// Owns a few ranges: an order's envelopes leave one after the other, so what was won of two billion of them is one range and
// some holes, not two billion bits. Thread tag: thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

#include "libhongbao/cpp20.h"

namespace hongbao::ledger {

class Places {
 public:
  // False: it was in already.
  bool Insert(int64_t place) {
    auto next = ranges_.upper_bound(place);
    const bool has_before = next != ranges_.begin();
    const auto before = has_before ? std::prev(next) : next;
    if (has_before && place < before->second) {
      return false;
    }
    ++count_;
    const bool joins_next = next != ranges_.end() && next->first == place + 1;
    const int64_t end = joins_next ? next->second : place + 1;
    if (joins_next) {
      ranges_.erase(next);
    }
    if (has_before && before->second == place) {
      before->second = end;
    } else {
      ranges_.emplace(place, end);
    }
    return true;
  }

  // The first place from `place` on that is not in.
  int64_t NextFree(int64_t place) const {
    const auto next = ranges_.upper_bound(place);
    return next == ranges_.begin() ? place : std::max(place, std::prev(next)->second);
  }

  int64_t count() const { return count_; }
  int64_t CountBelow(int64_t end) const {
    int64_t count = 0;
    for (auto range = ranges_.begin(); range != ranges_.end() && range->first < end; ++range) {
      count += std::min(range->second, end) - range->first;
    }
    return count;
  }

 private:
  std::map<int64_t, int64_t> ranges_;  // first -> one past the last; they neither touch nor overlap
  int64_t count_ = 0;
};

}  // namespace hongbao::ledger
