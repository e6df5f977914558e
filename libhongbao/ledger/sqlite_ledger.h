// SqliteLedger: the ledger in one SQLite file, with one thread.
//
//   workers --lanes--> [ drain all that waits -> apply -> commit (one fsync) -> outcomes ] --sink--> workers
//
// Owns the file, the lanes and the thread. Natural group commit: while one commit is being synced the next batch gathers;
// there is no timer. Nobody but its thread touches the file after Start (one connection in one process, see ledger_file.h).
// When a commit fails it says so and ends the process: what has been answered is on disk, and nothing else has been.
// Thread tag: as Ledger.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "libhongbao/ledger/kill_point.h"
#include "libhongbao/ledger/lane.h"
#include "libhongbao/ledger/ledger.h"
#include "libhongbao/ledger/ledger_file.h"
#include "libhongbao/ledger/recovery.h"
#include "libhongbao/ledger/writer.h"

namespace hongbao::ledger {

// The process's exit code after a failed commit.
inline constexpr int kExitCommitFailed = 5;

struct SqliteLedgerOptions {
  FileOptions file{};
  KillPlan kill_plan{};
  int64_t checkpoint_pages = 16'384;  // of the log, 64 MiB: then it is written back, between two batches
  // How far the wall clock may be from what the file saw last for gifts to expire by it while the file is opened; 0 = any clock
  // is good. `clock_kept`: somebody else says that it is.
  int64_t clock_settle_ms = 0;
  bool clock_kept = false;
  // Called instead of ending the process when a commit failed; for tests. The ledger does nothing any more then.
  std::function<void(const absl::Status&)> on_failure{};
};

class SqliteLedger : public Ledger {
 public:
  static constexpr size_t kBatchMax = 4'096;

  // Opens (or makes), recovers and audits the file. `now_ms`: unix time. Errors as LedgerFile::Open and Recover.
  static absl::StatusOr<std::unique_ptr<SqliteLedger>> Open(const SqliteLedgerOptions& options, int64_t now_ms);
  ~SqliteLedger() override;

  // One line for the log: library, epoch, what was found.
  std::string Describe() const;

  Recovered TakeRecovered() override { return std::move(recovered_.state); }
  void Start(uint32_t lanes, uint32_t lane_records, OutcomeSink* sink) override;
  void Stop() override;
  void Submit(uint32_t lane, const Record& record) override;
  absl::Status RecordOrder(const Order& order) override { return Keep(order); }
  absl::Status RecordCancel(const Cancel& cancel) override { return Keep(cancel); }
  bool full() const override { return full_.load(std::memory_order_relaxed); }  // relaxed: late by a batch is early enough
  void SawClock(int64_t clock_ms) override { clock_ms_.store(clock_ms, std::memory_order_relaxed); }  // for itself

  // For figures (relaxed: they order nothing): batches committed and records in them so far. Any thread.
  uint64_t commits() const { return commits_.load(std::memory_order_relaxed); }
  uint64_t records() const { return records_.load(std::memory_order_relaxed); }

 private:
  // What somebody waits for: an order, or the end of one.
  struct WaitingOrder {
    std::variant<Order, Cancel> what;
    bool done = false;
    absl::Status status;
  };

  SqliteLedger(const SqliteLedgerOptions& options, std::unique_ptr<LedgerFile> file, RecoveredFile recovered);

  absl::Status Keep(std::variant<Order, Cancel> what);
  void Loop();
  bool Gather();
  bool Settle();
  void Deliver();
  void Wait();
  bool AnythingWaits();
  void Wake();
  void Fail();
  void NoteRoom();
  bool ClockIsNew(int64_t by_ms) const;
  void WriteClock();

  SqliteLedgerOptions options_;
  std::unique_ptr<LedgerFile> file_;
  RecoveredFile recovered_;
  std::string description_;
  std::optional<Writer> writer_;  // until Stop
  OutcomeSink* sink_ = nullptr;
  std::vector<std::unique_ptr<Lane>> lanes_;

  // The thread's own.
  std::vector<std::pair<uint32_t, Record>> batch_;
  std::vector<std::pair<uint32_t, Outcome>> settled_;
  std::vector<Outcome> outcomes_;
  std::vector<WaitingOrder*> orders_;
  int64_t clock_written_ms_ = 0;

  std::mutex mutex_;  // orders come once in a while
  std::condition_variable order_done_;
  std::deque<WaitingOrder*> waiting_orders_;

  alignas(64) std::atomic<bool> asleep_{false};
  std::atomic<uint32_t> wakes_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> full_{false};
  std::atomic<int64_t> clock_ms_{0};  // as confirmed last; 0: not by this life
  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> records_{0};
  bool failed_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace hongbao::ledger
