#include "server/money.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/test_folder.h"

namespace hongbao::server {
namespace {

constexpr int64_t kClockSettleMs = 300'000;

using testing::HasSubstr;

class MoneyTest : public testing::Test {
 protected:
  ~MoneyTest() override { unsetenv("HONGBAO_KILL_AT"); }
  std::string Flag(const std::string& name) const { return "sqlite:" + folder_.File(name); }

  TestFolder folder_;
};

TEST_F(MoneyTest, TheFlagIsNoneOrAPath) {
  EXPECT_TRUE(CheckLedgerFlag("none").ok());
  EXPECT_TRUE(CheckLedgerFlag("sqlite:money.ledger").ok());
  for (const char* wrong : {"", "sqlite", "sqlite:", "money.ledger", "None", "postgres:x"}) {
    const absl::Status status = CheckLedgerFlag(wrong);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_THAT(std::string(status.message()), HasSubstr("none or sqlite:PATH")) << wrong;
  }
}

TEST_F(MoneyTest, NoneIsNoLedger) {
  const auto ledger = OpenLedger("none", 1, kClockSettleMs);
  ASSERT_TRUE(ledger.ok());
  EXPECT_EQ(*ledger, nullptr);
}

TEST_F(MoneyTest, AFileIsMadeFoundAgainAndHeldByOne) {
  {
    auto ledger = OpenLedger(Flag("money.ledger"), 1, kClockSettleMs);
    ASSERT_TRUE(ledger.ok()) << ledger.status();
    EXPECT_EQ((*ledger)->TakeRecovered().epoch, 1U);
    const auto second = OpenLedger(Flag("money.ledger"), 1, kClockSettleMs);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable) << second.status();
  }
  auto ledger = OpenLedger(Flag("money.ledger"), 1, kClockSettleMs);
  ASSERT_TRUE(ledger.ok()) << ledger.status();
  EXPECT_EQ((*ledger)->TakeRecovered().epoch, 2U) << "counts the starts";
}

TEST_F(MoneyTest, WhatIsNoLedgerIsNamedAndLeftAlone) {
  const std::string path = folder_.File("letter.txt");
  std::ofstream(path) << "Dear reader, this is a letter and not a ledger; it is long enough to be a file's header, too. "
                         "Dear reader, this is a letter and not a ledger.";
  const auto size = std::filesystem::file_size(path);
  const auto ledger = OpenLedger(Flag("letter.txt"), 1, kClockSettleMs);
  EXPECT_EQ(ledger.status().code(), absl::StatusCode::kFailedPrecondition) << ledger.status();
  EXPECT_THAT(std::string(ledger.status().message()), HasSubstr("letter.txt"));
  EXPECT_EQ(std::filesystem::file_size(path), size);
  EXPECT_FALSE(OpenLedger(Flag("no/such/folder/money.ledger"), 1, kClockSettleMs).ok());
}

TEST_F(MoneyTest, AKillPointThatIsNoneIsRefused) {
  setenv("HONGBAO_KILL_AT", "after_dinner", 1);
  const auto ledger = OpenLedger(Flag("money.ledger"), 1, kClockSettleMs);
  EXPECT_EQ(ledger.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ledger.status().message()), HasSubstr("after_commit")) << "lists the names";
}

TEST_F(MoneyTest, AnAuditNeedsAFileAndPrintsEveryIdentity) {
  EXPECT_EQ(PrintAudit("none").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(PrintAudit(Flag("missing.ledger")).ok());
  EXPECT_FALSE(std::filesystem::exists(folder_.File("missing.ledger"))) << "to look makes nothing";
  ASSERT_TRUE(OpenLedger(Flag("money.ledger"), 1, kClockSettleMs).ok());
  testing::internal::CaptureStdout();
  const absl::Status status = PrintAudit(Flag("money.ledger"));
  const std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(printed, HasSubstr("holds   envelopes: total = left + granted + refunded"));
  EXPECT_THAT(printed, testing::Not(HasSubstr("BREACH")));
}

}  // namespace
}  // namespace hongbao::server
