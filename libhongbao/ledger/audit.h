// Audit: the questions that a ledger file must answer with nothing.
//
// Owns the list of identities, each as a query that returns a row for every breach. Never changes the file.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libhongbao/ledger/sqlite.h"

namespace hongbao::ledger {

struct AuditFinding {
  std::string name{};    // of the identity
  std::string breach{};  // "" = it holds; else the first row that breaks it
  int64_t us = 0;        // how long it took
};

enum class AuditScope {
  kSince,  // what came after `since_grant`, in a time that grows with that only
  kAll,    // everything, SQLite's own integrity_check included
};

// One finding for each identity, in a fixed order. `since_grant`: kSince only looks at grants above it.
std::vector<AuditFinding> Audit(Sqlite& db, AuditScope scope, int64_t since_grant);

// The first breach as an error (DataLoss), or OK.
absl::Status Judge(const std::vector<AuditFinding>& findings);

}  // namespace hongbao::ledger
