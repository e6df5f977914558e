// Power loss: whatever a disk may hold after it, an outcome that was handed out is in the ledger, and the file opens.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "books.h"
#include "faulty_vfs.h"
#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

constexpr int kLives = 3;  // the power goes again soon after a start

// One ledger through several losses of power.
class Story {
 public:
  Story(uint64_t seed, bool planted_no_sync) : random_(seed), seed_(seed), planted_no_sync_(planted_no_sync) {}

  // The first thing that got lost, "" if nothing did.
  std::string Run() {
    for (int life = 0; life < kLives; ++life) {
      const std::string from = folder_.File(absl::StrCat("life-", life));
      const std::string to = folder_.File(absl::StrCat("life-", life + 1));
      FaultyVfs vfs;
      // Mostly in the middle of something; else between two commits.
      vfs.PowerOffAt(static_cast<int64_t>(1 + random_() % (life == 0 ? 250 : 120)));
      Live(vfs, from);
      const std::string done = vfs.PowerLoss(from, to, random_());
      std::string lost = Look(to);
      if (!lost.empty()) {
        return absl::StrCat("seed ", seed_, ", life ", life, ": ", lost, " (", done, ")");
      }
    }
    return "";
  }

  size_t grants() const { return told_.grants(); }

 private:
  // Random commits until the power goes. `told_` is what was handed out, `doubt_` what it is with the commit under way.
  void Live(FaultyVfs& vfs, const std::string& path) {
    doubt_ = told_;
    OpenedLedger ledger({.path = path, .vfs = vfs.name(), .planted_no_sync = planted_no_sync_});
    const bool is_open = ledger.TryOpen().ok();
    for (int commit = 0; is_open && commit < 40; ++commit) {
      if (!Commit(ledger)) {
        return;
      }
      told_ = doubt_;
      if (random_() % 6 == 0) {
        ledger.file().Checkpoint(random_() % 2 == 0);
      }
    }
    if (is_open && random_() % 2 == 0) {
      ledger.file().Finish();
    }
  }

  bool Commit(OpenedLedger& ledger) {
    std::vector<Outcome> outcomes;
    ledger.writer().Begin();
    for (uint64_t i = 0; i <= random_() % 6; ++i) {
      Order order;
      if (const std::optional<Record> record = doubt_.Next(random_, order); record.has_value()) {
        ledger.writer().Apply(*record, outcomes);
      } else {
        ledger.writer().ApplyOrder(order);
      }
    }
    return ledger.writer().Commit();
  }

  std::string Look(const std::string& path) {
    // In a folder of its own, as the image itself goes into the next life.
    const std::string copy = path + ".looked-at";
    for (const char* suffix : {"", "-wal", "-journal"}) {
      if (std::filesystem::exists(path + suffix)) {
        std::filesystem::copy_file(path + suffix, copy + suffix);
      }
    }
    FaultyVfs healthy;  // only to spare the real syncs
    OpenedLedger ledger({.path = copy, .vfs = healthy.name()});
    if (const absl::Status opened = ledger.TryOpen(); !opened.ok()) {
      return opened.ToString();
    }
    if (const absl::Status audited = ledger.AuditAll(); !audited.ok()) {
      return audited.ToString();
    }
    const std::string lost = told_.Differs(ledger);
    if (lost.empty()) {
      return "";
    }
    told_ = doubt_;  // a commit that was under way may hold, as a whole
    return told_.Differs(ledger).empty() ? "" : lost;
  }

  TestFolder folder_;
  std::mt19937_64 random_;
  uint64_t seed_;
  bool planted_no_sync_;
  Books told_, doubt_;
};

TEST(PowerLoss, LosesNothingThatWasHandedOut) {
  size_t grants = 0;
  const uint64_t seeds = Seeds(150);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    Story story(seed, false);
    ASSERT_EQ(story.Run(), "");
    grants += story.grants();
  }
  EXPECT_GT(grants, seeds * 5) << "there was something to lose";
}

// The checker's own test: a build that forgets to sync is caught.
TEST(PowerLoss, FindsALedgerThatDoesNotSync) {
  int caught = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    caught += Story(seed, true).Run().empty() ? 0 : 1;
  }
  EXPECT_GT(caught, 0);
  RecordProperty("caught", caught);
}

}  // namespace
}  // namespace hongbao::ledger
