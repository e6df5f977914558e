#include "libhongbao/admin/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <string>

namespace hongbao::admin {
namespace {

// What `write` puts on stderr after SetUpLogging(level); stdout must stay empty.
template <typename Write>
std::string Logged(LogLevel level, Write write) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  SetUpLogging(level);
  write();
  spdlog::default_logger()->flush();
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, LinesHaveUtcTimeAndLevel) {
  unsetenv("JOURNAL_STREAM");
  const std::string text = Logged(LogLevel::kNormal, [] {
    spdlog::info("ready");
    spdlog::debug("hidden");
  });
  EXPECT_THAT(text, testing::MatchesRegex("....-..-..T..:..:......Z info [0-9]+ ready\n"));
}

TEST(LogTest, LevelsDecideWhatIsSaid) {
  const auto all = [] {
    spdlog::debug("a detail");
    spdlog::info("an event");
    spdlog::error("a failure");
  };
  EXPECT_THAT(Logged(LogLevel::kQuiet, all), testing::Not(testing::HasSubstr("an event")));
  EXPECT_THAT(Logged(LogLevel::kQuiet, all), testing::HasSubstr("a failure"));
  EXPECT_THAT(Logged(LogLevel::kVerbose, all), testing::HasSubstr("a detail"));
}

TEST(LogTest, TheJournalKeepsTheTimeItself) {
  setenv("JOURNAL_STREAM", "8:1", 1);
  EXPECT_EQ(Logged(LogLevel::kNormal, [] { spdlog::warn("late"); }), "warning late\n");
  unsetenv("JOURNAL_STREAM");
}

}  // namespace
}  // namespace hongbao::admin
