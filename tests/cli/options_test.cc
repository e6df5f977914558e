#include "libhongbao/cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace hongbao::cli {
namespace {

using ::testing::HasSubstr;

struct Values {
  int64_t users_max = 1000;
  uint32_t workers = 0;
  int64_t drain_ns = 10'000'000'000;
  HostPort listen{.host = "0.0.0.0", .port = 1025};
  UserRange users;
  bool compat = false;
  std::string report;
  uint32_t qps = 50;
  bool max = false;
};

// Parses as a main would; what it printed goes to `out` and `err`.
struct Outcome {
  absl::optional<int> code;
  std::string out;
  std::string err;
  Values values;
};

Outcome Parse(std::vector<const char*> arguments) {
  Outcome outcome;
  CLI::App app{"a program"};
  AddCount(app, "--users-max", &outcome.values.users_max, "users at most", {.min = 1});
  AddCount(app, "-t,--workers", &outcome.values.workers, "threads", {.max = 256});
  AddDurationNs(app, "--drain", &outcome.values.drain_ns, "time to finish", {.min = 1'000'000});
  AddHostPort(app, "--listen", &outcome.values.listen, "address");
  AddUsers(app, "--users", &outcome.values.users, "users");
  AddSwitch(app, "--compat", &outcome.values.compat, "old paths");
  AddText(app, "--report", &outcome.values.report, "file");
  AddCountOr(app, "--qps", &outcome.values.qps, "max", &outcome.values.max, "rate", {.max = 1'000});
  arguments.insert(arguments.begin(), "program");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  outcome.code = ParseCommandLine(app, "program", static_cast<int>(arguments.size()), arguments.data());
  std::fflush(stdout);
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

TEST(OptionsTest, RightFlagsGoThrough) {
  const Outcome outcome = Parse({"--users-max", "1M", "-t", "4", "--drain=30ms", "--listen", "127.0.0.1:0", "--users", "0-9/20",
                                 "--compat", "--report=r.json"});
  ASSERT_FALSE(outcome.code.has_value()) << outcome.err;
  EXPECT_EQ(outcome.values.users_max, 1'000'000);
  EXPECT_EQ(outcome.values.workers, 4u);
  EXPECT_EQ(outcome.values.drain_ns, 30'000'000);
  EXPECT_EQ(outcome.values.listen.ToString(), "127.0.0.1:0");
  EXPECT_EQ(outcome.values.users.Count(), 10u);
  EXPECT_TRUE(outcome.values.compat);
  EXPECT_EQ(outcome.values.report, "r.json");
}

TEST(OptionsTest, DefaultsStayWhenNothingIsGiven) {
  const Outcome outcome = Parse({});
  ASSERT_FALSE(outcome.code.has_value());
  EXPECT_EQ(outcome.values.users_max, 1000);
  EXPECT_EQ(outcome.values.listen.ToString(), "0.0.0.0:1025");
  EXPECT_FALSE(outcome.values.compat);
}

TEST(OptionsTest, AWordMayStandForACount) {
  const Outcome number = Parse({"--qps", "1k"});
  EXPECT_EQ(number.values.qps, 1'000u);
  EXPECT_FALSE(number.values.max);
  const Outcome word = Parse({"--qps", "max"});
  ASSERT_FALSE(word.code.has_value());
  EXPECT_EQ(word.values.qps, 50u);
  EXPECT_TRUE(word.values.max);
  for (const char* wrong : {"maximal", "2k", "-1", ""}) {
    const Outcome outcome = Parse({"--qps", wrong});
    EXPECT_EQ(outcome.code, 2) << wrong;
    EXPECT_NE(outcome.err.find("--qps"), std::string::npos) << outcome.err;
  }
}

TEST(OptionsTest, HelpAndVersionExitZeroOnStdout) {
  for (const char* flag : {"-h", "--help"}) {
    const Outcome help = Parse({flag});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("--users-max"));
    EXPECT_THAT(help.out, HasSubstr("0.0.0.0:1025"));
    EXPECT_EQ(help.err, "");
  }
  const Outcome version = Parse({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out, std::string("program ") + Version() + "\n");
}

TEST(OptionsTest, WrongValuesExitTwoWithTheFlagAndTheReason) {
  const std::vector<std::pair<std::vector<const char*>, const char*>> cases = {
      {{"--users-max", "0"}, "--users-max: must be at least 1, not 0"},
      {{"--users-max", "many"}, "'many' is not a count"},
      {{"--users-max=-5"}, "'-5' is not a count"},
      {{"--workers", "257"}, "--workers: must be at most 256"},
      {{"--drain", "5"}, "has no unit"},
      {{"--drain", "1us"}, "must be at least 1ms, not 1us"},
      {{"--listen", "nowhere"}, "has no port"},
      {{"--users", "5-9"}, "0-499999/1M"},
      {{"--no-such-flag"}, "--no-such-flag"},
      {{"stray"}, "stray"},
      {{"--users-max"}, "--users-max"},
  };
  for (const auto& [arguments, reason] : cases) {
    const Outcome outcome = Parse(arguments);
    EXPECT_EQ(outcome.code, 2) << reason;
    EXPECT_THAT(outcome.err, HasSubstr(reason));
    EXPECT_THAT(outcome.err, HasSubstr("program --help"));
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(OptionsTest, DurationsPrintAsTheyAreRead) {
  EXPECT_EQ(DurationToString(0), "0s");
  EXPECT_EQ(DurationToString(5'000'000'000), "5s");
  EXPECT_EQ(DurationToString(240'000'000'000), "4m");
  EXPECT_EQ(DurationToString(1'500'000'000), "1500ms");
  for (const int64_t ns : {int64_t{1}, int64_t{250'000}, int64_t{30'000'000}, int64_t{86'400'000'000'000}}) {
    EXPECT_EQ(ParseDurationNs(DurationToString(ns)).value(), ns);
  }
}

}  // namespace
}  // namespace hongbao::cli
