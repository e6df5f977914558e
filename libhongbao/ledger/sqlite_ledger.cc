#include "libhongbao/ledger/sqlite_ledger.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libhongbao/check.h"

namespace hongbao::ledger {
namespace {

// While records come: so old may what the file knows of the clock be after a crash.
constexpr int64_t kClockEveryMs = 10'000;

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteLedger>> SqliteLedger::Open(const SqliteLedgerOptions& options, int64_t now_ms) {
  absl::StatusOr<std::unique_ptr<LedgerFile>> file = LedgerFile::Open(options.file);
  if (!file.ok()) {
    return file.status();
  }
  KillPlan kill_plan = options.kill_plan;
  // A clock that nobody has confirmed moves no money: then what had expired when the file was confirmed last is refunded, and
  // no more.
  const int64_t seen_ms = ClockOf(**file);
  const bool good =
      options.clock_settle_ms == 0 || options.clock_kept || seen_ms == 0 || std::abs(now_ms - seen_ms) <= options.clock_settle_ms;
  absl::StatusOr<RecoveredFile> recovered =
      Recover(**file, good ? now_ms : std::min(now_ms, seen_ms), kill_plan, good ? now_ms : 0);
  if (!recovered.ok()) {
    const bool damaged = recovered.status().code() == absl::StatusCode::kDataLoss;
    return absl::Status(recovered.status().code(),
                        absl::StrCat("ledger ", options.file.path, ": ", std::string(recovered.status().message()),
                                     damaged ? "; it was left as it is: look at a copy with tools/audit, restore a backup"
                                             : "; nothing is lost: put right what is named and start again"));
  }
  return std::unique_ptr<SqliteLedger>(new SqliteLedger(options, *std::move(file), *std::move(recovered)));
}

SqliteLedger::SqliteLedger(const SqliteLedgerOptions& options, std::unique_ptr<LedgerFile> file, RecoveredFile recovered)
    : options_(options),
      file_(std::move(file)),
      recovered_(std::move(recovered)),
      description_(absl::StrCat("SQLite ", LedgerFile::SqliteVersion(), ", ", file_->path(), ", start ", recovered_.state.epoch,
                                ", ", recovered_.last_grant_id, " grants, ", recovered_.state.orders.size(), " open orders, ",
                                recovered_.state.gifts.size(), " live gifts, ", recovered_.refunded_gifts, " refunded now")),
      writer_(std::in_place, file_->db(), std::move(recovered_.heads), recovered_.last_grant_id) {
  writer_->AddLots(recovered_.state.orders);
}

SqliteLedger::~SqliteLedger() { Stop(); }

std::string SqliteLedger::Describe() const { return description_; }

void SqliteLedger::Start(uint32_t lanes, uint32_t lane_records, OutcomeSink* sink) {
  Check(sink_ == nullptr && sink != nullptr, "a ledger is started once");
  sink_ = sink;
  for (uint32_t i = 0; i < lanes; ++i) {
    lanes_.push_back(std::make_unique<Lane>(lane_records));
  }
  thread_ = std::thread([this] { Loop(); });
}

void SqliteLedger::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) {
      return;
    }
    stopped_ = true;
  }
  stopping_.store(true, std::memory_order_release);  // all that was submitted before is seen by whoever sees it
  Wake();
  if (thread_.joinable()) {
    thread_.join();
  }
  if (!failed_) {
    file_->Finish();
  }
  writer_.reset();  // its statements before their connection
  file_.reset();
}

void SqliteLedger::Submit(uint32_t lane, const Record& record) {
  if (record.kind == RecordKind::kWin) {
    options_.kill_plan.Pass(KillPoint::kAfterClaim);
  }
  lanes_[lane]->Push(record);
  // Pairs with the fence in Wait: either we see that the thread sleeps, or it sees our record.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // The first who finds it asleep wakes it; until it has woken, the others need not. Relaxed: the fence above is what orders.
  if (asleep_.load(std::memory_order_relaxed) && asleep_.exchange(false, std::memory_order_relaxed)) {
    Wake();
  }
}

absl::Status SqliteLedger::Keep(std::variant<Order, Cancel> what) {
  WaitingOrder waiting{.what = std::move(what)};
  std::unique_lock<std::mutex> lock(mutex_);
  if (stopped_ || failed_) {
    return absl::FailedPreconditionError("the ledger is closed");
  }
  waiting_orders_.push_back(&waiting);
  lock.unlock();
  Wake();
  lock.lock();
  order_done_.wait(lock, [&] { return waiting.done; });
  return waiting.status;
}

// ---- the thread ----

void SqliteLedger::Loop() {
  for (;;) {
    // Before the look: what was submitted before Stop is in the lanes then.
    const bool stopping = stopping_.load(std::memory_order_acquire);  // pairs with Stop
    if (Gather()) {
      if (!Settle()) {
        return Fail();
      }
      Deliver();
      if (file_->wal_pages() > options_.checkpoint_pages) {
        options_.kill_plan.Pass(KillPoint::kCheckpoint);
        file_->Checkpoint(false);
      }
    } else if (stopping) {
      if (ClockIsNew(1)) {
        writer_->Begin();
        WriteClock();
        if (!writer_->Commit()) {
          return Fail();
        }
      }
      return;
    } else {
      Wait();
    }
  }
}

// Relaxed, also below: the time stands for itself.
bool SqliteLedger::ClockIsNew(int64_t by_ms) const {
  const int64_t clock_ms = clock_ms_.load(std::memory_order_relaxed);
  return clock_ms != 0 && std::abs(clock_ms - clock_written_ms_) >= by_ms;
}

void SqliteLedger::WriteClock() {
  clock_written_ms_ = clock_ms_.load(std::memory_order_relaxed);
  writer_->SetClock(clock_written_ms_);
}

// Takes what waits, a batch at most. False: nothing.
bool SqliteLedger::Gather() {
  batch_.clear();
  for (uint32_t lane = 0; lane < lanes_.size(); ++lane) {
    const size_t end = (lane + 1) * kBatchMax / lanes_.size();  // a full lane leaves room for the others
    Record record;
    while (batch_.size() < end && lanes_[lane]->Pop(record)) {
      batch_.emplace_back(lane, record);
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  orders_.assign(waiting_orders_.begin(), waiting_orders_.end());
  waiting_orders_.clear();
  return !batch_.empty() || !orders_.empty();
}

// One transaction. False: it failed, and nothing of it holds.
bool SqliteLedger::Settle() {
  settled_.clear();
  writer_->Begin();
  for (const WaitingOrder* waiting : orders_) {
    if (const Order* order = std::get_if<Order>(&waiting->what)) {
      writer_->ApplyOrder(*order);
    }
  }
  for (const auto& [lane, record] : batch_) {
    outcomes_.clear();
    writer_->Apply(record, outcomes_);
    for (const Outcome& outcome : outcomes_) {
      settled_.emplace_back(lane, outcome);
    }
  }
  // Behind the records: what was won before it is left of the lot no more.
  bool cancels = false;
  for (const WaitingOrder* waiting : orders_) {
    if (const Cancel* cancel = std::get_if<Cancel>(&waiting->what)) {
      writer_->ApplyCancel(*cancel);
      cancels = true;
    }
  }
  if (ClockIsNew(kClockEveryMs)) {
    WriteClock();
  }
  options_.kill_plan.Pass(KillPoint::kBeforeCommit);
  if (!writer_->Commit()) {
    return false;
  }
  options_.kill_plan.Pass(KillPoint::kAfterCommit);
  if (cancels) {
    options_.kill_plan.Pass(KillPoint::kCancel);
  }
  NoteRoom();
  // relaxed: figures for a status page
  commits_.fetch_add(1, std::memory_order_relaxed);
  records_.fetch_add(batch_.size(), std::memory_order_relaxed);
  return true;
}

void SqliteLedger::NoteRoom() {
  if (writer_->last_grant_id() <= Writer::kGrantsMax - Writer::kGrantsKept || full()) {
    return;
  }
  full_.store(true, std::memory_order_relaxed);
  std::fprintf(stderr,
               "hongbao: ledger %s: it holds %u grants, as many as a file can: shakes, sends and opens are refused from now on; "
               "stop the server, keep the file, and start with a new one\n",
               file_->path().c_str(), writer_->last_grant_id());
}

void SqliteLedger::Deliver() {
  if (!orders_.empty()) {  // first: they wait for the commit, not for the workers
    const std::lock_guard<std::mutex> lock(mutex_);
    for (WaitingOrder* waiting : orders_) {
      waiting->done = true;
    }
    order_done_.notify_all();
  }
  for (const auto& [lane, outcome] : settled_) {
    sink_->Deliver(lane, outcome);
  }
}

bool SqliteLedger::AnythingWaits() {
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    if (!lane->Empty()) {
      return true;
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  return !waiting_orders_.empty() || stopping_.load(std::memory_order_acquire);  // pairs with Stop
}

void SqliteLedger::Wait() {
  // Acquire: who raised it before this look had submitted before that, and is found by the look into the lanes.
  const uint32_t seen = wakes_.load(std::memory_order_acquire);
  asleep_.store(true, std::memory_order_seq_cst);  // before the last look into the lanes, see Submit
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!AnythingWaits()) {
    wakes_.wait(seen, std::memory_order_acquire);  // as above, for who raises it now
  }
  asleep_.store(false, std::memory_order_relaxed);  // late news cost a spare wake-up
}

void SqliteLedger::Wake() {
  wakes_.fetch_add(1, std::memory_order_release);  // after what it tells of
  wakes_.notify_one();
}

void SqliteLedger::Fail() {
  const absl::Status& status = writer_->status();
  if (options_.on_failure == nullptr) {
    std::fprintf(stderr,
                 "hongbao: ledger %s: a commit failed: %s\nhongbao: stopped at once: no reply has left for what is not on disk; "
                 "start again once the cause is gone, the file recovers by itself\n",
                 file_->path().c_str(), std::string(status.message()).c_str());
    _exit(kExitCommitFailed);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  failed_ = true;
  orders_.insert(orders_.end(), waiting_orders_.begin(), waiting_orders_.end());
  for (WaitingOrder* waiting : orders_) {
    waiting->status = status;
    waiting->done = true;
  }
  order_done_.notify_all();
  options_.on_failure(status);
}

}  // namespace hongbao::ledger
