// CheckWal: whether a write-ahead log that a dead process left behind lacks commits that it once had.
//
// SQLite replays a log up to the first frame whose checksum is wrong and takes that for the end. That is right after a power
// loss, which can only damage the one commit that was under way; but a byte that changed before silently takes away every
// commit behind it, and what is left is consistent: no audit of the tables could see it. Two things tell the one from the other:
//   - each commit is synced before the next begins, so two commits behind a damaged place are proof;
//   - once a commit is synced a mark is written behind it, where SQLite sees no frame: so much was on disk. It is not synced
//     itself and the next commit overwrites it: a mark that is lost claims nothing, one that is there is true.
// A damaged header loses nothing when all that the log holds has been written back (power was lost while the log was begun anew).
// Format: sqlite.org/fileformat2.html, "The Write-Ahead Log". Owns nothing, changes nothing. Thread tag: thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "libhongbao/cpp20.h"

namespace hongbao::ledger {

inline constexpr int64_t kWalHeaderBytes = 32;
using WalHeader = std::array<unsigned char, kWalHeaderBytes>;

struct WalMark {
  int64_t offset = 0;  // in the log
  std::array<unsigned char, 32> bytes{};
};

// That the first `frames` frames of the log with this header are on disk.
WalMark MarkWal(const WalHeader& header, uint32_t frames);

// For the log of the ledger file `path`, which nobody has open. OK also when there is no log. DataLoss when commits are missing;
// else what the system says.
absl::Status CheckWal(const std::string& path);

}  // namespace hongbao::ledger
