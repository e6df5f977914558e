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
