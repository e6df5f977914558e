#include "libhongbao/ledger/ledger_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ledger_fixture.h"
#include "libhongbao/ledger/sqlite_ledger.h"

namespace hongbao::ledger {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}
void WriteAll(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

// What is in a folder, to the byte and the time.
std::map<std::string, std::pair<std::string, fs::file_time_type>> Everything(const TestFolder& folder) {
  std::map<std::string, std::pair<std::string, fs::file_time_type>> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder.File(""))) {
    found[entry.path().string()] = {entry.is_regular_file() ? ReadAll(entry.path().string()) : "", entry.last_write_time()};
  }
  return found;
}

// ZFS before 2.2, FUSE, 9p: their rename has no RENAME_NOREPLACE.
TEST(NewLedgerFileTest, IsMadeAlsoWhereARenameAlwaysReplaces) {
  const TestFolder folder;
  const FileOptions options{.path = folder.File(), .has_noreplace = false};
  ASSERT_TRUE(LedgerFile::Open(options).ok());
  const auto made = Everything(folder);
  EXPECT_EQ(made.size(), 1u) << "the name it was made under is gone";
  EXPECT_TRUE(LedgerFile::Open(options).ok());
  EXPECT_EQ(Everything(folder).begin()->second.second, made.begin()->second.second) << "it was not made a second time";
}

class LedgerFileTest : public ::testing::Test {
 protected:
  // A ledger with some rows; with its log, as a killed server leaves it, or without.
  void MakeLedger(bool killed) {
    OpenedLedger ledger(folder_.File());
    ledger.AddOrder(ShakeOrder(kLotId, 900, 1));
    std::vector<Outcome> outcomes;
    ledger.writer().Begin();
    for (uint32_t i = 0; i < 300; ++i) {
      ledger.writer().Apply(Win(i % 7, kLotId + i, 1, 1'000 + i), outcomes);
    }
    ASSERT_TRUE(ledger.writer().Commit());
    if (!killed) {
      ledger.file().Finish();
    }
  }

  // Opening and recovering fails with that code, with a text that has the file's name and `says`; nothing is touched.
  void Refuses(absl::StatusCode code, const std::string& says, FileOptions options = {}) {
    options.path = options.path.empty() ? folder_.File() : options.path;
    const auto before = Everything(folder_);
    const absl::Status status = SqliteLedger::Open({.file = options}, 1).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_NE(status.ToString().find(options.path), std::string::npos) << status;
    EXPECT_NE(status.ToString().find(says), std::string::npos) << status;
    EXPECT_TRUE(Everything(folder_) == before) << "a file that is refused is left as it is";
  }

  TestFolder folder_;
};

TEST_F(LedgerFileTest, MakesALedgerThatIsThereAfterwards) {
  MakeLedger(false);
  EXPECT_TRUE(fs::exists(folder_.File()));
  EXPECT_FALSE(fs::exists(folder_.File() + ".new." + std::to_string(getpid())));
  EXPECT_FALSE(fs::exists(folder_.File() + "-wal")) << "it was closed in order";
  OpenedLedger again(folder_.File());
  EXPECT_EQ(again.state.epoch, 2u);
}

TEST_F(LedgerFileTest, WhatAnInterruptedMakingLeftIsInNobodysWay) {
  const std::string making = folder_.File() + ".new." + std::to_string(getpid());  // an earlier process had our number
  WriteAll(making, "half");
  WriteAll(making + "-journal", "half");
  MakeLedger(false);
  EXPECT_FALSE(fs::exists(making));
  EXPECT_FALSE(fs::exists(making + "-journal"));
}

TEST_F(LedgerFileTest, ANewFileDoesNotTakeOverAnOldOnesLog) {
  MakeLedger(true);
  fs::remove(folder_.File());
  ASSERT_TRUE(fs::exists(folder_.File() + "-wal")) << "as a kill leaves it";
  EXPECT_EQ(LedgerFile::Open({.path = folder_.File()}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(fs::exists(folder_.File()));
}

TEST_F(LedgerFileTest, TheLogOfALinkedFileIsLookedAt) {
  MakeLedger(true);
  const std::string link = folder_.File("link");
  fs::create_symlink(folder_.File(), link);
  const auto file = LedgerFile::Open({.path = link});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->path(), fs::canonical(folder_.File()).string());
}

TEST_F(LedgerFileTest, EveryCommitIsSynced) {
  OpenedLedger ledger(folder_.File());
  EXPECT_EQ(ledger.db().Number("PRAGMA synchronous"), 2);
  EXPECT_EQ(ledger.db().Text("PRAGMA journal_mode"), "wal");
  EXPECT_EQ(ledger.db().Text("PRAGMA locking_mode"), "exclusive");
}

TEST_F(LedgerFileTest, CountsTheLogsPagesAndWritesThemBack) {
  OpenedLedger ledger(folder_.File());
  ledger.AddOrder(ShakeOrder(kLotId, 10, 1));
  const int64_t pages = ledger.file().wal_pages();
  EXPECT_GT(pages, 0);
  ledger.DoOne(Win(1, kLotId, 1));
  EXPECT_GT(ledger.file().wal_pages(), pages);
  ledger.file().Checkpoint(true);
  EXPECT_EQ(fs::file_size(folder_.File() + "-wal"), 0u);
}

TEST_F(LedgerFileTest, RefusesWhatIsNoLedger) {
  for (const std::string& content : {std::string(), std::string("money"), std::string(10'000, 'x'), std::string(4'096, '\0')}) {
    WriteAll(folder_.File(), content);
    Refuses(absl::StatusCode::kFailedPrecondition, "give another file");
  }
}

TEST_F(LedgerFileTest, RefusesADatabaseOfSomeoneElse) {
  {
    Sqlite db;
    ASSERT_TRUE(db.Create(folder_.File()).ok());
    db.Run("CREATE TABLE t(x)");
  }
  Refuses(absl::StatusCode::kFailedPrecondition, "give another file");
}

TEST_F(LedgerFileTest, RefusesAnotherVersion) {
  MakeLedger(false);
  {
    Sqlite db;
    ASSERT_TRUE(db.Open(folder_.File()).ok());
    db.Run("PRAGMA user_version = 7");
    db.Run("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  Refuses(absl::StatusCode::kFailedPrecondition, "version 7");
}

TEST_F(LedgerFileTest, RefusesAFileThatLacksItsEnd) {
  MakeLedger(false);
  const std::string whole = ReadAll(folder_.File());
  for (const size_t size : {size_t{200}, size_t{4'096}, whole.size() / 2, whole.size() - 4'096, whole.size() - 1}) {
    WriteAll(folder_.File(), whole.substr(0, size));
    Refuses(absl::StatusCode::kDataLoss, "restore a backup");
  }
}

TEST_F(LedgerFileTest, RefusesTablesWithoutTheirConstraints) {
  MakeLedger(false);
  {
    Sqlite db;
    ASSERT_TRUE(db.Open(folder_.File()).ok());
    db.Run("DROP INDEX one_open");
    db.Run("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  Refuses(absl::StatusCode::kDataLoss, "not those of a ledger");
}

TEST_F(LedgerFileTest, AFileThatDoesNotReconcileKeepsItsLog) {
  MakeLedger(false);
  {
    Sqlite db;
    ASSERT_TRUE(db.Open(folder_.File()).ok());
    db.Run("UPDATE grants SET fen = 2 WHERE grant_id = 5");
    fs::copy_file(folder_.File(), folder_.File("copy"));
    fs::copy_file(folder_.File() + "-wal", folder_.File("copy-wal"));
  }
  Refuses(absl::StatusCode::kDataLoss, "restore a backup", {.path = folder_.File("copy")});
  EXPECT_GT(fs::file_size(folder_.File("copy-wal")), 0u);
}

TEST_F(LedgerFileTest, RefusesAReadOnlyFile) {
  MakeLedger(false);
  fs::permissions(folder_.File(), fs::perms(0444));
  Refuses(absl::StatusCode::kPermissionDenied, "chmod u+w");
  const FileOptions look{.path = folder_.File(), .read_only = true};
  EXPECT_TRUE(LedgerFile::Open(look).ok()) << "but it can be looked at";
}

TEST_F(LedgerFileTest, RefusesAFolder) {
  fs::create_directory(folder_.File());
  Refuses(absl::StatusCode::kFailedPrecondition, "not a regular file");
}

TEST_F(LedgerFileTest, RefusesAFolderThatIsNotThere) {
  Refuses(absl::StatusCode::kNotFound, "there is no folder", {.path = folder_.File("nowhere") + "/money.ledger"});
}

TEST_F(LedgerFileTest, LookingMakesNothing) { Refuses(absl::StatusCode::kNotFound, "no such file", {.read_only = true}); }

// Another process holds it: the refusal comes before anything in it is judged, and names that process.
TEST_F(LedgerFileTest, RefusesAFileInUse) {
  int ready[2], done[2];
  ASSERT_EQ(pipe(ready) | pipe(done), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(done[1]);  // or we would not see the parent go
    OpenedLedger ledger(folder_.File());
    ledger.AddOrder(ShakeOrder(kLotId, 9, 1));
    char byte = 0;
    const bool told = write(ready[1], "x", 1) == 1;
    _exit(told && read(done[0], &byte, 1) == 1 ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  Refuses(absl::StatusCode::kUnavailable, absl::StrCat("process ", child));
  ASSERT_EQ(write(done[1], "x", 1), 1);
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  OpenedLedger ledger(folder_.File());
  EXPECT_EQ(ledger.state.orders.size(), 1u) << "it died without closing, and nothing is lost";
}

}  // namespace
}  // namespace hongbao::ledger
