// Timeline: lines the records of all sources up by their second.
//
// Owns the records of the seconds that have not been given out. A second is given out a set time after its first record came,
// complete or not: who comes first cannot know who is still to come. Seconds are given out in order and only once.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "libhongbao/wire/counter_record.h"

namespace hongbao::monitor {

class Timeline {
 public:
  enum class Added : uint8_t { kTaken, kLate, kRepeated };

  struct Second {
    int64_t unix_s = 0;
    std::vector<std::pair<uint32_t, wire::CounterRecord>> records;  // by source, in the order they came
    int64_t opened_ns = 0;                                          // when the first came
  };

  explicit Timeline(int64_t delay_ns) : delay_ns_(delay_ns) {}

  // Late: of a second that has been given out, or lies before it. Repeated: this source has told of it already; the counts
  // stand, and the totals are the new ones.
  Added Add(uint32_t source, const wire::CounterRecord& record, int64_t monotonic_ns);

  // The seconds whose time has come, in order.
  std::vector<Second> Take(int64_t monotonic_ns);
  // All there are: nobody will tell any more.
  std::vector<Second> TakeAll();
  // This machine's wall clock has been set: what waits is given out with the next Take, and a second that was given out may come
  // again.
  void Restart();

  int64_t given_out_s() const { return given_out_s_; }  // the newest second given out; 0 = none

 private:
  const int64_t delay_ns_;
  std::map<int64_t, Second> waiting_;
  std::vector<Second> before_restart_;
  int64_t given_out_s_ = 0;
};

}  // namespace hongbao::monitor
