// FaultyVfs: an SQLite VFS in front of the system's that loses power and returns errors when told to.
//
// Owns what the disk would hold of each file: its content at the last sync, and every change since. The files themselves are
// written as always, as the kernel's page cache would be; syncs only reach the disk in here. Never outlived by a file that
// was opened through it. Thread tag: thread-safe (one lock around everything; the ledger has a thread of its own).
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace hongbao::ledger {

class FaultyVfs {
 public:
  enum class Kind { kDatabase, kLog, kJournal };
  enum class Call { kWrite, kSync };

  // Registers itself; several may exist.
  FaultyVfs();
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  const char* name() const { return name_.c_str(); }

  // ---- faults ----

  // The `nth` (from 1) such call from now on fails with `code`, and all such calls after it if `stays`. A full disk still
  // takes half of a write.
  void FailAt(Kind kind, Call call, int64_t nth, int code, bool stays);
  void Heal();
  bool has_failed() const;
  int64_t calls(Kind kind, Call call) const;

  // ---- power ----

  // The power goes at the `nth` change (write, truncation, sync, deletion) from now on: it may or may not reach the disk,
  // and nothing after it does anything but fail.
  void PowerOffAt(int64_t nth);
  bool is_off() const;
  int64_t changes() const;

  // Puts the files whose names begin with `path` into names that begin with `image`, as a disk could hold them if the power
  // goes now: what was synced is there; of each sector changed since, any of its states, or a torn one; of sizes, creations
  // and deletions since, some. Returns what was done, for a failure's report.
  std::string PowerLoss(const std::string& path, const std::string& image, uint64_t seed) const;

  // ---- the VFS's own ----

  // One change that has not been synced: bytes at an offset, or (no bytes) a new size.
  struct Change {
    int64_t at = 0;
    std::string bytes{};
    bool is_size = false;
  };
  struct Disk {
    std::string synced;         // content at the last sync
    std::vector<Change> since;  // in order
    bool name_synced = false;   // the name is in its folder for sure
    bool deleted = false;       // but the deletion is not
    uint64_t inode = 0;
  };
  struct Fault {
    int64_t left = 0;  // 0: none
    int code = 0;
    bool stays = false;
  };

  // What the call shall return, SQLITE_OK to go on.
  int Judge(Kind kind, Call call);
  // True: the change takes place. `last`: it is the one the power goes at.
  bool Changes(bool& last);
  std::shared_ptr<Disk> DiskOf(const std::string& path, bool may_be_new);
  void Forget(const std::string& path, bool synced);
  void FolderIsSynced();
  std::mutex& mutex() const { return mutex_; }

 private:
  mutable std::mutex mutex_;
  std::string name_;
  sqlite3_vfs vfs_{};
  std::map<std::string, std::shared_ptr<Disk>> disks_;
  std::map<std::pair<Kind, Call>, Fault> faults_;
  std::map<std::pair<Kind, Call>, int64_t> calls_;
  bool has_failed_ = false;
  int64_t changes_ = 0;
  int64_t power_off_at_ = 0;  // 0: never
};

}  // namespace hongbao::ledger
