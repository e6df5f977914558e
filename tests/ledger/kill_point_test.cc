#include "libhongbao/ledger/kill_point.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <utility>

#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

TEST(KillPlan, WithoutAPlanNothingHappens) {
  auto plan = KillPlan::Parse("");
  ASSERT_TRUE(plan.ok());
  for (int i = 0; i < 10; ++i) {
    plan->Pass(KillPoint::kNone);
    plan->Pass(KillPoint::kAfterCommit);
  }
}

TEST(KillPlan, RefusesWhatItDoesNotKnowAndSaysWhatItDoes) {
  for (const char* text : {"nowhere", "after_commit:", "after_commit:0", "after_commit:-1", "after_commit:x", ":3", "none"}) {
    const auto plan = KillPlan::Parse(text);
    ASSERT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument) << text;
    for (const char* name : {"after_claim", "before_commit", "after_commit", "checkpoint", "cancel", "recovery"}) {
      EXPECT_NE(plan.status().ToString().find(name), std::string::npos) << name;
    }
  }
}

// Passes the point so often; then ends in order.
void Pass(const std::string& text, KillPoint point, int times) {
  auto plan = KillPlan::Parse(text);
  for (int i = 0; i < times; ++i) {
    plan->Pass(point);
    plan->Pass(KillPoint::kNone);
  }
  _exit(0);
}

TEST(KillPlanDeathTest, KillsAtThatPassingOfThatPoint) {
  for (const auto& [name, point] :
       {std::pair("after_claim", KillPoint::kAfterClaim), std::pair("before_commit", KillPoint::kBeforeCommit),
        std::pair("after_commit", KillPoint::kAfterCommit), std::pair("checkpoint", KillPoint::kCheckpoint),
        std::pair("recovery", KillPoint::kRecovery)}) {
    EXPECT_EXIT(Pass(name, point, 1), ::testing::KilledBySignal(SIGKILL), "");
    EXPECT_EXIT(Pass(std::string(name) + ":3", point, 3), ::testing::KilledBySignal(SIGKILL), "");
    EXPECT_EXIT(Pass(std::string(name) + ":3", point, 2), ::testing::ExitedWithCode(0), "");
  }
}

// Killed before its own commit, a start has changed nothing: the next one counts the same epoch and refunds the same gift.
TEST(KillPlanDeathTest, AStartThatIsKilledHasNotBegun) {
  const TestFolder folder;
  {
    OpenedLedger ledger(folder.File());
    ledger.Do({MakeGift(kGiftId, 7, 300, {1, 2, 3}, 1, 50)});
  }
  EXPECT_EXIT(
      {
        auto file = LedgerFile::Open({.path = folder.File()});
        KillPlan plan(KillPoint::kRecovery, 1);
        static_cast<void>(Recover(**file, 60, plan));
      },
      ::testing::KilledBySignal(SIGKILL), "");
  OpenedLedger ledger(FileOptions{.path = folder.File()});
  ASSERT_TRUE(ledger.TryOpen(60).ok());
  EXPECT_EQ(ledger.state.epoch, 2u);
  EXPECT_EQ(ledger.refunded, 1u);
}

}  // namespace
}  // namespace hongbao::ledger
