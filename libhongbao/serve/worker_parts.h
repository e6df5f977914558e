// WorkerParts: what serves the frames of one worker, wired together: its claimer, its lane to the ledger, its overload control,
// its gifts and its sessions.
//
// Owns them; App puts them behind an engine, a test or a benchmark calls them itself. Thread tag: worker-local.
#pragma once

#include <cstdint>

#include "libhongbao/count/cells.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/envelope/random.h"
#include "libhongbao/serve/counters.h"
#include "libhongbao/serve/gifts.h"
#include "libhongbao/serve/ledger_lane.h"
#include "libhongbao/serve/message.h"
#include "libhongbao/serve/overload.h"
#include "libhongbao/serve/sessions.h"
#include "libhongbao/serve/shared.h"

namespace hongbao::serve {

// The limits of one worker.
struct WorkerOptions {
  uint32_t connections_max = 0;  // of the server
  uint32_t ledger_waiting_max = 0;
  SessionOptions sessions{};
  GiftOptions gifts{};
  DelayOptions delay{};
};

struct WorkerParts {
  // `worker` of `workers`. `shared`, `cells` and `clock` outlive this.
  WorkerParts(uint32_t worker, uint32_t workers, const WorkerOptions& options, Shared& shared, const time::Clock& clock,
              count::Cells<Counter>& cells, const PostFunction& post,
              const envelope::Random& random = envelope::Random::FromSystem())
      : claimer(shared.pool),
        ledger(shared.ledger, worker, options.ledger_waiting_max),
        overload(&shared.limit, options.delay),
        gifts(options.gifts,
              {.worker = worker,
               .workers = workers,
               .directory = shared.directory,
               .ledger = ledger,
               .cells = cells,
               .returned = shared.returned,
               .post = post},
              random),
        sessions(options.sessions, {.workers = workers,
                                    .clock = clock,
                                    .directory = shared.directory,
                                    .gateway_order = shared.gateway_order,
                                    .claimer = claimer,
                                    .gifts = gifts,
                                    .overload = overload,
                                    .ledger = ledger,
                                    .cells = cells,
                                    .far_stamps = shared.far_stamps,
                                    .post = post}) {}
  WorkerParts(const WorkerParts&) = delete;
  WorkerParts& operator=(const WorkerParts&) = delete;

  envelope::LuckyClaimer claimer;
  LedgerLane ledger;
  Overload overload;
  Gifts gifts;
  Sessions sessions;
};

}  // namespace hongbao::serve
