// What the parts of a worker's sessions (logins, shakes, requests) work with, and the limits they keep.
//
// Owns nothing but the functions that check tokens and post messages.
// Thread tag: worker-local; the directory and the order of gateways are shared and thread-safe.
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
#include "libhongbao/serve/message.h"
#include "libhongbao/serve/overload.h"
#include "libhongbao/serve/session.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::serve {

// Whether a v2 login's token was made with a key of the server's for exactly these users, and has not expired (docs/PROTOCOL.md,
// "User tokens"). A function of its own, so that serve/ links no cryptography.
using UserTokenCheck = std::function<bool(const wire::Token& token, uint32_t first_user, uint32_t user_count, int64_t unix_s)>;

struct SessionOptions {
  uint32_t wins_per_user = 0;  // shake wins of one user at most, 0 = no limit
  uint32_t gateways_max = 0;   // of this worker
  // Users of gateways logged in or out in a turn, some 100 ns each as their records are not in the cache: others wait so long.
  uint32_t gateway_users_a_turn = 16'384;
  std::optional<wire::Token> gateway_token{};  // whoever shows it may be a gateway, for any users
  UserTokenCheck user_token{};                 // if there is one, every login has to show a token
};

struct SessionServices {
  uint32_t workers = 1;
  const time::Clock& clock;
  Directory& directory;
  GatewayOrder& gateway_order;
  envelope::LuckyClaimer& claimer;
  Gifts& gifts;
  Overload& overload;
  LedgerLane& ledger;
  count::Cells<Counter>& cells;
  absl::Span<const ledger::RequestName> far_stamps;  // see ledger::Recovered; outlive the sessions
  PostFunction post;
};

// What logins, shakes and requests have in common: where they look, and what they count.
class SessionPart {
 protected:
  explicit SessionPart(const SessionServices& services)
      : durable_(services.ledger.durable()),
        clock_(services.clock),
        directory_(services.directory),
        gateway_order_(services.gateway_order),
        overload_(services.overload),
        ledger_(services.ledger),
        cells_(services.cells) {}
  ~SessionPart() = default;

  // The record of a user's request, as it goes to the ledger.
  ledger::Record RecordOf(ledger::RecordKind kind, const Session& session, uint64_t address, uint32_t user,
                          uint64_t stamp) const {
    return {.kind = kind,
            .has_stamp = session.version == wire::Version::k2,
            .user = user,
            .stamp = stamp,
            .reply_to = address,
            .login = directory_.logins(user),
            .at_ms = clock_.WallNs() / time::kNsPerMs};
  }

  const bool durable_;
  bool draining_ = false;
  const time::Clock& clock_;
  Directory& directory_;
  GatewayOrder& gateway_order_;
  Overload& overload_;
  LedgerLane& ledger_;
  count::Cells<Counter>& cells_;
};

}  // namespace hongbao::serve
