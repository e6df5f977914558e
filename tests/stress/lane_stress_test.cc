// Several workers, each with its lane, and one consumer that looks into all of them and sleeps as the ledger's thread does: no
// record is lost, torn or out of its lane's order, and no wake-up is lost. Run it under ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "libhongbao/ledger/lane.h"

namespace hongbao::ledger {
namespace {

constexpr uint32_t kWorkers = 3;
constexpr uint64_t kEach = 30'000;
constexpr uint64_t kCredits = 64;

struct Worker {
  Lane lane{kCredits};
  std::atomic<uint64_t> answered{0};
};

// The words between a worker and the ledger's thread, as in sqlite_ledger.cc.
struct Bed {
  std::atomic<bool> asleep{false};
  std::atomic<uint32_t> wakes{0};
};

void Submit(Worker& worker, Bed& bed, uint32_t number) {
  for (uint64_t i = 0; i < kEach; ++i) {
    while (i - worker.answered.load(std::memory_order_acquire) >= kCredits) {
      std::this_thread::yield();
    }
    Record record{.user = number, .stamp = i, .reply_to = i * 31 + number};
    record.users[kInvitedMax - 1] = static_cast<uint32_t>(i);
    worker.lane.Push(record);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (bed.asleep.load(std::memory_order_relaxed)) {
      bed.wakes.fetch_add(1, std::memory_order_release);
      bed.wakes.notify_one();
    }
  }
}

void Sleep(std::vector<std::unique_ptr<Worker>>& workers, Bed& bed) {
  const uint32_t seen = bed.wakes.load(std::memory_order_acquire);
  bed.asleep.store(true, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  bool empty = true;
  for (const auto& worker : workers) {
    empty = empty && worker->lane.Empty();
  }
  if (empty) {
    bed.wakes.wait(seen, std::memory_order_acquire);
  }
  bed.asleep.store(false, std::memory_order_relaxed);
}

TEST(LaneStress, WorkersAgainstALedgerThatSleeps) {
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  Bed bed;
  for (uint32_t i = 0; i < kWorkers; ++i) {
    workers.push_back(std::make_unique<Worker>());
  }
  for (uint32_t i = 0; i < kWorkers; ++i) {
    threads.emplace_back([&, i] { Submit(*workers[i], bed, i); });
  }
  std::vector<uint64_t> next(kWorkers);
  for (uint64_t taken = 0; taken < kWorkers * kEach;) {
    const uint64_t before = taken;
    for (uint32_t i = 0; i < kWorkers; ++i) {
      Record record;
      while (workers[i]->lane.Pop(record)) {
        EXPECT_EQ(record.user, i);
        EXPECT_EQ(record.stamp, next[i]) << "lost, doubled or out of order";
        EXPECT_EQ(record.reply_to, next[i] * 31 + i) << "torn";
        EXPECT_EQ(record.users[kInvitedMax - 1], static_cast<uint32_t>(next[i])) << "torn";
        workers[i]->answered.store(++next[i], std::memory_order_release);
        ++taken;
      }
    }
    if (taken == before) {
      Sleep(workers, bed);
    }
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace hongbao::ledger
