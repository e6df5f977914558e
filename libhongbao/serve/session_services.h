// SessionServices: what a worker's Sessions works with, and the limits it keeps.
//
// Owns nothing but the function that checks tokens. Thread tag: worker-local; the directory, the order of gateways and the pool
// are shared and thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "absl/types/span.h"
#include "libhongbao/count/cells.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/serve/counters.h"
#include "libhongbao/serve/directory.h"
#include "libhongbao/serve/gateway_order.h"
#include "libhongbao/serve/gifts.h"
#include "libhongbao/serve/ledger_lane.h"
#include "libhongbao/serve/overload.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::serve {

// Whether a v2 login's token was made with a key of the server's for exactly these users, and has not expired (docs/PROTOCOL.md,
// "User tokens"). A function of its own, so that serve/ links no cryptography.
using UserTokenCheck =
    std::function<bool(const wire::Token& token, uint32_t first_user, uint32_t user_count, int64_t unix_s)>;

struct SessionServices {
  uint32_t workers = 1;
  uint32_t wins_per_user = 0;  // shake wins of one user at most, 0 = no limit
  uint32_t gateways_max = 0;   // of this worker
  // Users of gateways logged in or out in a turn, some 100 ns each as their records are not in the cache: others wait so long.
  uint32_t gateway_users_a_turn = 16'384;
  std::optional<wire::Token> gateway_token{};  // who shows it may be a gateway, for any users
  UserTokenCheck user_token{};  // if there is one, every login has to show a token
  const time::Clock* clock = nullptr;
  Directory* directory = nullptr;
  GatewayOrder* gateway_order = nullptr;
  const envelope::LuckyPool* pool = nullptr;
  envelope::LuckyClaimer* claimer = nullptr;
  Gifts* gifts = nullptr;
  Overload* overload = nullptr;
  LedgerLane* ledger = nullptr;
  count::Cells<Counter>* cells = nullptr;
  absl::Span<const ledger::RequestName> far_stamps{};  // see Recovered; outlive the desk
  PostFunction post{};
};

}  // namespace hongbao::serve
