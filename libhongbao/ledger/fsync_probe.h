// Fsync probe: how long a synced write takes in a folder. A disk that answers in a few microseconds has not written anything.
//
// Owns a small file for the time of the call. Thread tag: thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "libhongbao/cpp20.h"

namespace hongbao::ledger {

// Below this a sync is suspicious: even flash behind a controller with a battery takes longer.
inline constexpr int64_t kSuspiciousSyncUs = 30;

// Median of some writes of 4 KiB, each with fdatasync, beside the file `path`. In us.
absl::StatusOr<int64_t> MedianSyncUs(const std::string& path);

}  // namespace hongbao::ledger
