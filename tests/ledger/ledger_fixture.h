// Fixture: a ledger file in a folder of its own, a writer on it, and short ways to say records.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libhongbao/ledger/audit.h"
#include "libhongbao/ledger/ledger_file.h"
#include "libhongbao/ledger/recovery.h"
#include "libhongbao/ledger/writer.h"
#include "tests/test_folder.h"

namespace hongbao::ledger {

inline constexpr uint32_t kLotId = 0x00100001;
inline constexpr uint32_t kGiftId = 0x80000001;

// How many seeds a random test tries: `usual`, or what HONGBAO_SEEDS says, for a long night.
inline uint64_t Seeds(uint64_t usual) {
  const char* wanted = std::getenv("HONGBAO_SEEDS");
  return wanted == nullptr ? usual : std::strtoull(wanted, nullptr, 10);
}

inline Order ShakeOrder(uint32_t first_id, int64_t count, int64_t fen_each) {
  return {.first_id = first_id,
          .count = count,
          .rate = 100,
          .min_fen = fen_each,
          .max_fen = fen_each,
          .total = envelope::Fen(count * fen_each)};
}
inline Record Win(uint32_t user, uint32_t envelope_id, uint32_t fen, std::optional<uint64_t> stamp = std::nullopt) {
  return {.kind = RecordKind::kWin,
          .has_stamp = stamp.has_value(),
          .user = user,
          .envelope_id = envelope_id,
          .amount_fen = fen,
          .stamp = stamp.value_or(0),
          .at_ms = 1};
}
inline Record MakeGift(uint32_t id, uint32_t sender, uint32_t fen, const std::vector<uint32_t>& users,
                       std::optional<uint64_t> stamp = std::nullopt, int64_t expires_ms = 1'000'000) {
  Record record{.kind = RecordKind::kGift,
                .has_stamp = stamp.has_value(),
                .user_count = static_cast<uint8_t>(users.size()),
                .user = sender,
                .envelope_id = id,
                .amount_fen = fen,
                .stamp = stamp.value_or(0),
                .at_ms = 1,
                .expires_ms = expires_ms};
  std::copy(users.begin(), users.end(), record.users);
  return record;
}
inline Record OpenGift(uint32_t user, uint32_t id, uint32_t fen, std::optional<uint64_t> stamp = std::nullopt) {
  return {.kind = RecordKind::kOpen,
          .has_stamp = stamp.has_value(),
          .user = user,
          .envelope_id = id,
          .amount_fen = fen,
          .stamp = stamp.value_or(0),
          .at_ms = 1};
}
inline Record Ask(RecordKind kind, uint32_t user, uint64_t stamp = 0, uint32_t envelope_id = 0) {
  return {.kind = kind, .has_stamp = true, .user = user, .envelope_id = envelope_id, .stamp = stamp};
}

// One opened file with its writer; Reopen is what a restart does.
class OpenedLedger {
 public:
  explicit OpenedLedger(const std::string& path, int64_t now_ms = 1) : options_{.path = path} { Reopen(now_ms); }
  explicit OpenedLedger(const FileOptions& options) : options_(options) {}  // not opened yet

  void Reopen(int64_t now_ms = 1) {
    Close();
    const absl::Status opened = TryOpen(now_ms);
    ASSERT_TRUE(opened.ok()) << opened;
  }
  absl::Status TryOpen(int64_t now_ms = 1) {
    auto file = LedgerFile::Open(options_);
    if (!file.ok()) {
      return file.status();
    }
    file_ = *std::move(file);
    KillPlan no_kill;
    auto recovered = Recover(*file_, now_ms, no_kill);
    if (!recovered.ok()) {
      return recovered.status();
    }
    state = std::move(recovered->state);
    refunded = recovered->refunded_gifts;
    writer_ = std::make_unique<Writer>(file_->db(), std::move(recovered->heads), recovered->last_grant_id);
    writer_->AddLots(state.orders);
    return absl::OkStatus();
  }
  // As a killed process would leave it.
  void Close() {
    writer_.reset();  // its statements before their connection
    file_.reset();
  }

  // Each record in a commit of its own; the last one's outcomes.
  std::vector<Outcome> Do(const std::vector<Record>& records) {
    std::vector<Outcome> outcomes;
    for (const Record& record : records) {
      outcomes.clear();
      writer_->Begin();
      writer_->Apply(record, outcomes);
      EXPECT_TRUE(writer_->Commit()) << writer_->status();
    }
    return outcomes;
  }
  Outcome DoOne(const Record& record) {
    const std::vector<Outcome> outcomes = Do({record});
    EXPECT_EQ(outcomes.size(), 1u);
    return outcomes.empty() ? Outcome() : outcomes[0];
  }
  void AddOrder(const Order& order) {
    writer_->Begin();
    writer_->ApplyOrder(order);
    ASSERT_TRUE(writer_->Commit()) << writer_->status();
  }
  void CancelOrder(const Cancel& cancel) {
    writer_->Begin();
    writer_->ApplyCancel(cancel);
    ASSERT_TRUE(writer_->Commit()) << writer_->status();
  }
  absl::Status AuditAll() { return Judge(Audit(file_->db(), AuditScope::kAll, 0)); }

  Writer& writer() { return *writer_; }
  Sqlite& db() { return file_->db(); }
  LedgerFile& file() { return *file_; }

  Recovered state;
  uint64_t refunded = 0;

 private:
  FileOptions options_;
  std::unique_ptr<LedgerFile> file_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace hongbao::ledger
