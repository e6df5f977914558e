#include "libhongbao/ledger/sqlite_ledger.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "ledger_fixture.h"
#include "outcome_box.h"

namespace hongbao::ledger {
namespace {

constexpr uint32_t kLaneRecords = 4'096;

class SqliteLedgerTest : public ::testing::Test {
 protected:
  std::unique_ptr<SqliteLedger> Open(uint32_t lanes = 1, int64_t checkpoint_pages = 16'384) {
    auto ledger = SqliteLedger::Open({.file = {.path = folder_.File()}, .checkpoint_pages = checkpoint_pages}, 1);
    EXPECT_TRUE(ledger.ok()) << ledger.status();
    (*ledger)->Start(lanes, kLaneRecords, &box_);
    return *std::move(ledger);
  }

  TestFolder folder_;
  OutcomeBox box_;
};

TEST_F(SqliteLedgerTest, AnswersInTheLanesOrderAndGivesBackWhatItWasGiven) {
  auto ledger = Open();
  ASSERT_TRUE(ledger->RecordOrder(ShakeOrder(kLotId, 1'000, 5)).ok());
  for (uint32_t i = 0; i < 1'000; ++i) {
    Record record = i % 3 == 2 ? Ask(RecordKind::kFindWin, 1, 10 + i) : Win(1, kLotId + i, 5, 10 + i);
    record.reply_to = 7'000 + i;
    ledger->Submit(0, record);
  }
  ASSERT_TRUE(box_.WaitFor(1'000));
  const auto all = box_.all();
  for (uint32_t i = 0; i < 1'000; ++i) {
    const Outcome& outcome = all[i].second;
    ASSERT_EQ(outcome.reply_to, 7'000 + i);
    ASSERT_EQ(outcome.settled, i % 3 == 2 ? Settled::kNone : Settled::kNew);
  }
}

// While the first commit is being synced the next batch gathers.
TEST_F(SqliteLedgerTest, ManyRecordsShareACommit) {
  auto ledger = Open();
  ASSERT_TRUE(ledger->RecordOrder(ShakeOrder(kLotId, 3'000, 5)).ok());
  const uint64_t before = ledger->commits();
  for (uint32_t i = 0; i < 3'000; ++i) {
    ledger->Submit(0, Win(i % 50, kLotId + i, 5, 10 + i));
  }
  ASSERT_TRUE(box_.WaitFor(3'000));
  ledger->Stop();
  EXPECT_EQ(ledger->records(), 3'000u);
  EXPECT_LT(ledger->commits() - before, 1'000u);
}

TEST_F(SqliteLedgerTest, EachLaneHasItsOwnOrder) {
  auto ledger = Open(3);
  ASSERT_TRUE(ledger->RecordOrder(ShakeOrder(kLotId, 3'000, 5)).ok());
  std::vector<std::thread> workers;
  for (uint32_t lane = 0; lane < 3; ++lane) {
    workers.emplace_back([&ledger, lane] {
      for (uint32_t i = 0; i < 1'000; ++i) {
        Record record = Win(lane, kLotId + lane * 1'000 + i, 5, 10 + i);
        record.reply_to = i;
        ledger->Submit(lane, record);
      }
    });
  }
  for (std::thread& worker : workers) {
    worker.join();
  }
  ASSERT_TRUE(box_.WaitFor(3'000));
  std::vector<uint64_t> next(3);
  for (const auto& [lane, outcome] : box_.all()) {
    ASSERT_EQ(outcome.user, lane);
    ASSERT_EQ(outcome.reply_to, next[lane]++);
  }
}

TEST_F(SqliteLedgerTest, StopDeliversEverythingAndClosesTheFile) {
  auto ledger = Open();
  ASSERT_TRUE(ledger->RecordOrder(ShakeOrder(kLotId, 2'000, 5)).ok());
  for (uint32_t i = 0; i < 2'000; ++i) {
    ledger->Submit(0, Win(i % 50, kLotId + i, 5, 10 + i));
  }
  ledger->Stop();
  EXPECT_EQ(box_.size(), 2'000u);
  EXPECT_FALSE(std::filesystem::exists(folder_.File() + "-wal"));
  EXPECT_FALSE(ledger->RecordOrder(ShakeOrder(kLotId + 5'000, 1, 5)).ok());
  ledger->Stop();  // again: nothing
  OpenedLedger again(folder_.File());
  EXPECT_TRUE(again.AuditAll().ok());
  EXPECT_EQ(again.db().Number("SELECT COUNT(*) FROM grants"), 2'000);
}

TEST_F(SqliteLedgerTest, ALedgerThatWasNeverStartedStopsToo) {
  auto ledger = SqliteLedger::Open({.file = {.path = folder_.File()}}, 1);
  ASSERT_TRUE(ledger.ok());
  EXPECT_NE((*ledger)->Describe().find("start 1"), std::string::npos) << (*ledger)->Describe();
  (*ledger)->Stop();
}

TEST_F(SqliteLedgerTest, OrdersAreDurableWhenTheCallReturnsAndGoOnAfterARestart) {
  {
    auto ledger = Open();
    std::vector<std::thread> minters;
    for (uint32_t i = 0; i < 4; ++i) {
      minters.emplace_back([&ledger, i] { EXPECT_TRUE(ledger->RecordOrder(ShakeOrder(kLotId + i * 100, 10, 5)).ok()); });
    }
    for (std::thread& minter : minters) {
      minter.join();
    }
    ledger->Submit(0, Win(1, kLotId + 300, 5, 10));
    ASSERT_TRUE(box_.WaitFor(1));
  }
  auto ledger = Open();
  const Recovered found = ledger->TakeRecovered();
  EXPECT_EQ(found.orders.size(), 4u);
  EXPECT_EQ(found.epoch, 2u);
  EXPECT_EQ(found.granted_fen, 5u);
  ledger->Submit(0, Win(1, kLotId + 301, 5, 10));
  ledger->Submit(0, Win(1, kLotId + 301, 5, 11));
  ASSERT_TRUE(box_.WaitFor(3));
  EXPECT_EQ(box_.all()[1].second.settled, Settled::kRepeat);
  EXPECT_EQ(box_.all()[1].second.envelope_id, kLotId + 300);
  EXPECT_EQ(box_.all()[2].second.settled, Settled::kNew);
}

// Submitted back to back, the repeat is mostly in its first one's batch.
TEST_F(SqliteLedgerTest, ARepeatThatOvertakesItsFirstsCommitGetsItsOutcome) {
  auto ledger = Open();
  ASSERT_TRUE(ledger->RecordOrder(ShakeOrder(kLotId, 1'000, 5)).ok());
  for (uint32_t i = 0; i < 500; ++i) {
    ledger->Submit(0, Win(1, kLotId + 2 * i, 5, 10 + i));
    ledger->Submit(0, Win(1, kLotId + 2 * i + 1, 5, 10 + i));
  }
  ASSERT_TRUE(box_.WaitFor(1'000));
  const auto all = box_.all();
  for (uint32_t i = 0; i < 500; ++i) {
    const Outcome& repeat = all[2 * i + 1].second;
    ASSERT_EQ(repeat.settled, Settled::kRepeat);
    ASSERT_EQ(repeat.envelope_id, kLotId + 2 * i);
    ASSERT_EQ(repeat.unused_id, kLotId + 2 * i + 1);
  }
}

TEST_F(SqliteLedgerTest, AResumeComesPageByPageAndEndsWithItsOwnOutcome) {
  auto ledger = Open();
  ASSERT_TRUE(ledger->RecordOrder(ShakeOrder(kLotId, 1'000, 5)).ok());
  for (uint32_t i = 0; i < 150; ++i) {
    ledger->Submit(0, Win(1, kLotId + i, 5, 10 + i));
  }
  Record ask = Ask(RecordKind::kResume, 1, 30);
  ask.reply_to = 99;
  size_t delivered = 150;
  uint64_t expected = 159;
  do {
    ledger->Submit(0, ask);
    do {
      ASSERT_TRUE(box_.WaitFor(++delivered));
      const Outcome outcome = box_.all()[delivered - 1].second;
      ASSERT_EQ(outcome.reply_to, 99u);
      if (outcome.resumed) {
        ASSERT_EQ(outcome.stamp, expected--) << "the newest first";
      }
    } while (box_.all()[delivered - 1].second.resumed);
    ask.cursor = box_.all()[delivered - 1].second.cursor;
  } while (ask.cursor != 0);
  EXPECT_EQ(expected, 30u);
}

TEST_F(SqliteLedgerTest, WritesItsLogBackBetweenTwoBatches) {
  auto ledger = Open(1, 20);
  ASSERT_TRUE(ledger->RecordOrder(ShakeOrder(kLotId, 1'000, 5)).ok());
  for (uint32_t i = 0; i < 60; ++i) {
    ledger->Submit(0, Win(1, kLotId + i, 5, 10 + i));
    ASSERT_TRUE(box_.WaitFor(i + 1));
  }
  // Each commit puts some pages into the log: without a write-back it would have far more.
  EXPECT_LT(std::filesystem::file_size(folder_.File() + "-wal"), 60u * 4'120u);
}

// ---- the wall clock ----

class SqliteLedgerClock : public SqliteLedgerTest {
 protected:
  static constexpr int64_t kNowMs = 1'800'000'000'000, kDayMs = 86'400'000;

  // A life that begins at `now_ms`; how many gifts it finds alive.
  size_t Live(int64_t now_ms, bool kept = false, int64_t saw_ms = 0) {
    auto ledger = SqliteLedger::Open({.file = {.path = folder_.File()}, .clock_settle_ms = 300'000, .clock_kept = kept}, now_ms);
    EXPECT_TRUE(ledger.ok()) << ledger.status();
    const Recovered recovered = (*ledger)->TakeRecovered();
    clock_ms = recovered.clock_ms;
    (*ledger)->Start(1, kLaneRecords, &box_);
    if (recovered.epoch == 1) {
      Record gift{.kind = RecordKind::kGift,
                  .has_stamp = true,
                  .user_count = 2,
                  .user = 7,
                  .envelope_id = 5,
                  .amount_fen = 100,
                  .stamp = 9,
                  .at_ms = now_ms,
                  .expires_ms = now_ms + kDayMs};
      gift.users[0] = 1, gift.users[1] = 2;
      (*ledger)->Submit(0, gift);
      EXPECT_TRUE(box_.WaitFor(1));
    }
    if (saw_ms != 0) {
      (*ledger)->SawClock(saw_ms);
    }
    (*ledger)->Stop();
    return recovered.gifts.size();
  }
  int64_t clock_ms = 0;
};

TEST_F(SqliteLedgerClock, AStartThatIsFarAheadRefundsNothingUnlessSomebodyVouchesForIt) {
  Live(kNowMs);
  EXPECT_EQ(Live(kNowMs + 25 * kDayMs), 1u);
  EXPECT_EQ(clock_ms, kNowMs) << "what nobody confirmed is not remembered";
  EXPECT_EQ(Live(kNowMs + 25 * kDayMs), 1u) << "and is no better the second time";
  EXPECT_EQ(Live(kNowMs + 1'000), 1u);
  EXPECT_EQ(clock_ms, kNowMs + 1'000);
  EXPECT_EQ(Live(kNowMs + 25 * kDayMs, /*kept=*/true), 0u);
}

TEST_F(SqliteLedgerClock, TheFileRemembersWhatWasConfirmed) {
  Live(kNowMs, false, kNowMs + kDayMs - 60'000);
  EXPECT_EQ(Live(kNowMs + kDayMs + 60'000), 0u) << "a server that ran for a day is started again";
}

TEST_F(SqliteLedgerClock, ADeadClockRefundsNothing) {
  Live(kNowMs);
  EXPECT_EQ(Live(1'000), 1u);
  EXPECT_EQ(clock_ms, kNowMs);
}

}  // namespace
}  // namespace hongbao::ledger
