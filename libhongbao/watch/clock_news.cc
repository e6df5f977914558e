#include "libhongbao/watch/clock_news.h"

#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

namespace hongbao::watch {
namespace {

double Seconds(int64_t ns) { return static_cast<double>(ns) * 1e-9; }

std::string Moved(int64_t ns) { return absl::StrFormat("%s by %.3f s", ns < 0 ? "back" : "ahead", std::abs(Seconds(ns))); }

}  // namespace

absl::optional<std::string> ClockNews::News(const time::StepCount& steps) {
  const uint64_t fresh = steps.count - said_.count;
  if (fresh == 0) {
    return absl::nullopt;
  }
  const std::string how =
      fresh == 1 ? Moved(steps.last_ns) : absl::StrCat(fresh, " times, in all ", Moved(steps.sum_ns - said_.sum_ns));
  said_ = steps;
  return absl::StrCat("the wall clock was set ", how, "; what has begun goes on (", steps.count,
                      steps.count == 1 ? " step" : " steps", " so far)");
}

void ClockNews::Say(const char* program, const time::StepCount& steps) {
  if (const absl::optional<std::string> news = News(steps)) {
    std::fprintf(stderr, "%s: %s\n", program, news->c_str());
  }
}

nlohmann::json ClockStepsJson(const time::StepCount& steps) {
  return {{"steps", steps.count}, {"last_step_s", Seconds(steps.last_ns)}, {"step_sum_s", Seconds(steps.sum_ns)}};
}

void SetClockSteps(wire::CounterRecord& record, const time::StepCount& steps) {
  record.Set(wire::Slot::kClockSteps, static_cast<uint64_t>(steps.sum_ns / time::kNsPerMs), steps.count);
}

}  // namespace hongbao::watch
