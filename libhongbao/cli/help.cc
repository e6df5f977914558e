#include "libhongbao/cli/help.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace hongbao::cli {
namespace {

constexpr size_t kColumns = 100;
constexpr size_t kMeaningColumn = 28;

// "-q, --quiet", "--users-max N".
std::string NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) {
    names.push_back(absl::StrCat("-", name));
  }
  for (const std::string& name : option.get_lnames()) {
    names.push_back(absl::StrCat("--", name));
  }
  const bool takes_value = option.get_expected_max() != 0;
  return absl::StrCat(absl::StrJoin(names, ", "), takes_value ? absl::StrCat(" ", option.get_type_name()) : "");
}

std::string MeaningOf(const CLI::Option& option) {
  const std::string present = option.get_default_str();
  const bool says_so = absl::StrContains(option.get_description(), "(default");
  const bool takes_value = option.get_expected_max() != 0;
  return absl::StrCat(option.get_description(),
                      present.empty() || says_so || !takes_value ? "" : absl::StrCat(" (default ", present, ")"));
}

std::string LineOf(const CLI::Option& option) {
  std::string line = absl::StrCat("  ", NamesOf(option));
  if (line.size() + 2 > kMeaningColumn) {
    absl::StrAppend(&line, "\n", std::string(kMeaningColumn, ' '));
  } else {
    line.resize(kMeaningColumn, ' ');
  }
  return absl::StrCat(line, Wrap(MeaningOf(option), kColumns - kMeaningColumn, kMeaningColumn), "\n");
}

class Layout : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string /*name*/, CLI::AppFormatMode /*mode*/) const override {
    std::string text = absl::StrCat(Wrap(app->get_description(), kColumns, 0), "\n\nusage: ", app->get_name(), " [FLAGS]\n");
    std::vector<std::string> groups;
    for (const CLI::Option* option : app->get_options()) {
      const std::string& group = option->get_group();
      if (!group.empty() && std::find(groups.begin(), groups.end(), group) == groups.end()) {
        groups.push_back(group);
      }
    }
    for (const std::string& group : groups) {
      absl::StrAppend(&text, "\n", absl::AsciiStrToLower(group), ":\n");
      for (const CLI::Option* option : app->get_options()) {
        absl::StrAppend(&text, option->get_group() == group ? LineOf(*option) : "");
      }
    }
    return absl::StrCat(text, app->get_footer().empty() ? "" : absl::StrCat("\n", app->get_footer(), "\n"));
  }
};

}  // namespace

void SetUpHelp(CLI::App& app, const std::string& program, const std::string& version) {
  app.name(program);
  app.formatter(std::make_shared<Layout>());
  app.set_help_flag("-h,--help", "print this text and end");
  app.set_version_flag("--version", absl::StrCat(program, " ", version), "print the version and end");
}

std::string Wrap(const std::string& text, size_t columns, size_t indent) {
  std::string wrapped;
  size_t used = 0;
  for (const absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (used > 0 && used + 1 + word.size() > columns) {
      absl::StrAppend(&wrapped, "\n", std::string(indent, ' '));
      used = 0;
    }
    absl::StrAppend(&wrapped, used == 0 ? "" : " ", word);
    used += word.size() + (used == 0 ? 0 : 1);
  }
  return wrapped;
}

}  // namespace hongbao::cli
