#include "libhongbao/cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libhongbao/cli/exit_codes.h"
#include "libhongbao/cli/flag_sources.h"
#include "libhongbao/cli/help.h"
#include "libhongbao/cli/standard_streams.h"

namespace hongbao::cli {
namespace {

// Binds `flag` to `parse`, whose Status becomes CLI11's error text.
template <typename Parse>
CLI::Option* Bind(CLI::App& app, const std::string& flag, const std::string& help, const std::string& type,
                  const std::string& present, Parse parse) {
  CLI::Option* option = app.add_option_function<std::string>(
      flag,
      [flag, parse](const std::string& text) {
        if (const absl::Status status = parse(text); !status.ok()) {
          throw CLI::ValidationError(flag.substr(flag.find("--")), std::string(status.message()));
        }
      },
      help);
  option->type_name(type);
  if (!present.empty()) {
    option->default_str(present);
  }
  return option;
}

absl::Status CheckLimits(int64_t value, Limits limits, std::string (*show)(int64_t)) {
  if (value < limits.min) {
    return absl::InvalidArgumentError(absl::StrCat("must be at least ", show(limits.min), ", not ", show(value)));
  }
  if (value > limits.max) {
    return absl::InvalidArgumentError(absl::StrCat("must be at most ", show(limits.max), ", not ", show(value)));
  }
  if (value % limits.step != 0) {
    return absl::InvalidArgumentError(absl::StrCat("must be a multiple of ", show(limits.step), ", not ", show(value)));
  }
  return absl::OkStatus();
}

std::string ShowCount(int64_t value) { return std::to_string(value); }
std::string ShowNs(int64_t value_ns) { return DurationToString(value_ns); }
std::string ShowMs(int64_t value_ms) { return DurationToString(value_ms * 1'000'000); }

template <typename Int>
CLI::Option* BindNumber(CLI::App& app, const std::string& flag, Int* value, const std::string& help, const std::string& type,
                        Limits limits, absl::StatusOr<int64_t> (*parse)(absl::string_view), std::string (*show)(int64_t)) {
  return Bind(app, flag, help, type, show(static_cast<int64_t>(*value)), [=](const std::string& text) -> absl::Status {
    const absl::StatusOr<int64_t> parsed = parse(text);
    if (!parsed.ok()) {
      return parsed.status();
    }
    if (const absl::Status status = CheckLimits(*parsed, limits, show); !status.ok()) {
      return status;
    }
    *value = static_cast<Int>(*parsed);
    return absl::OkStatus();
  });
}

template <typename Value>
CLI::Option* BindValue(CLI::App& app, const std::string& flag, Value* value, const std::string& help, const std::string& type,
                       const std::string& present, absl::StatusOr<Value> (*parse)(absl::string_view)) {
  return Bind(app, flag, help, type, present, [=](const std::string& text) -> absl::Status {
    absl::StatusOr<Value> parsed = parse(text);
    if (parsed.ok()) {
      *value = *std::move(parsed);
      return absl::OkStatus();
    }
    return parsed.status();
  });
}

int Hint(const std::string& program) {
  std::fprintf(stderr, "Run '%s --help' for the options.\n", program.c_str());
  return kWrongUsage;
}

}  // namespace

CLI::Option* AddCount(CLI::App& app, const std::string& flag, int64_t* value, const std::string& help, Limits limits) {
  return BindNumber(app, flag, value, help, "N", limits, &ParseCount, &ShowCount);
}

CLI::Option* AddCount(CLI::App& app, const std::string& flag, uint32_t* value, const std::string& help, Limits limits) {
  limits.max = std::min(limits.max, int64_t{std::numeric_limits<uint32_t>::max()});
  return BindNumber(app, flag, value, help, "N", limits, &ParseCount, &ShowCount);
}

CLI::Option* AddCountOr(CLI::App& app, const std::string& flag, uint32_t* value, const std::string& word, bool* is_word,
                        const std::string& help, Limits limits) {
  limits.max = std::min(limits.max, int64_t{std::numeric_limits<uint32_t>::max()});
  return Bind(app, flag, help, "N|" + word, ShowCount(*value), [=](const std::string& text) -> absl::Status {
    *is_word = text == word;
    if (*is_word) {
      return absl::OkStatus();
    }
    const absl::StatusOr<int64_t> parsed = ParseCount(text);
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(std::string(parsed.status().message()), ", or ", word));
    }
    const absl::Status status = CheckLimits(*parsed, limits, &ShowCount);
    if (status.ok()) {
      *value = static_cast<uint32_t>(*parsed);
    }
    return status;
  });
}

CLI::Option* AddDurationNs(CLI::App& app, const std::string& flag, int64_t* value_ns, const std::string& help, Limits limits_ns) {
  return BindNumber(app, flag, value_ns, help, "TIME", limits_ns, &ParseDurationNs, &ShowNs);
}

CLI::Option* AddDurationMs(CLI::App& app, const std::string& flag, int64_t* value_ms, const std::string& help, Limits limits_ms) {
  return BindNumber(app, flag, value_ms, help, "TIME", limits_ms, &ParseDurationMs, &ShowMs);
}

CLI::Option* AddHostPort(CLI::App& app, const std::string& flag, HostPort* value, const std::string& help) {
  return BindValue(app, flag, value, help, "HOST:PORT", value->host.empty() ? "" : value->ToString(), &ParseHostPort);
}

CLI::Option* AddUsers(CLI::App& app, const std::string& flag, UserRange* value, const std::string& help) {
  const std::string present = value->total == 0 ? "" : absl::StrCat(value->first, "-", value->last, "/", value->total);
  return BindValue(app, flag, value, help, "A-B/TOTAL", present, &ParseUsers);
}

CLI::Option* AddSources(CLI::App& app, const std::string& flag, Sources* value, const std::string& help) {
  return BindValue(app, flag, value, help, "ADDRESSES", "", &ParseSources);
}

CLI::Option* AddText(CLI::App& app, const std::string& flag, std::string* value, const std::string& help) {
  return Bind(app, flag, help, "TEXT", *value, [=](const std::string& text) {
    *value = text;
    return absl::OkStatus();
  });
}

CLI::Option* AddAdminHosts(CLI::App& app, std::vector<std::string>* hosts) {
  const std::string help =
      "names by which browsers and proxies may ask --admin, with commas between, beside addresses and localhost";
  return Bind(app, "--admin-hosts", help, "NAMES", "", [=](const std::string& text) -> absl::Status {
    hosts->clear();
    for (const absl::string_view part : absl::StrSplit(text, ',')) {
      std::string name = absl::AsciiStrToLower(absl::StripAsciiWhitespace(part));
      const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
      });
      if (!is_name) {
        return absl::InvalidArgumentError(
            absl::StrCat("'", std::string(part), "' is no name of a host; write it like metrics.example.com, without port"));
      }
      hosts->push_back(std::move(name));
    }
    return absl::OkStatus();
  });
}

CLI::Option* AddFile(CLI::App& app, const std::string& flag, std::string* value, const std::string& help) {
  return AddText(app, flag, value, help)->type_name("FILE");
}

CLI::Option* AddFailIf(CLI::App& app, std::vector<Threshold>* conditions, const std::string& help) {
  return app
      .add_option_function<std::string>(
          "--fail-if",
          [conditions](const std::string& text) {
            absl::StatusOr<std::vector<Threshold>> thresholds = ParseThresholds(text);
            if (!thresholds.ok()) {
              throw CLI::ValidationError("--fail-if", std::string(thresholds.status().message()));
            }
            *conditions = *std::move(thresholds);
          },
          absl::StrCat(help, ". Without it ", kStandardConditions,
                       " has to hold; a condition with one of these keys takes that one's place"))
      ->type_name("CONDITIONS");
}

CLI::Option* AddSwitch(CLI::App& app, const std::string& flag, bool* value, const std::string& help) {
  return app.add_flag(flag, *value, help);
}

absl::optional<int> ParseCommandLine(CLI::App& app, const std::string& program, int argc, const char* const* argv) {
  HoldStandardStreams();
  SetUpHelp(app, program, Version());
  std::string flags_file;  // GatherFlags looks into it
  AddFile(app, "--flags-file", &flags_file,
          absl::StrCat("more flags, one a line as they are typed here; ", VariableOf(program, "--workers"),
                       " and the like in the environment go before it, the command line before both"));
  absl::StatusOr<GatheredFlags> gathered = GatherFlags(app, program, argc, argv);
  if (!gathered.ok()) {
    return UsageError(program, std::string(gathered.status().message()));
  }
  if (!gathered->ignored.empty()) {
    std::fprintf(stderr, "%s: not flags but what a container is told of a service, ignored: %s\n", program.c_str(),
                 absl::StrJoin(gathered->ignored, ", ").c_str());
  }
  std::reverse(gathered->arguments.begin(), gathered->arguments.end());  // as CLI11 wants them
  try {
    app.parse(std::move(gathered->arguments));
  } catch (const CLI::Success& success) {  // --help, --version: CLI11 prints them
    std::ostringstream text;
    app.exit(success, text, std::cerr);
    WriteOut(stdout, text.str());
    return ExitCodeOfOutput(0);
  } catch (const CLI::ParseError& error) {
    const std::string reason = error.what();
    const auto from = gathered->origin.find(reason.substr(0, reason.find(':')));
    return UsageError(program, from == gathered->origin.end() ? reason : absl::StrCat(reason, " (", from->second, ")"));
  }
  return absl::nullopt;
}

int UsageError(const std::string& program, const std::string& reason) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), reason.c_str());
  return Hint(program);
}

const char* Version() { return HONGBAO_VERSION; }

std::string DurationToString(int64_t duration_ns) {
  constexpr std::array<std::pair<int64_t, const char*>, 6> kUnits = {
      {{3'600'000'000'000, "h"}, {60'000'000'000, "m"}, {1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}}};
  if (duration_ns == 0) {
    return "0s";
  }
  for (const auto& [factor, name] : kUnits) {
    if (duration_ns % factor == 0) {
      return absl::StrCat(duration_ns / factor, name);
    }
  }
  return absl::StrCat(duration_ns, "ns");
}

}  // namespace hongbao::cli
