// LedgerFile: one ledger file, opened so that it can be trusted.
//
// Owns the connection. Opening refuses what is not a ledger, of another version, read-only, in use, or damaged, and leaves
// such a file untouched; it takes the file for this process alone (locking_mode=EXCLUSIVE before WAL: SQLite up to 3.51.2
// may corrupt a WAL database that two connections write and checkpoint at once) and reads back that every commit will be
// synced. Behind each commit it marks in the log that it is on disk, see wal_check.h. Never writes rows: Writer and Recovery
// do. Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "libhongbao/ledger/sqlite.h"

namespace hongbao::ledger {

// SQLite's integrity_check reads all of the file and every index, some 100 MB/s. A larger file is looked at by what Recover does
// (every grant, every chain, every lot) and by tools/audit.
inline constexpr int64_t kSmallFileBytesMax = int64_t{256} << 20;

struct FileOptions {
  std::string path{};
  bool read_only = false;        // for looking at a copy: no lock is kept, nothing is written
  bool check_small = true;       // SQLite's own integrity_check of files up to kSmallFileBytesMax
  const char* vfs = nullptr;     // tests put faults in between; null = the system's
  bool has_noreplace = true;     // tests only: false = a file system whose rename cannot be told not to replace
  bool planted_no_sync = false;  // tests only: a build that forgets to sync, which the power-loss test must catch
};

class LedgerFile {
 public:
  // Opens the file or makes a new one. NotFound (read_only and not there), FailedPrecondition (no ledger, or not of this
  // version), PermissionDenied (read-only), Unavailable (in use by another process), DataLoss (damaged), others as the
  // system says. Each names the file, the cause and the cure.
  static absl::StatusOr<std::unique_ptr<LedgerFile>> Open(const FileOptions& options);

  ~LedgerFile();
  LedgerFile(const LedgerFile&) = delete;
  LedgerFile& operator=(const LedgerFile&) = delete;

  Sqlite& db() { return db_; }
  const std::string& path() const { return options_.path; }
  static std::string SqliteVersion();

  // Brings a file of an older version up to this one, in one commit. Once its contents have been judged good.
  void Upgrade();

  // Pages in the write-ahead log since it was last written back.
  int64_t wal_pages() const { return wal_pages_; }
  // Writes the log's pages back into the file. `all`: also empties the log.
  void Checkpoint(bool all);
  // The end in order: everything is written back, and closing removes the log. A file that is closed without it is left as a
  // killed process leaves it: one that was found damaged, or whose commit failed, is not written to any more.
  void Finish();

 private:
  explicit LedgerFile(const FileOptions& options) : options_(options) {}
  static absl::Status Make(const FileOptions& options);
  absl::Status CheckHeader() const;
  absl::Status OpenAndSettle();
  absl::Status CheckContents();
  void MarkLog(int pages);

  FileOptions options_;
  int64_t wal_pages_ = 0;
  bool found_log_ = false;
  bool is_older_ = false;
  Sqlite db_;
};

}  // namespace hongbao::ledger
