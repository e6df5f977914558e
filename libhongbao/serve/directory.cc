#include "libhongbao/serve/directory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hongbao::serve {

namespace {

// Null when the kernel refuses. NORESERVE: pages cost memory when their first user comes, not before.
void* Map(size_t bytes) {
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return mapping == MAP_FAILED ? nullptr : mapping;
}

}  // namespace

absl::StatusOr<Directory> Directory::Create(uint32_t users_max) {
  if (users_max == 0) {
    return absl::InvalidArgumentError("a server needs room for at least one user");
  }
  const size_t bytes = size_t{users_max} * sizeof(Record);
  Directory directory(static_cast<Record*>(Map(bytes)), static_cast<Purse*>(Map(size_t{users_max} * sizeof(Purse))), users_max);
  if (directory.records_ == nullptr || directory.purses_ == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no address space for the records of ", users_max, " users (", bytes,
                                                     " bytes): ", std::strerror(errno),
                                                     "; lower the number of users or raise the limit (ulimit -v)"));
  }
  // It fills up and is read at random: fewer TLB misses; a wish, no need.
  madvise(directory.records_, bytes, MADV_HUGEPAGE);
  return directory;
}

Directory::Directory(Directory&& other) noexcept
    : records_(std::exchange(other.records_, nullptr)),
      purses_(std::exchange(other.purses_, nullptr)),
      users_max_(std::exchange(other.users_max_, 0)) {}

Directory::~Directory() {
  if (records_ != nullptr) {
    munmap(records_, size_t{users_max_} * sizeof(Record));
  }
  if (purses_ != nullptr) {
    munmap(purses_, size_t{users_max_} * sizeof(Purse));
  }
}

bool Directory::ReserveShakeWin(uint32_t user, uint32_t cap) {
  // relaxed: only this counter's own value decides, and the compare makes check and increment one step, so two
  // connections of one user can't both take the last win.
  std::atomic_ref<uint16_t> wins = ShakeWins(user);
  uint16_t seen = wins.load(std::memory_order_relaxed);
  do {
    if (seen >= cap) {
      return false;
    }
  } while (!wins.compare_exchange_weak(seen, static_cast<uint16_t>(seen + 1), std::memory_order_relaxed));
  return true;
}

bool Directory::AddUnopened(uint32_t user, uint32_t max) {
  std::atomic_ref<uint16_t> unopened = Unopened(user);
  uint16_t seen = unopened.load(std::memory_order_relaxed);
  do {
    if (seen >= max) {
      return false;
    }
  } while (!unopened.compare_exchange_weak(seen, static_cast<uint16_t>(seen + 1), std::memory_order_seq_cst,
                                           std::memory_order_relaxed));
  return true;
}

void Directory::RemoveUnopened(uint32_t user) {
  // relaxed: a login that still sees the old count only asks once in vain.
  std::atomic_ref<uint16_t> unopened = Unopened(user);
  uint16_t seen = unopened.load(std::memory_order_relaxed);
  do {
    Check(seen > 0, "a gift is opened or expires only after it was counted");
    if (seen == kMoreThanCounted) {
      return;
    }
  } while (!unopened.compare_exchange_weak(seen, static_cast<uint16_t>(seen - 1), std::memory_order_relaxed));
}

void Directory::RestoreUnopened(uint32_t user) {
  // relaxed: the threads that will read it are started later.
  const uint16_t before = Unopened(user).load(std::memory_order_relaxed);
  Unopened(user).store(before == kMoreThanCounted ? before : static_cast<uint16_t>(before + 1), std::memory_order_relaxed);
}

bool Directory::AddSent(uint32_t user, uint32_t max) {
  // relaxed: as in ReserveShakeWin.
  std::atomic_ref<uint32_t> sent = Sent(user);
  uint32_t seen = sent.load(std::memory_order_relaxed);
  do {
    if (seen >= max) {
      return false;
    }
  } while (!sent.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed));
  return true;
}

void Directory::AddGrant(uint32_t user, int64_t fen) {
  // relaxed: sums; a statement is a snapshot of them and promises no more.
  Grants(user).fetch_add(1, std::memory_order_relaxed);
  TotalFen(user).fetch_add(fen, std::memory_order_relaxed);
}

void Directory::Restore(uint32_t user, uint64_t last_stamp, uint16_t shake_wins) {
  // relaxed: the threads that will read it are started later.
  LastStamp(user).store(last_stamp, std::memory_order_relaxed);
  ShakeWins(user).store(shake_wins, std::memory_order_relaxed);
}

void Directory::RaiseStamp(uint32_t user, uint64_t stamp) {
  std::atomic_ref<uint64_t> last = LastStamp(user);
  uint64_t seen = last.load(std::memory_order_relaxed);
  while (seen < stamp && !last.compare_exchange_weak(seen, stamp, std::memory_order_seq_cst)) {
  }
}

}  // namespace hongbao::serve
