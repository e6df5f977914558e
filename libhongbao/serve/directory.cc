#include "libhongbao/serve/directory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hongbao::serve {

absl::StatusOr<Directory> Directory::Create(uint32_t users_max) {
  if (users_max == 0) {
    return absl::InvalidArgumentError("a server needs room for at least one user");
  }
  const size_t bytes = size_t{users_max} * sizeof(Record);
  // NORESERVE: pages cost memory when their first user logs in, not before.
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("no address space for the records of ", users_max, " users (",
                                                     bytes, " bytes): ", std::strerror(errno),
                                                     "; lower the number of users or raise the limit (ulimit -v)"));
  }
  madvise(mapping, bytes, MADV_HUGEPAGE);  // it fills up and is read at random: fewer TLB misses; a wish, no need
  return Directory(static_cast<Record*>(mapping), users_max);
}

Directory::Directory(Directory&& other) noexcept
    : records_(std::exchange(other.records_, nullptr)), users_max_(std::exchange(other.users_max_, 0)) {}

Directory::~Directory() {
  if (records_ != nullptr) {
    munmap(records_, size_t{users_max_} * sizeof(Record));
  }
}

bool Directory::TakeShakeWin(uint32_t user, uint32_t cap) {
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

bool Directory::AddUnopened(uint32_t user) {
  std::atomic_ref<uint16_t> unopened = Unopened(user);
  uint16_t seen = unopened.load(std::memory_order_relaxed);
  do {
    if (seen == kUnopenedMax) {
      return false;
    }
  } while (!unopened.compare_exchange_weak(seen, static_cast<uint16_t>(seen + 1), std::memory_order_seq_cst,
                                           std::memory_order_relaxed));
  return true;
}

void Directory::AddGrant(uint32_t user, int64_t fen, uint64_t stamp) {
  // relaxed: sums; a statement is a snapshot of them and promises no more.
  Grants(user).fetch_add(1, std::memory_order_relaxed);
  TotalFen(user).fetch_add(fen, std::memory_order_relaxed);
  RaiseStamp(user, stamp);
}

void Directory::RaiseStamp(uint32_t user, uint64_t stamp) {
  // relaxed: a maximum; the next login of the user is ordered behind it by the session word or by the network.
  std::atomic_ref<uint64_t> last = LastStamp(user);
  uint64_t seen = last.load(std::memory_order_relaxed);
  while (seen < stamp && !last.compare_exchange_weak(seen, stamp, std::memory_order_relaxed)) {
  }
}

}  // namespace hongbao::serve
