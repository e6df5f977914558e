#include "libhongbao/cli/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "absl/strings/str_split.h"
#include "libhongbao/cli/options.h"

namespace hongbao::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(HelpTest, WrapsAtBlanksAndIndentsWhatFollows) {
  EXPECT_EQ(Wrap("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(Wrap("one two three", 8, 0), "one two\nthree");
  EXPECT_EQ(Wrap("one\ntwo", 80, 0), "one two");
  EXPECT_EQ(Wrap("unbreakable", 3, 4), "unbreakable");
  EXPECT_EQ(Wrap("", 10, 0), "");
}

TEST(HelpTest, ShowsNamesValueMeaningAndDefault) {
  CLI::App app{"program: does something."};
  int64_t rate = 5;
  std::string file;
  bool quiet = false;
  bool more = false;
  HostPort admin{"127.0.0.1", 8989};
  AddCount(app, "-r,--rate", &rate, "how often");
  AddHostPort(app, "--administration", &admin, "where HTTP is answered");
  AddText(app, "--name", &file, "what to call it (default: nothing)")->default_str("x");
  AddSwitch(app, "-q,--quiet", &quiet, "no rows");
  AddSwitch(app, "--more", &more, "for those who measure")->group("Tuning");
  app.footer("exit codes:\n  0  done");
  SetUpHelp(app, "program", "1.2.3");
  const std::string help = app.help();
  EXPECT_THAT(help, HasSubstr("program: does something.\n\nusage: program [FLAGS]\n\noptions:\n"
                              "  -r, --rate N              how often (default 5)\n"));
  EXPECT_THAT(help, HasSubstr("  -h, --help                print this text and end\n"));
  EXPECT_THAT(help, HasSubstr("  --administration HOST:PORT\n                            where HTTP is answered (default "
                              "127.0.0.1:8989)\n"));
  EXPECT_THAT(help, HasSubstr("  --name TEXT               what to call it (default: nothing)\n"));
  EXPECT_THAT(help, HasSubstr("  -q, --quiet               no rows\n"));
  EXPECT_THAT(help, HasSubstr("  --version                 print the version and end\n"));
  EXPECT_THAT(help, HasSubstr("\ntuning:\n  --more                    for those who measure\n\nexit codes:\n  0  done\n"));
  EXPECT_THAT(help, Not(HasSubstr("\n\n\n")));
}

TEST(HelpTest, StaysWithinAHundredColumns) {
  CLI::App app{std::string(40, 'a') + " " + std::string(40, 'b') + " " + std::string(40, 'c')};
  bool flag = false;
  std::string meaning;
  for (int i = 0; i < 60; ++i) {
    meaning += "word ";
  }
  AddSwitch(app, "--flag", &flag, meaning);
  SetUpHelp(app, "program", "1");
  for (const absl::string_view line : absl::StrSplit(app.help(), '\n')) {
    EXPECT_LE(line.size(), 100u) << line;
  }
}

}  // namespace
}  // namespace hongbao::cli
