// Money: the server's --ledger and --audit-only: from the flag's text to an opened ledger, or to a printed audit.
//
// Owns nothing. Says on stderr what a reader of the log needs: which SQLite, which file, how fast its disk syncs.
// Thread tag: thread-compatible (before the server starts).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "libhongbao/ledger/ledger.h"

namespace hongbao::server {

// "none", or "sqlite:PATH".
absl::Status CheckLedgerFlag(const std::string& flag);

// Null for "none". `clock_settle_ms`: see ledger::SqliteLedgerOptions. Errors as SqliteLedger::Open;
// DataLoss: the file does not reconcile and is not served from.
absl::StatusOr<std::unique_ptr<ledger::Ledger>> OpenLedger(const std::string& flag, int64_t now_ms, int64_t clock_settle_ms);

// All identities of the ledger's file on stdout, one a line. Changes nothing. OK, DataLoss (a breach), or why it can't look.
absl::Status PrintAudit(const std::string& flag);

}  // namespace hongbao::server
