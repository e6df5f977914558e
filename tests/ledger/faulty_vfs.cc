#include "faulty_vfs.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <new>
#include <random>
#include <sstream>

namespace hongbao::ledger {
namespace {

constexpr int kSector = 512;

sqlite3_vfs* System() { return sqlite3_vfs_find("unix"); }

std::string ReadAll(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

uint64_t InodeOf(const std::string& path) {
  struct stat facts {};
  return stat(path.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

void Apply(const FaultyVfs::Change& change, std::string& content) {
  if (change.is_size) {
    content.resize(static_cast<size_t>(change.at));
    return;
  }
  const size_t end = static_cast<size_t>(change.at) + change.bytes.size();
  content.resize(std::max(content.size(), end));
  content.replace(static_cast<size_t>(change.at), change.bytes.size(), change.bytes);
}

// The bytes from..to of what a change does to the sector at `begin`.
void ApplyToSector(const FaultyVfs::Change& change, int64_t begin, size_t from, size_t to, std::string& bytes) {
  for (size_t i = from; i < to; ++i) {
    const int64_t at = begin + static_cast<int64_t>(i) - change.at;
    if (at >= 0 && (change.is_size || at < static_cast<int64_t>(change.bytes.size()))) {
      bytes[i] = change.is_size ? '\0' : change.bytes[static_cast<size_t>(at)];
    }
  }
}

// How much of what has not been synced a disk has taken.
class Luck {
 public:
  explicit Luck(std::mt19937_64& random) : random_(random), mood_(random() % 8) {}

  // Of `count` changes that follow each other. Now and then all or none, for the whole file: what most real disks do.
  size_t Kept(size_t count) { return mood_ == 0 ? count : mood_ == 1 ? 0 : random_() % (count + 1); }
  bool Tears() { return mood_ > 1 && random_() % 4 == 0; }
  size_t Cut() { return random_() % 512; }

 private:
  std::mt19937_64& random_;
  const uint64_t mood_;
};

// A sector's writes up to some point; the next one may be torn: its beginning or its end. Truncations are not a sector's.
std::string AnySector(std::string bytes, const std::vector<FaultyVfs::Change>& since, int64_t begin, Luck& luck) {
  const auto touches = [&](const FaultyVfs::Change& change) {
    const int64_t end = change.at + static_cast<int64_t>(change.bytes.size());
    return !change.is_size && change.at < begin + int64_t{kSector} && end > begin;
  };
  size_t left = luck.Kept(static_cast<size_t>(std::count_if(since.begin(), since.end(), touches)));
  bool may_tear = true;
  for (const FaultyVfs::Change& change : since) {
    if (change.is_size || (touches(change) && left > 0)) {
      left -= change.is_size ? 0 : 1;
      ApplyToSector(change, begin, 0, kSector, bytes);
    } else if (touches(change) && may_tear) {
      may_tear = false;
      const size_t cut = luck.Cut();
      if (luck.Tears()) {
        const bool beginning = luck.Cut() % 2 == 0;
        ApplyToSector(change, begin, beginning ? 0 : cut, beginning ? cut : kSector, bytes);
      }
    }
  }
  return bytes;
}

// One of the states that a disk may hold of a file with changes that were never synced. Truncations take place in their order
// up to some point, whatever has become of the bytes written before and after.
std::string AnyImage(const FaultyVfs::Disk& disk, std::mt19937_64& random) {
  Luck luck(random);
  const auto is_size = [](const FaultyVfs::Change& change) { return change.is_size; };
  size_t truncations = luck.Kept(static_cast<size_t>(std::count_if(disk.since.begin(), disk.since.end(), is_size)));
  std::vector<FaultyVfs::Change> since;
  std::vector<int64_t> sizes = {static_cast<int64_t>(disk.synced.size())};
  int64_t reach = sizes[0];
  for (const FaultyVfs::Change& change : disk.since) {
    if (change.is_size && truncations == 0) {
      continue;
    }
    since.push_back(change);
    if (change.is_size) {
      --truncations;
      sizes = {change.at};
    } else {
      sizes.push_back(std::max(sizes.back(), change.at + static_cast<int64_t>(change.bytes.size())));
    }
    reach = std::max(reach, sizes.back());
  }
  std::string image = disk.synced;
  image.resize(static_cast<size_t>((reach + kSector - 1) / kSector * kSector));
  for (size_t begin = 0; begin < image.size(); begin += kSector) {
    image.replace(begin, kSector, AnySector(image.substr(begin, kSector), since, static_cast<int64_t>(begin), luck));
  }
  const size_t grown = luck.Kept(sizes.size() - 1);
  image.resize(static_cast<size_t>(sizes[grown]));
  return image;
}

// ---- the file ----

struct ShimFile {
  sqlite3_file base;
  FaultyVfs* vfs;
  FaultyVfs::Kind kind;
  std::shared_ptr<FaultyVfs::Disk>* disk;  // null: a temporary file, of which nothing is kept
  sqlite3_file* real;                      // behind this struct
};

ShimFile* Shim(sqlite3_file* file) { return reinterpret_cast<ShimFile*>(file); }

int Close(sqlite3_file* file) {
  ShimFile* shim = Shim(file);
  delete shim->disk;
  return shim->real->pMethods->xClose(shim->real);
}

int Read(sqlite3_file* file, void* to, int bytes, sqlite3_int64 at) {
  return Shim(file)->real->pMethods->xRead(Shim(file)->real, to, bytes, at);
}

int Write(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 at) {
  ShimFile* shim = Shim(file);
  if (shim->disk == nullptr) {
    return shim->real->pMethods->xWrite(shim->real, from, bytes, at);
  }
  const std::lock_guard<std::mutex> lock(shim->vfs->mutex());
  const int judged = shim->vfs->Judge(shim->kind, FaultyVfs::Call::kWrite);
  if (judged != SQLITE_OK && judged != SQLITE_FULL) {
    return judged;
  }
  bool last = false;
  if (!shim->vfs->Changes(last)) {
    return SQLITE_IOERR_WRITE;
  }
  const int taken = judged == SQLITE_FULL ? bytes / 2 : bytes;
  (*shim->disk)->since.push_back({.at = at, .bytes = std::string(static_cast<const char*>(from), static_cast<size_t>(taken))});
  const int code = shim->real->pMethods->xWrite(shim->real, from, taken, at);
  return judged != SQLITE_OK ? judged : last ? SQLITE_IOERR_WRITE : code;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  ShimFile* shim = Shim(file);
  if (shim->disk == nullptr) {
    return shim->real->pMethods->xTruncate(shim->real, size);
  }
  const std::lock_guard<std::mutex> lock(shim->vfs->mutex());
  bool last = false;
  if (!shim->vfs->Changes(last)) {
    return SQLITE_IOERR_TRUNCATE;
  }
  (*shim->disk)->since.push_back({.at = size, .is_size = true});
  const int code = shim->real->pMethods->xTruncate(shim->real, size);
  return last ? SQLITE_IOERR_TRUNCATE : code;
}

int Sync(sqlite3_file* file, int) {
  ShimFile* shim = Shim(file);
  if (shim->disk == nullptr) {
    return SQLITE_OK;
  }
  const std::lock_guard<std::mutex> lock(shim->vfs->mutex());
  if (const int judged = shim->vfs->Judge(shim->kind, FaultyVfs::Call::kSync); judged != SQLITE_OK) {
    return judged;  // and what was to be synced may be lost for good, or not: it stays in `since`
  }
  bool last = false;
  if (!shim->vfs->Changes(last) || last) {
    return SQLITE_IOERR_FSYNC;
  }
  FaultyVfs::Disk& disk = **shim->disk;
  for (const FaultyVfs::Change& change : disk.since) {
    Apply(change, disk.synced);
  }
  disk.since.clear();
  if (!disk.name_synced) {  // the system's VFS syncs the folder with a new log's or journal's first sync
    disk.name_synced = true;
    if (shim->kind != FaultyVfs::Kind::kDatabase) {
      shim->vfs->FolderIsSynced();
    }
  }
  return SQLITE_OK;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) { return Shim(file)->real->pMethods->xFileSize(Shim(file)->real, size); }
int Lock(sqlite3_file* file, int level) { return Shim(file)->real->pMethods->xLock(Shim(file)->real, level); }
int Unlock(sqlite3_file* file, int level) { return Shim(file)->real->pMethods->xUnlock(Shim(file)->real, level); }
int CheckReservedLock(sqlite3_file* file, int* held) {
  return Shim(file)->real->pMethods->xCheckReservedLock(Shim(file)->real, held);
}
int FileControl(sqlite3_file* file, int operation, void* argument) {
  return operation == SQLITE_FCNTL_SIZE_HINT || operation == SQLITE_FCNTL_CHUNK_SIZE  // sizes change in Write alone
             ? SQLITE_OK
             : Shim(file)->real->pMethods->xFileControl(Shim(file)->real, operation, argument);
}
int SectorSize(sqlite3_file* file) { return Shim(file)->real->pMethods->xSectorSize(Shim(file)->real); }
int Characteristics(sqlite3_file* file) { return Shim(file)->real->pMethods->xDeviceCharacteristics(Shim(file)->real); }

// Version 1: no shared memory (the ledger locks the file for itself), no mapping.
constexpr sqlite3_io_methods kMethods = {.iVersion = 1,
                                         .xClose = Close,
                                         .xRead = Read,
                                         .xWrite = Write,
                                         .xTruncate = Truncate,
                                         .xSync = Sync,
                                         .xFileSize = FileSize,
                                         .xLock = Lock,
                                         .xUnlock = Unlock,
                                         .xCheckReservedLock = CheckReservedLock,
                                         .xFileControl = FileControl,
                                         .xSectorSize = SectorSize,
                                         .xDeviceCharacteristics = Characteristics,
                                         .xShmMap = nullptr,  // of version 2 and 3
                                         .xShmLock = nullptr,
                                         .xShmBarrier = nullptr,
                                         .xShmUnmap = nullptr,
                                         .xFetch = nullptr,
                                         .xUnfetch = nullptr};

int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  auto* owner = static_cast<FaultyVfs*>(vfs->pAppData);
  ShimFile* shim = new (file) ShimFile{};
  shim->vfs = owner;
  shim->kind = (flags & SQLITE_OPEN_WAL) != 0       ? FaultyVfs::Kind::kLog
               : (flags & SQLITE_OPEN_MAIN_DB) != 0 ? FaultyVfs::Kind::kDatabase
                                                    : FaultyVfs::Kind::kJournal;
  shim->real = reinterpret_cast<sqlite3_file*>(shim + 1);
  const std::lock_guard<std::mutex> lock(owner->mutex());
  const bool existed = path == nullptr || InodeOf(path) != 0;
  const int code = System()->xOpen(System(), path, shim->real, flags, out_flags);
  shim->base.pMethods = code == SQLITE_OK ? &kMethods : nullptr;
  if (code == SQLITE_OK && path != nullptr && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0) {
    shim->disk = new std::shared_ptr<FaultyVfs::Disk>(owner->DiskOf(path, !existed));
  }
  return code;
}

int Delete(sqlite3_vfs* vfs, const char* path, int sync_folder) {
  auto* owner = static_cast<FaultyVfs*>(vfs->pAppData);
  const std::lock_guard<std::mutex> lock(owner->mutex());
  bool last = false;
  if (!owner->Changes(last)) {
    return SQLITE_IOERR_DELETE;
  }
  const int code = System()->xDelete(System(), path, 0);
  owner->Forget(path, sync_folder != 0 && !last);
  return last ? SQLITE_IOERR_DELETE : code;
}

}  // namespace

FaultyVfs::FaultyVfs() {
  static std::atomic<int> number{0};
  name_ = "faulty-" + std::to_string(++number);
  vfs_ = *System();  // what is not replaced below does not look at the VFS it is called for
  vfs_.pNext = nullptr;
  vfs_.szOsFile = static_cast<int>(sizeof(ShimFile)) + System()->szOsFile;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = Open;
  vfs_.xDelete = Delete;
  sqlite3_vfs_register(&vfs_, 0);
}

FaultyVfs::~FaultyVfs() { sqlite3_vfs_unregister(&vfs_); }

void FaultyVfs::FailAt(Kind kind, Call call, int64_t nth, int code, bool stays) {
  const std::lock_guard<std::mutex> lock(mutex_);
  faults_[{kind, call}] = {.left = nth, .code = code, .stays = stays};
  has_failed_ = false;
}

void FaultyVfs::Heal() {
  const std::lock_guard<std::mutex> lock(mutex_);
  faults_.clear();
}

bool FaultyVfs::has_failed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return has_failed_;
}

int64_t FaultyVfs::calls(Kind kind, Call call) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = calls_.find({kind, call});
  return found == calls_.end() ? 0 : found->second;
}

void FaultyVfs::PowerOffAt(int64_t nth) {
  const std::lock_guard<std::mutex> lock(mutex_);
  power_off_at_ = changes_ + nth;
}

bool FaultyVfs::is_off() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return power_off_at_ != 0 && changes_ >= power_off_at_;
}

int64_t FaultyVfs::changes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return changes_;
}

int FaultyVfs::Judge(Kind kind, Call call) {
  ++calls_[{kind, call}];
  Fault& fault = faults_[{kind, call}];
  if (fault.left == 0) {
    return SQLITE_OK;
  }
  if (fault.left > 1) {
    --fault.left;
    return SQLITE_OK;
  }
  has_failed_ = true;
  fault.left = fault.stays ? 1 : 0;
  return fault.code;
}

bool FaultyVfs::Changes(bool& last) {
  if (power_off_at_ != 0 && changes_ >= power_off_at_) {
    return false;
  }
  last = ++changes_ == power_off_at_;
  return true;
}

std::shared_ptr<FaultyVfs::Disk> FaultyVfs::DiskOf(const std::string& path, bool may_be_new) {
  const uint64_t inode = InodeOf(path);
  if (const auto found = disks_.find(path); found != disks_.end() && !found->second->deleted && found->second->inode == inode) {
    return found->second;
  }
  for (auto& [name, disk] : disks_) {
    if (disk->inode == inode && !disk->deleted) {  // renamed since, and the folder synced: LedgerFile::Make
      std::shared_ptr<Disk> moved = disk;
      disks_.erase(name);
      return disks_[path] = moved;
    }
  }
  auto disk = std::make_shared<Disk>();
  disk->inode = inode;
  if (!may_be_new) {
    disk->synced = ReadAll(path);
    disk->name_synced = true;
  } else if (const auto before = disks_.find(path); before != disks_.end() && before->second->deleted) {
    // A file of that name whose deletion nobody has synced: the new one's name is the old one's until something is.
    disk->synced = before->second->synced;
    disk->since = before->second->since;
    disk->since.push_back({.at = 0, .is_size = true});
    disk->name_synced = true;
  }
  return disks_[path] = disk;
}

void FaultyVfs::Forget(const std::string& path, bool synced) {
  const auto found = disks_.find(path);
  if (found == disks_.end()) {
    return;
  }
  if (synced || !found->second->name_synced) {
    disks_.erase(found);
  } else {
    found->second->deleted = true;
  }
}

void FaultyVfs::FolderIsSynced() {
  std::erase_if(disks_, [](const auto& named) { return named.second->deleted; });
  for (auto& [name, disk] : disks_) {
    disk->name_synced = true;
  }
}

std::string FaultyVfs::PowerLoss(const std::string& path, const std::string& image, uint64_t seed) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::mt19937_64 random(seed);
  std::ostringstream report;
  for (const auto& [name, disk] : disks_) {
    if (name.compare(0, path.size(), path) != 0) {
      continue;
    }
    const bool is_certain = disk->name_synced && !disk->deleted;
    const std::string content = AnyImage(*disk, random);
    report << name.substr(path.size()) << ": " << disk->synced.size() << " bytes synced, " << disk->since.size()
           << " changes since, ";
    if (!is_certain && random() % 2 == 0) {
      report << "not there; ";
      continue;
    }
    std::ofstream(image + name.substr(path.size()), std::ios::binary) << content;
    report << content.size() << " bytes; ";
  }
  return report.str();
}

}  // namespace hongbao::ledger
