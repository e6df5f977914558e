// Shared: what all workers of a server share.
//
// Owns the directory, the lucky pool and what else workers meet in; none of the workers. Never on the path of a losing shake,
// but for reading. Thread tag: thread-safe, each part by itself.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/ledger/ledger.h"
#include "libhongbao/serve/directory.h"
#include "libhongbao/serve/gateway_order.h"
#include "libhongbao/serve/moves.h"
#include "libhongbao/serve/overload.h"
#include "libhongbao/serve/returned.h"
#include "libhongbao/time/clock_trust.h"
#include "libhongbao/time/highest_wall.h"
#include "libhongbao/time/wall_steps.h"

namespace hongbao::serve {

// Connections that live. Written once per connection, not per message.
class alignas(64) ConnectionCount {
 public:
  // One begins. Returns how many there were.
  // relaxed: the number stands for itself, nothing is read on the strength of it.
  uint32_t Begin() { return live_.fetch_add(1, std::memory_order_relaxed); }

  // One ends: `count_end()` counts all that its end changes, and then it is one less.
  // release: whoever sees it gone (CountThen) finds its end counted everywhere.
  template <class CountEnd>
  void End(CountEnd&& count_end) {
    count_end();
    live_.fetch_sub(1, std::memory_order_release);
  }

  // How many there are; then `read_counters()`, which finds everything of those that have ended.
  // acquire: pairs with End.
  template <class ReadCounters>
  uint32_t CountThen(ReadCounters&& read_counters) const {
    const uint32_t live = live_.load(std::memory_order_acquire);
    read_counters();
    return live;
  }

 private:
  std::atomic<uint32_t> live_{0};
};

struct Shared {
  Shared(Directory directory_made, size_t pool_envelopes, int64_t max_qps, const time::Clock& clock)
      : wall(clock), directory(std::move(directory_made)), pool(pool_envelopes), limit(max_qps) {}

  time::WallSteps wall;
  // Whether money may move by the wall clock. Written by worker 0, which looks once a second.
  std::atomic<bool> clock_confirmed{true};
  int64_t clock_floor_ns = 0;  // agreed less monotonic time, at least
  time::HighestWall highest_wall;
  std::optional<time::ClockTrust> trust;  // worker 0's, once the workers start
  Directory directory;
  GatewayOrder gateway_order;
  Moves moves;
  envelope::LuckyPool pool;
  RateLimit limit;
  Returned returned;
  ledger::Ledger* ledger = nullptr;             // null: nothing is durable
  std::vector<ledger::RequestName> far_stamps;  // see ledger::Recovered
  // What an earlier life left to the gifts' owners; read while the workers start, then emptied.
  std::vector<ledger::LiveGift> gifts;
  ConnectionCount connections;
};

}  // namespace hongbao::serve
