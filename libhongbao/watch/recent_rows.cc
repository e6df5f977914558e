#include "libhongbao/watch/recent_rows.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "nlohmann/json.hpp"

namespace hongbao::watch {

RecentRows::RecentRows() = default;
RecentRows::~RecentRows() = default;

void RecentRows::Add(nlohmann::json row) {
  const std::lock_guard lock(mutex_);
  rows_.push_back(std::move(row));
  if (rows_.size() > kSecondsMax) {
    rows_.pop_front();
  }
}

int64_t RecentRows::LastUnixSecond() const {
  const std::lock_guard lock(mutex_);
  return rows_.empty() ? 0 : rows_.back().at("unix_s").get<int64_t>();
}

http::Response RecentRows::Answer(const http::Request& request) const {
  if (const absl::Status status = request.CheckNames({"after"}); !status.ok()) {
    return http::ErrorResponse(status);
  }
  const absl::StatusOr<int64_t> after = request.Count("after", 0, std::numeric_limits<int64_t>::max(), 0);
  if (!after.ok()) {
    return http::ErrorResponse(after.status());
  }
  nlohmann::json series = nlohmann::json::array();
  const std::lock_guard lock(mutex_);
  // Behind the newest row of that second: after the wall clock was set back, seconds have names that were used before.
  const auto seen = std::find_if(rows_.rbegin(), rows_.rend(),
                                 [&](const nlohmann::json& row) { return row.at("unix_s").get<int64_t>() == *after; });
  const bool all = seen == rows_.rend() && !rows_.empty() && rows_.back().at("unix_s").get<int64_t>() < *after;
  for (auto row = seen == rows_.rend() ? rows_.begin() : seen.base(); row != rows_.end(); ++row) {
    if (all || seen != rows_.rend() || row->at("unix_s").get<int64_t>() > *after) {
      series.push_back(*row);
    }
  }
  return http::JsonResponse({{"series", std::move(series)}});
}

}  // namespace hongbao::watch
