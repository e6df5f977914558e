// Recovery: from a ledger file to what memory must know, in one pass over the grants.
//
// Owns nothing. On the way it checks what such a pass can check (every user's chain, every lot's sum), lets the audit look at
// what came since the last start, gives back what expired meanwhile, and counts the start (epoch). Refuses a file that does
// not reconcile and changes nothing in it then. Thread tag: thread-compatible.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "libhongbao/ledger/kill_point.h"
#include "libhongbao/ledger/ledger.h"
#include "libhongbao/ledger/ledger_file.h"
#include "libhongbao/ledger/user_heads.h"

namespace hongbao::ledger {

struct RecoveredFile {
  Recovered state{};
  UserHeads heads{};
  uint32_t last_grant_id = 0;
  uint64_t refunded_gifts = 0;
};

// ResourceExhausted: the file holds so many grants that it cannot be served from any more.
absl::Status CheckRoom(uint32_t last_grant_id);

// Unix time that was confirmed last, by the file; of a file that does not say, of its newest rows. 0 = it has none.
int64_t ClockOf(LedgerFile& file);

// `now_ms`: unix time; gifts that expire up to then are refunded. `clock_ms`: what the file shall say was confirmed; 0 = what it
// says. DataLoss: the file does not reconcile (the text names the identity); ResourceExhausted: see CheckRoom; others as SQLite
// says.
absl::StatusOr<RecoveredFile> Recover(LedgerFile& file, int64_t now_ms, KillPlan& kill_plan, int64_t clock_ms = 0);

}  // namespace hongbao::ledger
