#include "libhongbao/ledger/sqlite.h"

#include <gtest/gtest.h>

#include <array>

#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

class SqliteTest : public ::testing::Test {
 protected:
  SqliteTest() {
    EXPECT_TRUE(db_.Create(":memory:").ok());
    db_.Run("CREATE TABLE t(x INTEGER PRIMARY KEY, y INTEGER, b BLOB, CHECK(y > 0))");
  }
  Sqlite db_;
};

TEST_F(SqliteTest, BindsInOrderAndReadsBack) {
  Statement insert(db_, "INSERT INTO t VALUES(?,?,?)");
  const std::array<uint32_t, 2> blob = {7, 0xffff'ffff};
  insert << int64_t{1} << std::optional<int64_t>() << absl::MakeConstSpan(blob);
  insert.Do();
  insert << int64_t{2} << std::optional<int64_t>(5) << absl::MakeConstSpan(blob);
  insert.Do();
  EXPECT_EQ(insert.changes(), 1);
  Statement select(db_, "SELECT x, y, b FROM t ORDER BY x");
  std::array<uint32_t, 2> seen{};
  std::array<uint32_t, 3> larger{};
  ASSERT_TRUE(select.Step());
  EXPECT_TRUE(select.IsNull(1));
  EXPECT_TRUE(select.Blob(2, absl::MakeSpan(seen)));
  EXPECT_EQ(seen, blob);
  EXPECT_FALSE(select.Blob(2, absl::MakeSpan(larger)));
  ASSERT_TRUE(select.Step());
  EXPECT_EQ(select.Int(1), 5);
  EXPECT_FALSE(select.Step());
  EXPECT_TRUE(select.Step()) << "a statement that is done begins anew";
}

TEST_F(SqliteTest, TheFirstErrorStaysAndNothingHappensAfterIt) {
  db_.Run("INSERT INTO t VALUES(1, -1, NULL)");
  EXPECT_FALSE(db_.ok());
  const absl::Status first = db_.status();
  EXPECT_NE(first.ToString().find("CHECK"), std::string::npos) << first;
  db_.Run("INSERT INTO t VALUES(1, 1, NULL)");
  db_.Run("nonsense");
  EXPECT_EQ(db_.status(), first);
  EXPECT_EQ(db_.Number("SELECT COUNT(*) + 1 FROM t"), 0) << "not even a question is asked";
}

TEST_F(SqliteTest, ARefusalIsAnErrorToo) {
  db_.Refuse("for a reason");
  EXPECT_EQ(db_.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SqliteTest, NothingIsTextOrZero) {
  EXPECT_EQ(db_.Text("SELECT x FROM t"), "");
  EXPECT_EQ(db_.Number("SELECT x FROM t"), 0);
  EXPECT_EQ(db_.Text("SELECT NULL"), "");
  EXPECT_TRUE(db_.ok());
}

TEST(Sqlite, OpenMakesNoFile) {
  const TestFolder folder;
  Sqlite db;
  EXPECT_EQ(db.Open(folder.File()).code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace hongbao::ledger
