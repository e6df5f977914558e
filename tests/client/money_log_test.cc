#include "client/money_log.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"

namespace hongbao::client {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(MoneyLog, OneLineForEachReplyUnderTheHeader) {
  const std::string path = testing::TempDir() + "money_log_test." + std::to_string(getpid());
  MoneyLog log;
  EXPECT_FALSE(log.open());
  ASSERT_TRUE(log.Open(path).ok());
  EXPECT_EQ(Contents(path), "kind,user,stamp,envelope,fen\n");  // at once: whoever waits for the file finds it whole
  log.Write({.stamp = 1'486'824'165'123'456'789, .user = 7, .envelope_id = 0x100001, .fen = 257});
  log.Write({.stamp = ~uint64_t{0},
             .user = 0xffff'ffff,
             .envelope_id = 0x8000'0001,
             .fen = 0xffff'ffff,
             .kind = load::MoneyKind::kOpen});
  log.Close();
  EXPECT_FALSE(log.open());
  EXPECT_EQ(Contents(path),
            "kind,user,stamp,envelope,fen\n"
            "shake,7,1486824165123456789,1048577,257\n"
            "open,4294967295,18446744073709551615,2147483649,4294967295\n");
  EXPECT_EQ(log.end().written, 2u);
  EXPECT_FALSE(log.end().failed);
  std::remove(path.c_str());
}

class MoneyLogAgain : public testing::Test {
 protected:
  void Put(const std::string& text) { std::ofstream(path_) << text; }
  ~MoneyLogAgain() override { std::remove(path_.c_str()); }

  const std::string path_ = testing::TempDir() + "money_log_again." + std::to_string(getpid());
};

TEST_F(MoneyLogAgain, GoesOnBehindWhatAnEarlierRunWrote) {
  for (uint32_t run = 1; run <= 2; ++run) {
    MoneyLog log;
    ASSERT_TRUE(log.Open(path_).ok());
    log.Write({.stamp = run, .user = run, .envelope_id = run, .fen = run});
    log.Close();
    EXPECT_EQ(log.end().written, 1u) << "its own lines";
  }
  EXPECT_EQ(Contents(path_), "kind,user,stamp,envelope,fen\nshake,1,1,1,1\nshake,2,2,2,2\n");
}

TEST_F(MoneyLogAgain, ALineThatACrashHasCutOffMakesRoom) {
  const std::string whole = "kind,user,stamp,envelope,fen\nshake,1,1,1,1\n";
  for (const std::string& cut : {whole + "shake,2,22", whole, std::string("kind,us"), std::string()}) {
    Put(cut);
    MoneyLog log;
    ASSERT_TRUE(log.Open(path_).ok()) << cut;
    log.Write({.stamp = 3, .user = 3, .envelope_id = 3, .fen = 3});
    log.Close();
    EXPECT_EQ(Contents(path_), (cut.size() < whole.size() ? whole.substr(0, 29) : whole) + "shake,3,3,3,3\n") << cut;
  }
}

TEST_F(MoneyLogAgain, AFileThatHoldsSomethingElseIsLeftAsItIs) {
  Put("my notes\n");
  MoneyLog log;
  const absl::Status status = log.Open(path_);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("holds something else"), std::string::npos);
  EXPECT_EQ(Contents(path_), "my notes\n");
}

TEST(MoneyLog, APlaceWhereNothingCanBeWrittenIsNamed) {
  MoneyLog log;
  const absl::Status status = log.Open(testing::TempDir() + "no/such/folder/money.csv");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("no/such/folder"), std::string::npos);
}

TEST(MoneyLog, AFullDiskIsNotTakenForACompleteLog) {
  MoneyLog log;
  if (!log.Open("/dev/full").ok()) GTEST_SKIP() << "no /dev/full here";
  for (uint32_t i = 0; i < 100'000; ++i) log.Write({.stamp = i, .user = i, .envelope_id = i, .fen = 1});
  log.Close();
  EXPECT_TRUE(log.end().failed);
}

}  // namespace
}  // namespace hongbao::client
