#include "libhongbao/ledger/wal_check.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

constexpr size_t kFrame = 4096 + 24;

class WalCheckTest : public ::testing::Test {
 protected:
  // A file whose last `commits` are in the log alone.
  void Make(uint32_t commits) {
    OpenedLedger ledger(folder_.File());
    ledger.AddOrder(ShakeOrder(kLotId, 900, 1));
    ledger.file().Checkpoint(true);
    for (uint32_t i = 0; i < commits; ++i) {
      ledger.DoOne(Win(i % 7, kLotId + i, 1, 1'000 + i));
      frames_.push_back(static_cast<size_t>(ledger.file().wal_pages()));
    }
    ledger.Close();
    std::ostringstream content;
    content << std::ifstream(folder_.File() + "-wal", std::ios::binary).rdbuf();
    log_ = content.str();
  }
  absl::Status Check(const std::string& log) {
    std::ofstream(folder_.File() + "-wal", std::ios::binary) << log;
    return CheckWal(folder_.File());
  }
  std::string Flipped(size_t at) const {
    std::string log = log_;
    log.at(at) = static_cast<char>(log.at(at) ^ 0x40);
    return log;
  }
  std::string WithoutMark() const { return log_.substr(0, 32 + frames_.back() * kFrame); }

  TestFolder folder_;
  std::vector<size_t> frames_;  // in the log after each commit
  std::string log_;
};

TEST_F(WalCheckTest, NoLogAndAnEmptyLogAreFine) {
  Make(1);
  EXPECT_TRUE(Check("").ok());
  std::filesystem::remove(folder_.File() + "-wal");
  EXPECT_TRUE(CheckWal(folder_.File()).ok());
}

TEST_F(WalCheckTest, AWholeLogIsFineAndEndsWithItsMark) {
  Make(5);
  EXPECT_TRUE(Check(log_).ok());
  WalHeader header{};
  std::copy(log_.begin(), log_.begin() + 32, header.begin());
  const WalMark mark = MarkWal(header, static_cast<uint32_t>(frames_.back()));
  ASSERT_EQ(static_cast<size_t>(mark.offset) + mark.bytes.size(), log_.size());
  EXPECT_EQ(log_.substr(static_cast<size_t>(mark.offset)), std::string(mark.bytes.begin(), mark.bytes.end()));
}

TEST_F(WalCheckTest, ADamagedCommitBeforeOthersIsFound) {
  Make(5);
  for (size_t commit = 0; commit < 3; ++commit) {
    const std::string log = Flipped(32 + frames_[commit] * kFrame + 2'000);  // in the commit after that one
    EXPECT_EQ(Check(log).code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(Check(log.substr(0, WithoutMark().size())).code(), absl::StatusCode::kDataLoss) << "also without the mark";
  }
}

TEST_F(WalCheckTest, TheMarkSpeaksForTheLastCommit) {
  Make(5);
  const std::string log = Flipped(32 + (frames_.back() - 1) * kFrame + 500);
  EXPECT_EQ(Check(log).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Check(log.substr(0, WithoutMark().size())).ok()) << "without it, it is what a power loss may leave";
}

TEST_F(WalCheckTest, ADamagedMarkClaimsNothing) {
  Make(2);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_TRUE(Check(Flipped(WithoutMark().size() + i)).ok());
  }
}

TEST_F(WalCheckTest, ALogThatLacksItsEndIsWhatAPowerLossLeaves) {
  Make(5);
  EXPECT_TRUE(Check(log_.substr(0, 32 + frames_[3] * kFrame + 100)).ok());
  EXPECT_TRUE(Check(log_.substr(0, 20)).ok());
}

TEST_F(WalCheckTest, ADamagedHeaderIsFoundUnlessAllIsWrittenBack) {
  Make(5);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(Check(Flipped(i)).code(), absl::StatusCode::kDataLoss) << "byte " << i;
  }
  ASSERT_TRUE(Check(log_).ok());
  {
    OpenedLedger ledger(folder_.File());  // writes it back
  }
  // The file has moved on by the start's own commit, so only a log with that one is written back as a whole.
  TestFolder other;
  {
    OpenedLedger ledger(other.File());
    ledger.AddOrder(ShakeOrder(kLotId, 10, 1));
    ledger.file().Checkpoint(false);
  }
  std::ostringstream content;
  content << std::ifstream(other.File() + "-wal", std::ios::binary).rdbuf();
  for (size_t i = 0; i < 32; ++i) {
    std::string log = content.str();
    log[i] = static_cast<char>(log[i] ^ 0x11);
    std::ofstream(other.File() + "-wal", std::ios::binary) << log;
    EXPECT_TRUE(CheckWal(other.File()).ok()) << "byte " << i;
  }
}

}  // namespace
}  // namespace hongbao::ledger
