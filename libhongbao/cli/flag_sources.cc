#include "libhongbao/cli/flag_sources.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace hongbao::cli {
namespace {

constexpr size_t kFileBytesMax = 64 << 10;
constexpr char kFlagsFile[] = "--flags-file";

struct Setting {
  std::string value;
  std::string origin;
};
using Settings = std::map<std::string, Setting>;  // by "--name"

// "--name" of every flag that may be set elsewhere -> whether it takes a value.
std::map<std::string, bool> FlagsOf(const CLI::App& app) {
  std::map<std::string, bool> flags;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_lnames().empty() && option != app.get_help_ptr()) {
      flags[absl::StrCat("--", option->get_lnames()[0])] = option->get_expected_max() != 0;
    }
  }
  flags.erase("--version");
  return flags;
}

// The flags that the command line has, and the value of each. Nothing is judged here: that comes when all are together.
std::map<std::string, std::string> Given(const CLI::App& app, int argc, const char* const* argv) {
  CLI::App scanner;
  scanner.set_help_flag();
  scanner.allow_extras();
  std::map<std::string, std::unique_ptr<std::vector<std::string>>> values;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty()) {
      continue;
    }
    const std::string name = absl::StrCat("--", option->get_lnames()[0]);
    auto& into = values[name] = std::make_unique<std::vector<std::string>>();
    if (option->get_expected_max() != 0) {
      scanner.add_option(option->get_name(false, true), *into)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    } else {
      scanner.add_flag_callback(option->get_name(false, true), [&values, name] { values[name]->push_back(""); });
    }
  }
  std::map<std::string, std::string> given;
  try {
    scanner.parse(argc, argv);
  } catch (const CLI::ParseError&) {  // the program's own parser will say it better
  }
  for (const auto& [name, found] : values) {
    if (!found->empty()) {
      given[name] = found->back();
    }
  }
  return given;
}

absl::StatusOr<std::string> ReadAll(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path == "-" ? "/dev/stdin" : path.c_str(), "re"),
                                                             &std::fclose);
  std::string text(kFileBytesMax + 1, '\0');
  errno = 0;
  const size_t size = file == nullptr ? 0 : std::fread(text.data(), 1, text.size(), file.get());
  if (file == nullptr || std::ferror(file.get()) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(kFlagsFile, ": cannot read ", path, ": ", std::strerror(errno)));
  }
  if (size > kFileBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(kFlagsFile, ": ", path, " is larger than ", kFileBytesMax, " bytes"));
  }
  text.resize(size);
  return text;
}

absl::StatusOr<Settings> FromFile(const std::string& path, const std::map<std::string, bool>& flags) {
  const absl::StatusOr<std::string> text = ReadAll(path);
  if (!text.ok()) {
    return text.status();
  }
  Settings settings;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::string where = absl::StrCat(path, ":", ++number);
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') {
      continue;
    }
    const size_t end = line.find_first_of("= \t");
    const std::string name(line.substr(0, end));
    const absl::string_view value =
        end == absl::string_view::npos ? "" : absl::StripAsciiWhitespace(line.substr(line.find_first_not_of(" \t", end)));
    const auto flag = flags.find(name);
    if (flag == flags.end() || name == kFlagsFile) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": '", name, "' is no flag that can stand in a file"));
    }
    if (!settings.try_emplace(name, Setting{std::string(absl::StripPrefix(value, "=")), where}).second) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": ", name, " is given twice, first in ", settings[name].origin));
    }
    settings[name].value = std::string(absl::StripAsciiWhitespace(settings[name].value));
  }
  return settings;
}

// Whether a container's surroundings set it to tell of a service (Kubernetes' service links, Docker's links): ..._SERVICE_HOST,
// ..._PORT=tcp://10.0.0.1:1025, ..._PORT_1025_TCP_ADDR. No flag has such a shape.
bool IsServiceLink(absl::string_view name, absl::string_view value) {
  if (absl::EndsWith(name, "_SERVICE_HOST") || absl::EndsWith(name, "_SERVICE_PORT") ||
      absl::StrContains(name, "_SERVICE_PORT_") || absl::StrContains(name, "_ENV_")) {
    return true;
  }
  if (absl::EndsWith(name, "_PORT") && absl::StrContains(value, "://")) {
    return true;
  }
  if (absl::EndsWith(name, "_NAME") && absl::StartsWith(value, "/")) {
    return true;
  }
  for (const absl::string_view last : {"_PROTO", "_PORT", "_ADDR", ""}) {
    absl::string_view rest = name;
    if (!absl::ConsumeSuffix(&rest, last)) {
      continue;
    }
    for (const absl::string_view protocol : {"_TCP", "_UDP", "_SCTP"}) {
      absl::string_view port = rest;
      if (absl::ConsumeSuffix(&port, protocol)) {
        const size_t digits = port.find_last_not_of("0123456789") + 1;
        return digits < port.size() && absl::EndsWith(port.substr(0, digits), "_PORT_");
      }
    }
  }
  return false;
}

absl::StatusOr<Settings> FromEnvironment(const std::string& program, const std::map<std::string, bool>& flags,
                                         std::vector<std::string>* ignored) {
  std::map<std::string, std::string> names;  // variable -> flag
  for (const auto& [flag, takes_value] : flags) {
    names[VariableOf(program, flag)] = flag;
  }
  const std::string prefix = VariableOf(program, "--");
  Settings settings;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(*variable, absl::MaxSplits('=', 1));
    if (!absl::StartsWith(parts.first, prefix)) {
      continue;
    }
    const auto name = names.find(parts.first);
    if (name == names.end() && IsServiceLink(parts.first, parts.second)) {
      ignored->push_back(parts.first);
      continue;
    }
    if (name == names.end()) {
      return absl::InvalidArgumentError(absl::StrCat("environment: ", parts.first, " is no flag of ", program));
    }
    settings[name->second] = {parts.second, parts.first};
  }
  return settings;
}

// "--name=value"; for a switch "--name" or nothing. InvalidArgument for a switch that is neither on nor off.
absl::Status Append(const std::string& name, bool takes_value, const Setting& setting, GatheredFlags& gathered) {
  gathered.origin[name] = setting.origin;
  if (takes_value) {
    gathered.arguments.push_back(absl::StrCat(name, "=", setting.value));
    return absl::OkStatus();
  }
  const bool from_file = absl::StrContains(setting.origin, ':');
  if (setting.value == "true" || setting.value == "1" || (from_file && setting.value.empty())) {
    gathered.arguments.push_back(name);
    return absl::OkStatus();
  }
  return setting.value == "false" || setting.value == "0"
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   absl::StrCat(setting.origin, ": ", name, " is true or false, not '", setting.value, "'"));
}

}  // namespace

std::string VariableOf(const std::string& program, const std::string& flag) {
  const std::string tail = flag == "--" ? "" : flag.substr(2);
  return absl::AsciiStrToUpper(absl::StrReplaceAll(absl::StrCat(program, "-", tail), {{"tools/", "hongbao_"}, {"-", "_"}}));
}

absl::StatusOr<GatheredFlags> GatherFlags(const CLI::App& app, const std::string& program, int argc, const char* const* argv) {
  const std::map<std::string, bool> flags = FlagsOf(app);
  std::map<std::string, std::string> given = Given(app, argc, argv);
  GatheredFlags gathered{.arguments = {argv + 1, argv + argc}, .ignored = {}, .origin = {}};
  if (given.contains("--help") || given.contains("--version")) {  // whatever else is wrong
    return gathered;
  }
  const absl::StatusOr<Settings> environment = FromEnvironment(program, flags, &gathered.ignored);
  if (!environment.ok()) {
    return environment.status();
  }
  const auto named = environment->find(kFlagsFile);
  const std::string path = given.contains(kFlagsFile)    ? given[kFlagsFile]
                           : named == environment->end() ? ""
                                                         : named->second.value;
  absl::StatusOr<Settings> file = path.empty() ? Settings{} : FromFile(path, flags);
  if (!file.ok()) {
    return file.status();
  }
  for (const auto& [name, takes_value] : flags) {
    const Settings& source = environment->contains(name) ? *environment : *file;
    const auto setting = source.find(name);
    if (given.contains(name) || setting == source.end()) {
      continue;
    }
    if (const absl::Status status = Append(name, takes_value, setting->second, gathered); !status.ok()) {
      return status;
    }
  }
  return gathered;
}

}  // namespace hongbao::cli
