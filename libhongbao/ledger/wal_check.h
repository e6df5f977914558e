// CheckWal: whether a write-ahead log that a dead process left behind lacks commits that it once had.
//
// SQLite replays a log up to the first frame whose checksum is wrong and takes that for the end. That is right after a power
// loss, which can only damage the one commit that was under way; but a byte that changed in the middle silently takes
// away every commit behind it, and what is left is consistent: no audit of the tables could see it. Each commit is synced
// before the next begins, so two commits behind the end are proof of damage.
// Format: sqlite.org/fileformat2.html, "The Write-Ahead Log". Owns nothing, changes nothing. Thread tag: thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace hongbao::ledger {

// OK also when there is no such file. DataLoss when commits are missing; else what the system says.
absl::Status CheckWal(const std::string& path);

}  // namespace hongbao::ledger
