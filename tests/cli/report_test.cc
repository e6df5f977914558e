#include "libhongbao/cli/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "nlohmann/json.hpp"
#include "tests/test_folder.h"

namespace hongbao::cli {
namespace {

using ::testing::HasSubstr;

class ReportTest : public testing::Test {
 protected:
  static std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  size_t FilesInFolder() const { return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {})); }

  const TestFolder place_;
  const std::string folder_ = place_.path().string();
};

TEST_F(ReportTest, WritesAndReplacesWhole) {
  const std::string path = folder_ + "/report.json";
  ASSERT_TRUE(WriteReport(path, {{"verdict", "fail"}}).ok());
  ASSERT_TRUE(WriteReport(path, {{"verdict", "pass"}}).ok());
  EXPECT_EQ(nlohmann::json::parse(Read(path)).at("verdict"), "pass");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(ReportTest, BytesThatAreNoUtf8AreReplacedNotThrown) {
  const std::string path = folder_ + "/report.json";
  ASSERT_TRUE(WriteReport(path, {{"peer", "\xff\xfe"}}).ok());
  EXPECT_TRUE(nlohmann::json::accept(Read(path)));
}

TEST_F(ReportTest, ErrorsNamePathAndCauseAndLeaveNothing) {
  const absl::Status missing = WriteReport(folder_ + "/no/such/report.json", {});
  EXPECT_THAT(std::string(missing.message()), HasSubstr("/no/such/report.json: No such file"));
  EXPECT_FALSE(CheckReportPath(folder_ + "/no/such/report.json").ok());
  EXPECT_THAT(std::string(CheckReportPath(folder_).message()), HasSubstr("Is a directory"));
  const absl::Status is_folder = WriteReport(folder_, {});
  EXPECT_FALSE(is_folder.ok());
  EXPECT_TRUE(CheckReportPath(folder_ + "/report.json").ok());
  EXPECT_EQ(FilesInFolder(), 0u);
}

TEST_F(ReportTest, ALinkStaysAndWhatItPointsToIsWritten) {
  std::filesystem::create_directory(folder_ + "/other");
  std::filesystem::create_symlink("middle.json", folder_ + "/link.json");
  std::filesystem::create_symlink("other/target.json", folder_ + "/middle.json");
  for (const char* word : {"first", "second"}) {  // the target is not there, and there
    EXPECT_TRUE(CheckReportPath(folder_ + "/link.json").ok());
    ASSERT_TRUE(WriteReport(folder_ + "/link.json", {{"a", word}}).ok());
    EXPECT_TRUE(std::filesystem::is_symlink(folder_ + "/link.json"));
    EXPECT_TRUE(std::filesystem::is_symlink(folder_ + "/middle.json"));
    EXPECT_THAT(Read(folder_ + "/other/target.json"), HasSubstr(word));
  }
  std::filesystem::create_symlink("loop.json", folder_ + "/loop.json");
  EXPECT_THAT(std::string(CheckReportPath(folder_ + "/loop.json").message()), HasSubstr("symbolic links"));
}

TEST_F(ReportTest, AFileKeepsItsPermissions) {
  const std::string path = folder_ + "/private.json";
  ASSERT_TRUE(WriteReport(path, {}).ok());
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  ASSERT_TRUE(WriteReport(path, {}).ok());
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(ReportTest, ADeviceIsWrittenToNotReplaced) {
  const std::string path = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::fstream reader(path);  // opened for both, so that neither side waits
  EXPECT_TRUE(CheckReportPath(path).ok());
  ASSERT_TRUE(WriteReport(path, {{"a", 1}}).ok());
  std::string first_line;
  std::getline(reader, first_line);
  EXPECT_EQ(first_line, "{");
  EXPECT_TRUE(std::filesystem::is_fifo(path));
}

}  // namespace
}  // namespace hongbao::cli
