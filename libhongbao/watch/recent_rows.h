// RecentRows: the rows of the last two minutes for GET /v1/series, so that another program sees every second exactly as
// the workers filed it, and misses none.
//
// Owns copies of the rows, at most kSecondsMax of them. Never asks the workers anything.
// Thread tag: thread-safe (the reporter adds, the admin's threads answer).
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>

#include "libhongbao/http/admin_server.h"
#include "nlohmann/json_fwd.hpp"

namespace hongbao::watch {

class RecentRows {
 public:
  static constexpr size_t kSecondsMax = 120;

  RecentRows();
  ~RecentRows();

  // `row` is an object with its second in "unix_s"; rows come in their order, in which a second may come again when the wall
  // clock was set back.
  void Add(nlohmann::json row);

  // The second of the newest row; 0: there is none yet.
  int64_t LastUnixSecond() const;

  // {"series": [...]}: the rows that came after the second `after` (a parameter; absent: all there are), oldest first.
  http::Response Answer(const http::Request& request) const;

 private:
  mutable std::mutex mutex_;
  std::deque<nlohmann::json> rows_;
};

}  // namespace hongbao::watch
