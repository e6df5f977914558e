// One batch of the ledger by itself: wins into rows, one commit with its sync. What a grant costs beside few and beside
// many others.
//
// HONGBAO_BENCH_FOLDER names the folder for the file (default: the current one); a tmpfs would measure no disk.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "libhongbao/check.h"
#include "libhongbao/ledger/kill_point.h"
#include "libhongbao/ledger/ledger_file.h"
#include "libhongbao/ledger/recovery.h"
#include "libhongbao/ledger/writer.h"

namespace hongbao::ledger {
namespace {

constexpr uint32_t kLotId = 0x100001;
constexpr uint32_t kUsers = 1'000'000;
constexpr int64_t kShares = 100'000'000;  // more than any run takes
constexpr int64_t kLogPages = 16'384;     // as in service

// A new file that goes with this.
class BenchmarkFile {
 public:
  BenchmarkFile() {
    const char* folder = std::getenv("HONGBAO_BENCH_FOLDER");
    path_ = std::string(folder == nullptr ? "." : folder) + "/hongbao-benchmark-writer.ledger";
    Remove();
    auto file = LedgerFile::Open({.path = path_});
    Check(file.ok(), std::string(file.status().message()).c_str());
    file_ = *std::move(file);
  }
  ~BenchmarkFile() {
    file_.reset();
    Remove();
  }
  BenchmarkFile(const BenchmarkFile&) = delete;
  BenchmarkFile& operator=(const BenchmarkFile&) = delete;
  LedgerFile& file() { return *file_; }

 private:
  void Remove() const {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(path_ + suffix);
  }
  std::string path_;
  std::unique_ptr<LedgerFile> file_;
};

// range(0) wins in a batch, of users in a scattered order. The log is written back now and then, as in service.
void BM_Batch(benchmark::State& state) {
  BenchmarkFile made;
  KillPlan no_kill;
  auto recovered = Recover(made.file(), 1, no_kill);
  Check(recovered.ok(), std::string(recovered.status().message()).c_str());
  Writer writer(made.file().db(), std::move(recovered->heads), recovered->last_grant_id);
  writer.Begin();
  writer.ApplyOrder({.first_id = kLotId,
                     .count = kShares,
                     .rate = 1'000,
                     .min_fen = 100,
                     .max_fen = 100,
                     .total = envelope::Fen(kShares * 100)});
  Check(writer.Commit(), "the lot is recorded");
  std::vector<Outcome> outcomes;
  outcomes.reserve(static_cast<size_t>(state.range(0)));
  uint64_t grants = 0;
  for (auto _ : state) {
    outcomes.clear();
    writer.Begin();
    for (int64_t i = 0; i < state.range(0); ++i, ++grants) {
      writer.Apply({.kind = RecordKind::kWin,
                    .has_stamp = true,
                    .user = static_cast<uint32_t>(grants * 618'033 % kUsers),
                    .envelope_id = kLotId + static_cast<uint32_t>(grants),
                    .amount_fen = 100,
                    .stamp = 1'700'000'000'000'000'000 + grants * 16'000,
                    .at_ms = 1'000},
                   outcomes);
    }
    Check(writer.Commit(), "the batch is committed");
    if (made.file().wal_pages() >= kLogPages) made.file().Checkpoint(/*all=*/false);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Batch)->Arg(1)->Arg(16)->Arg(256)->Arg(4'096)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hongbao::ledger
