#include "tools/monitor/files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace hongbao::monitor {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(LineFile, GoesOnWhereItLeftOff) {
  const std::string path = testing::TempDir() + "/line_file_" + std::to_string(getpid()) + ".csv";
  std::filesystem::remove(path);
  for (int run = 1; run <= 2; ++run) {
    LineFile file;
    ASSERT_TRUE(file.Open(path, "a,b").ok());
    file.Write(std::to_string(run) + ",0");
  }
  EXPECT_EQ(Contents(path), "a,b\n1,0\n2,0\n");
  std::ofstream(path, std::ios::app) << "3,";  // a run that was killed in the middle of a line
  LineFile file;
  ASSERT_TRUE(file.Open(path, "a,b").ok());
  file.Write("4,0");
  EXPECT_EQ(Contents(path), "a,b\n1,0\n2,0\n3,\n4,0\n");
  std::filesystem::remove(path);
}

TEST(LineFile, ColumnsOfAnEarlierVersionAreNotWrittenUnder) {
  const std::string path = testing::TempDir() + "/other_columns_" + std::to_string(getpid()) + ".csv";
  for (const char* earlier : {"a,b,c\n1,0,0\n", "a\n", "a,bc\n", "a,"}) {
    std::ofstream(path) << earlier;
    LineFile file;
    const absl::Status status = file.Open(path, "a,b");
    EXPECT_NE(std::string(status.message()).find("other columns"), std::string::npos) << status;
    EXPECT_EQ(Contents(path), earlier);
  }
  std::filesystem::remove(path);
}

TEST(LineFile, SaysWhyItCannotBeOpened) {
  LineFile file;
  const absl::Status status = file.Open("/nowhere/at/all.csv", "a");
  EXPECT_NE(std::string(status.message()).find("/nowhere/at/all.csv"), std::string::npos);
  file.Write("x");  // nothing happens
}

TEST(LineFile, AFullDiskIsCounted) {
  LineFile file;
  ASSERT_TRUE(file.Open("/dev/full", "a").ok());
  file.Write("x");
  EXPECT_EQ(file.lost(), 2u) << "the header and the line";
}

}  // namespace
}  // namespace hongbao::monitor
