#include "libhongbao/cli/flag_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <string>

#include "libhongbao/cli/options.h"

namespace hongbao::cli {
namespace {

using testing::HasSubstr;

class FlagSourcesTest : public testing::Test {
 protected:
  FlagSourcesTest() : path_(testing::TempDir() + "flags_file_" + std::to_string(getpid())) {}
  ~FlagSourcesTest() override {
    for (const char* name :
         {"HONGBAO_PROG_USERS_MAX", "HONGBAO_PROG_COMPAT", "HONGBAO_PROG_FLAGS_FILE", "HONGBAO_PROG_USERS_MXA"}) {
      unsetenv(name);
    }
    unlink(path_.c_str());
  }

  // What hongbao-prog makes of this command line; the exit code, or -1 when it goes on.
  int Parse(std::vector<const char*> arguments) {
    CLI::App app{"hongbao-prog: for a test"};
    users_ = 1;
    compat_ = false;
    name_ = "none";
    AddCount(app, "-u,--users-max", &users_, "users", {.max = 1'000});
    AddSwitch(app, "--compat", &compat_, "also as it was");
    AddText(app, "--name", &name_, "what to call it");
    arguments.insert(arguments.begin(), "hongbao-prog");
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    const absl::optional<int> code = ParseCommandLine(app, "hongbao-prog", static_cast<int>(arguments.size()), arguments.data());
    said_ = testing::internal::GetCapturedStderr();
    testing::internal::GetCapturedStdout();
    return code.value_or(-1);
  }
  const char* File(const std::string& text) {
    std::ofstream(path_) << text;
    return path_.c_str();
  }

  const std::string path_;
  int64_t users_ = 0;
  bool compat_ = false;
  std::string name_;
  std::string said_;
};

TEST_F(FlagSourcesTest, CommandLineThenEnvironmentThenFileThenDefault) {
  EXPECT_EQ(Parse({}), -1);
  EXPECT_EQ(users_, 1);
  const char* file = File("--users-max 2\n--name=from file\n");
  EXPECT_EQ(Parse({"--flags-file", file}), -1);
  EXPECT_EQ(users_, 2);
  EXPECT_EQ(name_, "from file");
  setenv("HONGBAO_PROG_USERS_MAX", "3", 1);
  EXPECT_EQ(Parse({"--flags-file", file}), -1);
  EXPECT_EQ(users_, 3);
  EXPECT_EQ(name_, "from file");
  for (std::vector<const char*> given : {std::vector{"--users-max", "4"}, {"--users-max=4"}, {"-u", "4"}, {"-u4"}}) {
    given.insert(given.end(), {"--flags-file", file});
    EXPECT_EQ(Parse(given), -1) << said_;
    EXPECT_EQ(users_, 4);
    EXPECT_EQ(name_, "from file");
  }
}

TEST_F(FlagSourcesTest, TheEnvironmentMayNameTheFile) {
  setenv("HONGBAO_PROG_FLAGS_FILE", File("--users-max 7\n"), 1);
  EXPECT_EQ(Parse({}), -1) << said_;
  EXPECT_EQ(users_, 7);
  EXPECT_EQ(Parse({"--flags-file", "/dev/null"}), -1);
  EXPECT_EQ(users_, 1);
}

TEST_F(FlagSourcesTest, LinesOfAFile) {
  EXPECT_EQ(Parse({"--flags-file", File("# a comment\n\n  --compat\r\n\t--users-max = 5 \n--name -x=y\n")}), -1) << said_;
  EXPECT_TRUE(compat_);
  EXPECT_EQ(users_, 5);
  EXPECT_EQ(name_, "-x=y");
  EXPECT_EQ(Parse({"--flags-file", File("--compat=false")}), -1);
  EXPECT_FALSE(compat_);
}

TEST_F(FlagSourcesTest, WhatIsWrongIsSaidWithItsPlace) {
  const std::pair<const char*, const char*> cases[] = {{"--compat\n--users-mxa 5\n", ":2: '--users-mxa'"},
                                                       {"users-max 5\n", ":1: 'users-max'"},
                                                       {"-u 5\n", ":1: '-u'"},
                                                       {"--flags-file x\n", ":1: '--flags-file'"},
                                                       {"--version\n", ":1: '--version'"},
                                                       {"--users-max 5\n--users-max 6\n", ":2: --users-max is given twice"},
                                                       {"--compat perhaps\n", ":1: --compat is true or false"}};
  for (const auto& [text, says] : cases) {
    EXPECT_EQ(Parse({"--flags-file", File(text)}), 2) << text;
    EXPECT_THAT(said_, HasSubstr(path_ + says));
  }
  EXPECT_EQ(Parse({"--flags-file", File("\n\n--users-max 5000\n")}), 2);
  EXPECT_THAT(said_, HasSubstr("--users-max: must be at most 1000, not 5000 (" + path_ + ":3)"));
  for (const char* path : {"/nowhere/at/all", "/", "/dev/zero"}) {
    EXPECT_EQ(Parse({"--flags-file", path}), 2);
    EXPECT_THAT(said_, HasSubstr(path));
  }
  setenv("HONGBAO_PROG_USERS_MAX", "many", 1);
  EXPECT_EQ(Parse({}), 2);
  EXPECT_THAT(said_, HasSubstr("(HONGBAO_PROG_USERS_MAX)"));
  setenv("HONGBAO_PROG_USERS_MAX", "6", 1);
  setenv("HONGBAO_PROG_COMPAT", "", 1);
  EXPECT_EQ(Parse({}), 2);
  EXPECT_THAT(said_, HasSubstr("HONGBAO_PROG_COMPAT: --compat is true or false"));
  setenv("HONGBAO_PROG_COMPAT", "1", 1);
  EXPECT_EQ(Parse({}), -1);
  EXPECT_TRUE(compat_);
  setenv("HONGBAO_PROG_USERS_MXA", "6", 1);
  EXPECT_EQ(Parse({}), 2);
  EXPECT_THAT(said_, HasSubstr("HONGBAO_PROG_USERS_MXA is no flag of hongbao-prog"));
  EXPECT_EQ(Parse({"--help"}), 0);  // whatever else is wrong
}

TEST_F(FlagSourcesTest, NamesOfVariables) {
  EXPECT_EQ(VariableOf("hongbao-server", "--users-max"), "HONGBAO_SERVER_USERS_MAX");
  EXPECT_EQ(VariableOf("tools/conns", "--top"), "HONGBAO_CONNS_TOP");
}

}  // namespace
}  // namespace hongbao::cli
