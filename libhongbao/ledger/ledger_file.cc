#include "libhongbao/ledger/ledger_file.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "libhongbao/ledger/schema.h"
#include "libhongbao/ledger/wal_check.h"

namespace hongbao::ledger {
namespace {

absl::Status SystemError(const std::string& path, const std::string& what, int error) {
  const std::string text = absl::StrCat("ledger ", path, ": ", what, ": ", std::strerror(error));
  return error == EACCES || error == EPERM || error == EROFS ? absl::PermissionDeniedError(text) : absl::InternalError(text);
}

// The same error, with the file's name before it and what to do behind.
absl::Status Explain(const std::string& path, const absl::Status& status) {
  const char* cure = "";
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      cure = "; a ledger belongs to one server: stop that one, or copy the file to look at it";
      break;
    case absl::StatusCode::kDataLoss:
      cure =
          "; the file is damaged: keep it as it is, look at a copy with tools/audit, restore a backup (the old log, -wal, goes"
          " with the old file)";
      break;
    case absl::StatusCode::kResourceExhausted:
      cure = "; make room on its file system";
      break;
    case absl::StatusCode::kPermissionDenied:
      cure = "; give this user the right to write the file and its folder";
      break;
    default:
      break;
  }
  return absl::Status(status.code(), absl::StrCat("ledger ", path, ": ", std::string(status.message()), cure));
}

// The process that holds SQLite's lock on the file, 0 if none does. Asked before anything is judged: the log of a server
// that is running changes while it is read.
pid_t OwnerOf(int descriptor) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = 0x40000000;  // sqlite.org/fileformat2.html: the lock-byte page
  lock.l_len = 512;
  if (fcntl(descriptor, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) {
    return 0;
  }
  return lock.l_pid != 0 ? lock.l_pid : -1;  // 0: one that this container does not see
}

// Everything that the file's tables and indexes promise, as one text. What ANALYZE leaves is no promise.
constexpr char kTablesSql[] =
    "SELECT group_concat(type || ' ' || name || ' ' || tbl_name || ' ' || IFNULL(sql, ''), ';') FROM"
    " (SELECT * FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name)";

std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), &std::free);
  return real == nullptr ? path : real.get();
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

// True if the folder has been synced: a new name in it survives a power loss.
bool SyncFolderOf(const std::string& path) {
  const std::string folder = FolderOf(path);
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    return false;
  }
  const bool synced = fsync(descriptor) == 0;
  close(descriptor);
  return synced;
}

}  // namespace

std::string LedgerFile::SqliteVersion() { return sqlite3_libversion(); }

absl::StatusOr<std::unique_ptr<LedgerFile>> LedgerFile::Open(const FileOptions& wanted) {
  FileOptions options = wanted;
  struct stat facts {};
  if (stat(options.path.c_str(), &facts) != 0) {
    if (errno != ENOENT || options.read_only) {
      return errno == ENOENT ? absl::NotFoundError(absl::StrCat("ledger ", options.path, ": there is no such file"))
                             : SystemError(options.path, "cannot look at it", errno);
    }
    if (absl::Status status = Make(options); !status.ok()) {
      return status;
    }
    if (stat(options.path.c_str(), &facts) != 0) {
      return SystemError(options.path, "cannot look at it", errno);
    }
  }
  options.path = RealPath(options.path);  // as SQLite does: the log lies beside the file, not beside a link to it
  std::unique_ptr<LedgerFile> file(new LedgerFile(options));
  if (!S_ISREG(facts.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("ledger ", options.path, ": not a regular file"));
  } else if (!options.read_only && (facts.st_mode & 0222) == 0) {
    // Root may write it all the same, but whoever took the right away meant something.
    return absl::PermissionDeniedError(
        absl::StrCat("ledger ", options.path, ": the file is read-only; chmod u+w it to serve from it, or give another"));
  }
  absl::Status status = file->CheckHeader();
  if (status.ok()) {
    file->found_log_ = stat((options.path + "-wal").c_str(), &facts) == 0 && facts.st_size > 0;
    status = CheckWal(options.path);
  }
  if (status.ok()) {
    status = file->OpenAndSettle();
  }
  if (status.ok()) {
    status = file->CheckContents();
  }
  if (!status.ok()) {
    return status;
  }
  return file;
}

namespace {

// Never over a file that somebody else has made meanwhile, and perhaps serves from already. False: errno says why.
bool GiveName(const std::string& from, const std::string& to, bool has_noreplace) {
  if (has_noreplace && renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (has_noreplace && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) {
    return false;
  }
  // ZFS before 2.2, many FUSE file systems and 9p know no such rename. A link is made whole or not at all too, and never
  // replaces. A kill before the old name goes leaves that name beside a whole ledger.
  return link(from.c_str(), to.c_str()) == 0 && unlink(from.c_str()) == 0;
}

}  // namespace

// Under another name first: whatever happens on the way, a file of the ledger's name is a whole ledger.
absl::Status LedgerFile::Make(const FileOptions& options) {
  const std::string path = absl::StrCat(options.path, ".new.", getpid());  // two first starts at once make two
  const std::string folder = FolderOf(options.path);
  if (access(folder.c_str(), F_OK) != 0) {
    return absl::NotFoundError(absl::StrCat("ledger ", options.path, ": there is no folder ", folder, "; make it first"));
  }
  for (const char* suffix : {"-wal", "-journal"}) {
    if (access((options.path + suffix).c_str(), F_OK) == 0) {  // a new file would take over what an old one left
      return absl::FailedPreconditionError(absl::StrCat("ledger ", options.path, ": the file is not there, but its log ",
                                                        options.path, suffix,
                                                        " is; put the file back beside it, or move the log away"));
    }
  }
  std::remove(path.c_str());
  std::remove((path + "-journal").c_str());
  {
    Sqlite db;
    if (db.Create(path, options.vfs).ok()) {
      db.Run("PRAGMA journal_mode=DELETE");
      db.Run("PRAGMA synchronous=FULL");
      db.Run("BEGIN IMMEDIATE");
      db.Run(SchemaSql().c_str());
      db.Run("INSERT INTO meta SELECT k, 0, row_sum(k, 0) FROM (SELECT 'epoch' k UNION ALL SELECT 'audited_grant')");
      db.Run("COMMIT");
    }
    if (!db.ok()) {
      std::remove(path.c_str());
      return Explain(options.path, db.status());
    }
  }
  if (!GiveName(path, options.path, options.has_noreplace)) {
    const int error = errno;
    std::remove(path.c_str());
    return error == EEXIST ? absl::OkStatus() : SystemError(options.path, "cannot give the new file its name", error);
  }
  return SyncFolderOf(options.path) ? absl::OkStatus() : SystemError(options.path, "cannot sync its folder", errno);
}

// From the first bytes alone, so that a file of someone else's is not even opened by SQLite.
absl::Status LedgerFile::CheckHeader() const {
  std::array<unsigned char, 100> header{};
  const int descriptor = open(options_.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return SystemError(options_.path, "cannot read it", errno);
  }
  const ssize_t got = read(descriptor, header.data(), header.size());
  const pid_t owner = OwnerOf(descriptor);
  // Only this descriptor of ours exists so far: closing it drops no lock of SQLite's.
  close(descriptor);
  if (owner != 0) {
    return Explain(options_.path, absl::UnavailableError(owner < 0 ? std::string("in use by a process that is not seen from here")
                                                                   : absl::StrCat("in use by process ", owner)));
  }
  static constexpr char kMagic[] = "SQLite format 3";
  const auto number = [&](size_t offset) {  // big-endian, as all of SQLite's format
    return int64_t{header[offset]} << 24 | int64_t{header[offset + 1]} << 16 | int64_t{header[offset + 2]} << 8 |
           header[offset + 3];
  };
  if (got != static_cast<ssize_t>(header.size()) || std::memcmp(header.data(), kMagic, sizeof(kMagic)) != 0 ||
      number(68) != kApplicationId) {
    return absl::FailedPreconditionError(
        absl::StrCat("ledger ", options_.path, ": not a ledger of hongbao's; it was left as it is, give another file"));
  }
  if (number(60) < 1 || number(60) > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat("ledger ", options_.path, ": its schema has version ", number(60),
                                                      ", this program knows versions 1 to ", kSchemaVersion,
                                                      "; it was left as it is, use the program that it belongs to"));
  }
  return absl::OkStatus();
}

absl::Status LedgerFile::OpenAndSettle() {
  if (!db_.Open(options_.path, options_.read_only, options_.vfs).ok()) {
    return Explain(options_.path, db_.status());
  }
  // Until Finish: closing a file writes nothing.
  sqlite3_db_config(db_.raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (options_.read_only) {
    db_.Text("PRAGMA journal_mode");
    return db_.ok() ? absl::OkStatus() : Explain(options_.path, db_.status());
  }
  if (sqlite3_db_readonly(db_.raw(), "main") != 0) {
    return absl::PermissionDeniedError(absl::StrCat("ledger ", options_.path, ": the file is read-only"));
  }
  db_.Run("PRAGMA locking_mode=EXCLUSIVE");  // before WAL: then the log's index is in our memory, and nobody else gets in
  const std::string journal = db_.Text("PRAGMA journal_mode=WAL");
  db_.Run(options_.planted_no_sync ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=FULL");
  db_.Run("PRAGMA wal_autocheckpoint=0");  // when, is ours to say
  db_.Run("PRAGMA journal_size_limit=-1");
  db_.Run("PRAGMA cache_size=-65536");  // 64 MiB
  db_.Run("PRAGMA temp_store=MEMORY");
  db_.Run("PRAGMA trusted_schema=OFF");
  sqlite3_wal_hook(
      db_.raw(),
      [](void* file, sqlite3*, const char*, int pages) {
        static_cast<LedgerFile*>(file)->MarkLog(pages);
        return SQLITE_OK;
      },
      this);
  // A write lock now: from here on nobody else reads or writes the file.
  db_.Run("BEGIN IMMEDIATE");
  db_.Run("COMMIT");
  const int64_t synchronous = db_.Number("PRAGMA synchronous");
  if (!db_.ok()) {
    return Explain(options_.path, db_.status());
  }
  if (journal != "wal" || (synchronous != 2 && !options_.planted_no_sync)) {
    return absl::InternalError(absl::StrCat("ledger ", options_.path,
                                            ": SQLite did not take the settings that make commits durable (journal_mode ",
                                            journal, ", synchronous ", synchronous, "); is the file system a network's?"));
  }
  return absl::OkStatus();
}

absl::Status LedgerFile::CheckContents() {
  struct stat facts {};
  const bool small = stat(options_.path.c_str(), &facts) == 0 && facts.st_size <= kSmallFileBytesMax;
  if (options_.check_small && small) {
    // Not quick_check: that does not compare the indexes, and the keys that forbid to pay twice are indexes.
    const std::string found = db_.Text("PRAGMA integrity_check(1)");
    if (db_.ok() && found != "ok") {
      return Explain(options_.path,
                     absl::DataLossError(absl::StrCat("integrity_check found: ", absl::StrReplaceAll(found, {{"\n", "; "}}))));
    }
  }
  const std::string tables = db_.Text(kTablesSql);
  if (!db_.ok()) {
    return Explain(options_.path, db_.status());
  }
  Sqlite fresh;
  if (!fresh.Create(":memory:").ok()) {
    return fresh.status();
  }
  // Of the connection: the header may be older than what the log has.
  const int64_t version = db_.Number("PRAGMA user_version");
  fresh.Run(SchemaSql(version).c_str());
  if (version < 1 || version > kSchemaVersion || tables != fresh.Text(kTablesSql)) {
    // The constraints are guards of the money: a table without one of them is not to be written to.
    return Explain(options_.path, absl::DataLossError("its tables are not those of a ledger"));
  }
  is_older_ = version < kSchemaVersion;
  if (is_older_) {
    db_.Run("PRAGMA temp_store=MEMORY");
    db_.Run(StandInsSql().c_str());
  }
  return db_.ok() ? absl::OkStatus() : Explain(options_.path, db_.status());
}

void LedgerFile::Upgrade() {
  if (!is_older_) {
    return;
  }
  db_.Run("BEGIN IMMEDIATE");
  db_.Run(UpgradeSql().c_str());
  db_.Run("COMMIT");
  Checkpoint(true);  // an older program reads the version from the file's header, and must not take the log for its own
  is_older_ = !db_.ok();
}

LedgerFile::~LedgerFile() {
  if (db_.raw() != nullptr && !options_.read_only && !found_log_ && wal_pages_ == 0) {
    // There is nothing to write back: all that closing does is to remove the empty log that opening has made.
    sqlite3_db_config(db_.raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
  }
}

// After each commit, when it is on disk. What comes of it does not matter: without the mark the log claims less.
void LedgerFile::MarkLog(int pages) {
  wal_pages_ = pages;
  sqlite3_file* log = nullptr;
  WalHeader header{};
  if (sqlite3_file_control(db_.raw(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK || log->pMethods == nullptr ||
      log->pMethods->xRead(log, header.data(), kWalHeaderBytes, 0) != SQLITE_OK) {
    return;
  }
  const WalMark mark = MarkWal(header, static_cast<uint32_t>(pages));
  log->pMethods->xWrite(log, mark.bytes.data(), static_cast<int>(mark.bytes.size()), mark.offset);
}

void LedgerFile::Finish() {
  Checkpoint(true);
  if (db_.ok()) {
    sqlite3_db_config(db_.raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
  }
}

void LedgerFile::Checkpoint(bool all) {
  if (db_.ok() && sqlite3_wal_checkpoint_v2(db_.raw(), "main", all ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
                                            nullptr, nullptr) != SQLITE_OK) {
    db_.Fail("writing the log back");
  }
}

}  // namespace hongbao::ledger
