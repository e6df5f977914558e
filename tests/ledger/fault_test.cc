// Disk faults: when a write or a sync fails, nothing is answered any more, and the file holds what had been.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "books.h"
#include "faulty_vfs.h"
#include "ledger_fixture.h"
#include "libhongbao/ledger/sqlite_ledger.h"
#include "outcome_box.h"

namespace hongbao::ledger {
namespace {

using Kind = FaultyVfs::Kind;
using Call = FaultyVfs::Call;

struct Fault {
  Kind kind;
  Call call;
  int64_t nth;
  int code;
  bool stays;
};

// A life of a ledger in which one call fails.
class Life {
 public:
  explicit Life(const Fault& fault) : random_(static_cast<uint64_t>(fault.nth)) {
    told_.push_back(Books());
    vfs_.FailAt(fault.kind, fault.call, fault.nth, fault.code, fault.stays);
    SqliteLedgerOptions options{.file = {.path = folder_.File(), .vfs = vfs_.name()}, .checkpoint_pages = 12};
    options.on_failure = [this](const absl::Status& status) { box_.Fail(status); };
    auto ledger = SqliteLedger::Open(options, 1);
    opened_ = ledger.ok();
    if (opened_) {
      (*ledger)->Start(1, 64, &box_);
      Serve(**ledger);
      (*ledger)->Stop();
    }
    EXPECT_EQ(box_.size(), answered_) << "nothing is answered after a failure";
    has_failed_ = vfs_.has_failed();
    vfs_.Heal();
  }

  // "" if a start without the fault finds what was answered, or that and what was under way.
  std::string Look() {
    OpenedLedger ledger({.path = folder_.File(), .vfs = vfs_.name()});
    if (const absl::Status opened = ledger.TryOpen(); !opened.ok()) {
      return opened.ToString();
    }
    if (const absl::Status audited = ledger.AuditAll(); !audited.ok()) {
      return audited.ToString();
    }
    const std::string lost = told_[sure_].Differs(ledger);
    for (size_t more = sure_ + 1; more < told_.size(); ++more) {
      if (told_[more].Differs(ledger).empty()) {
        return "";
      }
    }
    return lost;
  }

  bool has_failed() const { return has_failed_; }
  bool stopped() const { return !opened_ || !box_.failure().ok(); }

 private:
  void Serve(SqliteLedger& ledger) {
    for (int i = 0; i < 14; ++i) {
      told_.push_back(told_.back());
      Order order;
      const std::optional<Record> record = told_.back().Next(random_, order);
      if (!record.has_value() && !ledger.RecordOrder(order).ok()) {
        EXPECT_TRUE(box_.WaitFor(answered_));  // what had been answered, and the failure with it
        return Refused(ledger);
      }
      if (record.has_value()) {
        ledger.Submit(0, *record);
        if (!box_.WaitFor(answered_ + 1)) {
          return Refused(ledger);
        }
        ++answered_;
      }
      sure_ = told_.size() - 1;
    }
  }
  // What comes after a failure is neither answered nor recorded.
  void Refused(SqliteLedger& ledger) {
    ledger.Submit(0, Ask(RecordKind::kStatement, 1));
    EXPECT_FALSE(ledger.RecordOrder(ShakeOrder(0x00700001, 1, 1)).ok());
  }

  TestFolder folder_;
  FaultyVfs vfs_;
  OutcomeBox box_;
  std::mt19937_64 random_;
  std::vector<Books> told_;  // after each request
  size_t sure_ = 0;          // so many of them have been answered
  size_t answered_ = 0;
  bool opened_ = false;
  bool has_failed_ = false;
};

// Every call of a kind fails once, until a life needs no more of them.
void FailEach(Kind kind, Call call, const std::vector<int>& codes) {
  int64_t stopped = 0;
  int64_t nth = 1;
  for (;; ++nth) {
    const Fault fault{.kind = kind,
                      .call = call,
                      .nth = nth,
                      .code = codes[static_cast<size_t>(nth) % codes.size()],
                      .stays = nth / 2 % 2 == 0};
    Life life(fault);
    ASSERT_EQ(life.Look(), "") << "call " << nth << ", code " << fault.code;
    stopped += life.stopped() ? 1 : 0;
    if (!life.has_failed()) {
      break;
    }
  }
  EXPECT_GT(nth, 5) << "there were such calls";
  // Not all have to: a mark in the log that cannot be written harms nobody, and what fails in the last write-back was answered.
  EXPECT_GT(stopped * 2, nth) << "and the ledger stopped";
}

TEST(Fault, WritesOfTheLog) { FailEach(Kind::kLog, Call::kWrite, {SQLITE_FULL, SQLITE_IOERR_WRITE}); }
TEST(Fault, SyncsOfTheLog) { FailEach(Kind::kLog, Call::kSync, {SQLITE_IOERR_FSYNC}); }
TEST(Fault, WritesOfTheFile) { FailEach(Kind::kDatabase, Call::kWrite, {SQLITE_FULL, SQLITE_IOERR_WRITE}); }
TEST(Fault, SyncsOfTheFile) { FailEach(Kind::kDatabase, Call::kSync, {SQLITE_IOERR_FSYNC}); }

// In service there is nobody to tell: the process ends.
void ServeUntilTheDiskIsFull(const TestFolder& folder) {
  FaultyVfs vfs;
  auto ledger = SqliteLedger::Open({.file = {.path = folder.File(), .vfs = vfs.name()}}, 1);
  OutcomeBox box;
  (*ledger)->Start(1, 64, &box);
  vfs.FailAt(Kind::kLog, Call::kWrite, 1, SQLITE_FULL, true);
  static_cast<void>((*ledger)->RecordOrder(ShakeOrder(kLotId, 10, 1)));
  box.WaitFor(1);
}

TEST(FaultDeathTest, AFailedCommitEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "fast");  // there is no thread yet, and the folder is removed by who made it
  const TestFolder folder;
  EXPECT_EXIT(ServeUntilTheDiskIsFull(folder), ::testing::ExitedWithCode(kExitCommitFailed),
              "a commit failed: .*full.*no reply has left for what is not on disk");
}

}  // namespace
}  // namespace hongbao::ledger
