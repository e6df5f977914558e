// --profile: whatever is typed or lies in a file is refused with a reason, or is a rate for each of its seconds.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "client/profile.h"
#include "libhongbao/check.h"

namespace {

using hongbao::Check;
using hongbao::client::Profile;

void CheckProfile(const absl::StatusOr<Profile>& profile) {
  if (!profile.ok()) {
    Check(!profile.status().message().empty(), "a refusal has a reason");
    return;
  }
  const int64_t seconds = profile->seconds();
  Check(seconds >= 0 && seconds <= Profile::kSecondsMax, "a profile is at most a day long");
  const auto steps = profile->Steps(seconds + 1);
  if (steps.ok()) {
    uint64_t sum = 0;
    for (size_t i = 0; i < steps->size(); ++i) {
      const int64_t end = i + 1 < steps->size() ? (*steps)[i + 1].second : seconds + 1;
      Check(end > (*steps)[i].second && (*steps)[i].qps <= Profile::kQpsMax, "steps go forward");
      sum += static_cast<uint64_t>(end - (*steps)[i].second) * (*steps)[i].qps;
    }
    Check(sum == profile->Requests(seconds + 1), "the steps are the seconds' rates");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr const char* kPieces[] = {"0s", "0",  ":",  ",",   " ",    "\n",     "#",      "1s",     "5m10s",  "10",
                                            "1k", "5G", "1M", "24h", "3s:7", ",9s:1k", "0s:10,", "unix_s", "target", "100,5\n",
                                            "-",  ".5", "ms", "x",   "1s",   "2s",     "30s",    "role",   "client", "\t"};
  std::string text;
  for (size_t i = 0; i < size && i < 64; ++i) {
    text += data[i] < 224 ? std::string(kPieces[data[i] % std::size(kPieces)]) : std::string(1, static_cast<char>(data[i]));
  }
  for (const auto& points : {hongbao::client::ParsePoints(text), hongbao::client::ParsePointLines(text)}) {
    if (points.ok()) {
      CheckProfile(Profile::FromPoints(*points));
      CheckProfile(Profile::Scaled(*points, 1 + static_cast<int64_t>(size), 60'000));
    } else {
      Check(!points.status().message().empty(), "a refusal has a reason");
    }
  }
  CheckProfile(hongbao::client::ParseSeriesCsv(text));
  return 0;
}
