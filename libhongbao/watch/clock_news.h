// ClockNews: says each step of the wall clock once, and how programs tell of their steps: as JSON, and to a monitor.
//
// Owns how many steps have been said. Thread tag: ClockNews thread-compatible (the reporter's thread), the rest thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/types/optional.h"
#include "libhongbao/time/wall_steps.h"
#include "libhongbao/wire/counter_record.h"
#include "nlohmann/json_fwd.hpp"

namespace hongbao::watch {

class ClockNews {
 public:
  // "the wall clock was set back by 3,600.000 s; what has begun goes on (1 step so far)", once for each change of the count.
  absl::optional<std::string> News(const time::StepCount& steps);
  // The same on stderr, behind the name of the program.
  void Say(const char* program, const time::StepCount& steps);

 private:
  time::StepCount said_;
};

// {"steps": how often the wall clock was set, "last_step_s": the last time, "step_sum_s": in all}; < 0: back.
nlohmann::json ClockStepsJson(const time::StepCount& steps);

void SetClockSteps(wire::CounterRecord& record, const time::StepCount& steps);

}  // namespace hongbao::watch
