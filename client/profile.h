// Profile: a rate over time, second by second: what --profile says.
//
// Owns the forms in which it is written (points on the command line, a file of points, the series.csv of an earlier
// run, a name) and what a point means: linear between two points, the rate of a second is the curve's value at its
// start, rounded; a point at the same time as the one before is a jump; behind the last point its rate stands. All in
// whole numbers, so that every client makes the same of the same text. Never knows a clock: second 0 is the first.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libhongbao/cpp20.h"

namespace hongbao::client {

class Profile {
 public:
  static constexpr int64_t kSecondsMax = 86'400;
  static constexpr uint32_t kQpsMax = 1'000'000'000;
  static constexpr size_t kStepsMax = 32'768;  // changes of the rate

  struct Point {
    int64_t second = 0;
    uint32_t qps = 0;
  };
  struct Step {
    int64_t second = 0;
    uint32_t qps = 0;
    friend bool operator==(const Step&, const Step&) = default;
  };

  Profile() = default;  // silence of no length
  // From second 0 on, times never falling, at most two of the same. InvalidArgument says which point is wrong.
  static absl::StatusOr<Profile> FromPoints(const std::vector<Point>& points);
  // Rates one by one, silence behind the last.
  static absl::StatusOr<Profile> FromRates(std::vector<uint32_t> rates);
  // The curve stretched to `seconds` (pressed into fewer than its own, a second is the mean of those it stands for), and then
  // scaled so that its busiest second has exactly `peak`.
  static absl::StatusOr<Profile> Scaled(const std::vector<Point>& points, int64_t seconds, uint32_t peak);

  int64_t seconds() const { return static_cast<int64_t>(rates_.size()); }  // until the last point
  uint32_t QpsAt(int64_t second) const;                                    // second >= 0
  uint32_t Peak(int64_t seconds) const;
  uint64_t Requests(int64_t seconds) const;  // in the first `seconds`
  // The changes of the rate in the first `seconds`, the first at 0. ResourceExhausted beyond kStepsMax.
  absl::StatusOr<std::vector<Step>> Steps(int64_t seconds) const;

 private:
  std::vector<uint32_t> rates_;
  uint32_t last_ = 0;
};

// "0s:0,30s:60k,5m:60k,5m10s:140k".
absl::StatusOr<std::vector<Profile::Point>> ParsePoints(absl::string_view text);
// Lines of "TIME QPS" or "TIME:QPS", # comments.
absl::StatusOr<std::vector<Profile::Point>> ParsePointLines(absl::string_view text);
// A CSV with the columns unix_s and target, the latter summed over all rows of a second (of the role client, when there
// is a column role): its seconds from the first with a target above 0 to the last.
absl::StatusOr<Profile> ParseSeriesCsv(absl::string_view text);

// Of --profile: `text` is a name, a file, or points. `seconds` and `peak` (0 = not given) scale a name and must not be
// given a peak otherwise.
struct ProfileScale {
  int64_t seconds = 0;
  uint32_t peak = 0;
};
absl::StatusOr<Profile> LoadProfile(const std::string& text, const ProfileScale& scale);
bool IsProfileName(absl::string_view text);

}  // namespace hongbao::client
