// The commit path with a real file and real syncs: how many grants a second, how long from claim to outcome, how long a restart.
//
// HONGBAO_BENCH_FOLDER names the folder for the files (default: the current one); a tmpfs would measure no disk.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "libhongbao/check.h"
#include "libhongbao/ledger/audit.h"
#include "libhongbao/ledger/sqlite_ledger.h"

namespace hongbao::ledger {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kLotId = 0x100001;
constexpr uint32_t kLaneRecords = 8'192;
constexpr uint32_t kUsers = 1'000'000;

int64_t NowNs() { return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count(); }

std::string FilePath(const char* name) {
  const char* folder = std::getenv("HONGBAO_BENCH_FOLDER");
  return std::string(folder == nullptr ? "." : folder) + "/hongbao-benchmark-" + name + ".ledger";
}

void RemoveFile(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    std::filesystem::remove(path + suffix);
  }
}

// Counts outcomes and keeps how long each took, by the time its record carried.
class Outcomes : public OutcomeSink {
 public:
  void Deliver(uint32_t, const Outcome& outcome) override {
    latencies_ns.push_back(NowNs() - static_cast<int64_t>(outcome.reply_to));
    delivered.fetch_add(1, std::memory_order_release);
  }
  int64_t PercentileNs(double share) {
    std::sort(latencies_ns.begin(), latencies_ns.end());
    return latencies_ns.empty() ? 0 : latencies_ns[static_cast<size_t>(share * static_cast<double>(latencies_ns.size() - 1))];
  }

  std::vector<int64_t> latencies_ns;
  std::atomic<int64_t> delivered{0};
};

std::unique_ptr<SqliteLedger> OpenLedger(const std::string& path) {
  auto ledger = SqliteLedger::Open({.file = {.path = path}}, 1'000);
  Check(ledger.ok(), std::string(ledger.status().message()).c_str());
  return *std::move(ledger);
}

Order Lot(int64_t count) {
  return {.first_id = kLotId, .count = count, .rate = 1'000, .min_fen = 100, .max_fen = 100, .total = envelope::Fen(count * 100)};
}

// Grant number `i`: users in a scattered order, stamps as clients make them.
Record Grant(int64_t i, uint64_t base_stamp) {
  return {.kind = RecordKind::kWin,
          .has_stamp = true,
          .user = static_cast<uint32_t>(static_cast<uint64_t>(i) * 618'033 % kUsers),
          .envelope_id = kLotId + static_cast<uint32_t>(i),
          .amount_fen = 100,
          .stamp = base_stamp + static_cast<uint64_t>(i) * 16'000,
          .reply_to = static_cast<uint64_t>(NowNs()),
          .at_ms = 1'000};
}

void Fill(SqliteLedger& ledger, Outcomes& outcomes, int64_t grants) {
  for (int64_t i = 0; i < grants; ++i) {
    while (i - outcomes.delivered.load(std::memory_order_acquire) >= kLaneRecords) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    ledger.Submit(0, Grant(i, 1'700'000'000'000'000'000));
  }
  ledger.Stop();
}

// As many grants as the lanes take, one after the other, all guards on. Arg: grants.
void BM_SustainedGrants(benchmark::State& state) {
  const std::string path = FilePath("sustained");
  for (auto _ : state) {
    RemoveFile(path);
    Outcomes outcomes;
    std::unique_ptr<SqliteLedger> ledger = OpenLedger(path);
    ledger->Start(1, kLaneRecords, &outcomes);
    Check(ledger->RecordOrder(Lot(state.range(0))).ok(), "the lot is recorded");
    const int64_t begun_ns = NowNs();
    Fill(*ledger, outcomes, state.range(0));
    state.SetIterationTime(static_cast<double>(NowNs() - begun_ns) * 1e-9);
    state.counters["grants_per_commit"] = static_cast<double>(ledger->records()) / static_cast<double>(ledger->commits());
    state.counters["p99_ms"] = static_cast<double>(outcomes.PercentileNs(0.99)) * 1e-6;
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  RemoveFile(path);
}
BENCHMARK(BM_SustainedGrants)->Arg(2'000'000)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_SustainedGrants)->Arg(2'000)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);

// An open loop of `rate` grants a second: from the claim (here: the submit, at its time) to the outcome.
void BM_PacedGrants(benchmark::State& state) {
  const std::string path = FilePath("paced");
  const int64_t rate = state.range(0);
  const int64_t count = rate * state.range(1) / 1'000;
  for (auto _ : state) {
    RemoveFile(path);
    Outcomes outcomes;
    outcomes.latencies_ns.reserve(static_cast<size_t>(count));
    std::unique_ptr<SqliteLedger> ledger = OpenLedger(path);
    ledger->Start(1, kLaneRecords, &outcomes);
    Check(ledger->RecordOrder(Lot(count)).ok(), "the lot is recorded");
    const Clock::time_point begun = Clock::now();
    for (int64_t i = 0; i < count; ++i) {
      std::this_thread::sleep_until(begun + std::chrono::nanoseconds(i * 1'000'000'000 / rate));
      ledger->Submit(0, Grant(i, 1'700'000'000'000'000'000));
    }
    ledger->Stop();
    state.counters["p50_ms"] = static_cast<double>(outcomes.PercentileNs(0.5)) * 1e-6;
    state.counters["p99_ms"] = static_cast<double>(outcomes.PercentileNs(0.99)) * 1e-6;
    state.counters["p999_ms"] = static_cast<double>(outcomes.PercentileNs(0.999)) * 1e-6;
    state.counters["grants_per_commit"] = static_cast<double>(ledger->records()) / static_cast<double>(ledger->commits());
  }
  state.SetItemsProcessed(state.iterations() * count);
  RemoveFile(path);
}
BENCHMARK(BM_PacedGrants)
    ->ArgNames({"rate", "ms"})
    ->Args({1'000, 20'000})
    ->Args({60'000, 20'000})
    ->Args({1'000, 100})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// From the start of the process's work to being ready to serve, with `grants` in the file; and the whole audit.
void BM_Restart(benchmark::State& state) {
  const std::string path = FilePath("restart");
  RemoveFile(path);
  {
    Outcomes outcomes;
    std::unique_ptr<SqliteLedger> ledger = OpenLedger(path);
    ledger->Start(1, kLaneRecords, &outcomes);
    Check(ledger->RecordOrder(Lot(state.range(0) + 1'000)).ok(), "the lot is recorded");
    Fill(*ledger, outcomes, state.range(0));
  }
  OpenLedger(path);  // audits all that came; the starts that are measured come later
  for (auto _ : state) {
    const std::unique_ptr<SqliteLedger> ledger = OpenLedger(path);
    benchmark::DoNotOptimize(ledger->TakeRecovered().users.size());
  }
  auto copy = LedgerFile::Open({.path = path, .read_only = true});
  const int64_t begun_ns = NowNs();
  Check(copy.ok() && Judge(Audit((*copy)->db(), AuditScope::kAll, 0)).ok(), "the whole audit passes");
  state.counters["audit_s"] = static_cast<double>(NowNs() - begun_ns) * 1e-9;
  state.counters["file_bytes"] = static_cast<double>(std::filesystem::file_size(path));
  copy->reset();
  RemoveFile(path);
}
BENCHMARK(BM_Restart)->Arg(10'000'000)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Restart)->Arg(2'000)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hongbao::ledger
