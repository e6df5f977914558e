#include "client/profile.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/profiles.h"  // made by meson: kGala2015, the text of tools/profiles/gala2015
#include "libhongbao/cli/flags.h"

namespace hongbao::client {
namespace {

constexpr char kExample[] = "'0s:0,30s:60k,5m:60k'";
constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kFileBytesMax = 64 << 20;
constexpr int64_t kGalaSeconds = 4 * 3'600;

absl::Status Wrong(absl::string_view text, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("'", text.substr(0, 60), "': ", reason));
}

// "5m10s": durations one behind the other, whole seconds together.
absl::StatusOr<int64_t> ParseSeconds(absl::string_view text) {
  int64_t total_ns = 0;
  size_t at = 0;
  const auto is_letter = [&](size_t i) { return absl::ascii_isalpha(static_cast<unsigned char>(text[i])); };
  do {
    size_t end = at;
    while (end < text.size() && !is_letter(end)) {
      ++end;
    }
    while (end < text.size() && is_letter(end)) {
      ++end;
    }
    const absl::StatusOr<int64_t> piece_ns = cli::ParseDurationNs(text.substr(at, end - at));
    if (!piece_ns.ok()) {
      return piece_ns.status();
    }
    if (*piece_ns > Profile::kSecondsMax * kNsPerSecond || total_ns > Profile::kSecondsMax * kNsPerSecond - *piece_ns) {
      return Wrong(text, "a profile is at most 24h long");
    }
    total_ns += *piece_ns;
    at = end;
  } while (at < text.size());
  if (total_ns % kNsPerSecond != 0) {
    return Wrong(text, "want whole seconds");
  }
  return total_ns / kNsPerSecond;
}

absl::StatusOr<Profile::Point> ParsePoint(absl::string_view text, absl::string_view time, absl::string_view qps) {
  const absl::StatusOr<int64_t> second = ParseSeconds(absl::StripAsciiWhitespace(time));
  if (!second.ok()) {
    return Wrong(text, second.status().message());
  }
  const absl::StatusOr<int64_t> count = cli::ParseCount(absl::StripAsciiWhitespace(qps));
  if (!count.ok() || *count > Profile::kQpsMax) {
    return Wrong(text, count.ok() ? absl::StrCat("at most ", Profile::kQpsMax, " requests a second")
                                  : std::string(count.status().message()));
  }
  return Profile::Point{*second, static_cast<uint32_t>(*count)};
}

absl::Status CheckPoints(const std::vector<Profile::Point>& points) {
  if (points.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("a profile has at least one point, e.g. ", kExample));
  }
  if (points.front().second != 0) {
    return absl::InvalidArgumentError(absl::StrCat("the first point is at ", points.front().second, "s, it has to be at 0s"));
  }
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i].second > Profile::kSecondsMax || points[i].qps > Profile::kQpsMax) {
      return absl::InvalidArgumentError("a profile is at most 24h long, its rates at most 1,000,000,000");
    }
    if (i > 0 && points[i].second < points[i - 1].second) {
      return absl::InvalidArgumentError(
          absl::StrCat("the point at ", points[i].second, "s comes behind the one at ", points[i - 1].second, "s"));
    }
    if (i > 1 && points[i].second == points[i - 2].second) {
      return absl::InvalidArgumentError(
          absl::StrCat("three points at ", points[i].second, "s: two are a jump, a third means nothing"));
    }
  }
  return absl::OkStatus();
}

// The curve at each of `seconds`, its own length stretched over them. With seconds up to 86,400 and rates up to 1e9
// nothing here leaves 64 bits: unstretched, the factors `seconds` fall out.
std::vector<uint32_t> RatesOf(const std::vector<Profile::Point>& points, int64_t seconds) {
  const int64_t length = points.back().second;
  const int64_t factor = seconds == length ? 1 : seconds;  // times are in 1/factor of a second of the curve
  const int64_t advance = seconds == length ? 1 : length;
  std::vector<uint32_t> rates;
  size_t i = 0;
  for (int64_t second = 0; second < seconds; ++second) {
    const int64_t at = second * advance;
    while (i + 1 < points.size() && points[i + 1].second * factor <= at) {
      ++i;
    }
    const Profile::Point& from = points[i];
    const Profile::Point& to = points[i + 1];  // there is one: at < length * factor
    const int64_t span = (to.second - from.second) * factor;
    const int64_t into = at - from.second * factor;
    // At most 1e9 * 86,400 * 86,400 = 7.5e18, below 2^63.
    const int64_t sum = int64_t{from.qps} * (span - into) + int64_t{to.qps} * into;
    rates.push_back(static_cast<uint32_t>(sum / span + (sum % span * 2 >= span ? 1 : 0)));
  }
  return rates;
}

// As above, but of a curve that is pressed into fewer seconds each is the mean of those it stands for, or a wave between two of
// them would be lost.
std::vector<uint32_t> StretchedRatesOf(const std::vector<Profile::Point>& points, int64_t seconds) {
  const int64_t length = points.back().second;
  if (seconds >= length) {
    return RatesOf(points, seconds);
  }
  const std::vector<uint32_t> own = RatesOf(points, length);
  std::vector<uint32_t> rates;
  for (int64_t second = 0; second < seconds; ++second) {
    const int64_t begin = second * length / seconds, end = (second + 1) * length / seconds;
    const uint64_t sum = std::accumulate(own.begin() + begin, own.begin() + end, uint64_t{0});
    const auto count = static_cast<uint64_t>(end - begin);
    rates.push_back(static_cast<uint32_t>((2 * sum + count) / (2 * count)));
  }
  return rates;
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::NotFoundError(absl::StrCat(path, " is no file"));
  }
  if (info.st_size > kFileBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is larger than 64 MiB: no profile"));
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file.good()) {
    return absl::UnavailableError(absl::StrCat("cannot read ", path));
  }
  return text.str();
}

absl::StatusOr<Profile> FromFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadText(path);
  if (!text.ok()) {
    return text.status();
  }
  const absl::string_view first_line = absl::string_view(*text).substr(0, text->find('\n'));
  absl::StatusOr<Profile> profile;
  if (absl::StrContains(first_line, "unix_s")) {
    profile = ParseSeriesCsv(*text);
  } else {
    const absl::StatusOr<std::vector<Profile::Point>> points = ParsePointLines(*text);
    profile = points.ok() ? Profile::FromPoints(*points) : points.status();
  }
  return profile.ok() ? profile : absl::InvalidArgumentError(absl::StrCat(path, ": ", profile.status().message()));
}

size_t ColumnOf(const std::vector<absl::string_view>& header, absl::string_view name) {
  return static_cast<size_t>(std::find(header.begin(), header.end(), name) - header.begin());
}

}  // namespace

absl::StatusOr<Profile> Profile::FromPoints(const std::vector<Point>& points) {
  if (absl::Status status = CheckPoints(points); !status.ok()) {
    return status;
  }
  Profile profile;
  profile.rates_ = RatesOf(points, points.back().second);
  profile.last_ = points.back().qps;
  return profile;
}

absl::StatusOr<Profile> Profile::FromRates(std::vector<uint32_t> rates) {
  if (rates.empty() || rates.size() > kSecondsMax || *std::max_element(rates.begin(), rates.end()) > kQpsMax) {
    return absl::InvalidArgumentError("a profile is 1s to 24h long, its rates at most 1,000,000,000");
  }
  Profile profile;
  profile.rates_ = std::move(rates);
  return profile;
}

absl::StatusOr<Profile> Profile::Scaled(const std::vector<Point>& points, int64_t seconds, uint32_t peak) {
  if (absl::Status status = CheckPoints(points); !status.ok()) {
    return status;
  }
  if (seconds < 1 || seconds > kSecondsMax || points.back().second < 1 || peak < 1 || peak > kQpsMax) {
    return absl::InvalidArgumentError("a profile that is scaled is 1s to 24h long, with a peak of at least 1 request a second");
  }
  Profile profile;
  profile.rates_ = StretchedRatesOf(points, seconds);
  const uint64_t highest = *std::max_element(profile.rates_.begin(), profile.rates_.end());
  if (highest == 0) {
    return absl::InvalidArgumentError("no second of it has a request");
  }
  for (uint32_t& rate : profile.rates_) {
    rate = static_cast<uint32_t>((uint64_t{rate} * peak * 2 + highest) / (2 * highest));  // below 2^62
  }
  return profile;
}

uint32_t Profile::QpsAt(int64_t second) const { return second < seconds() ? rates_[static_cast<size_t>(second)] : last_; }

uint32_t Profile::Peak(int64_t seconds) const {
  uint32_t peak = 0;
  for (int64_t second = 0; second < seconds; ++second) {
    peak = std::max(peak, QpsAt(second));
  }
  return peak;
}

uint64_t Profile::Requests(int64_t seconds) const {
  uint64_t requests = 0;
  for (int64_t second = 0; second < seconds; ++second) {
    requests += QpsAt(second);
  }
  return requests;
}

absl::StatusOr<std::vector<Profile::Step>> Profile::Steps(int64_t seconds) const {
  std::vector<Step> steps;
  for (int64_t second = 0; second < std::min(seconds, this->seconds() + 1); ++second) {
    if (steps.empty() || steps.back().qps != QpsAt(second)) {
      steps.push_back({second, QpsAt(second)});
    }
  }
  if (steps.size() > kStepsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the profile changes its rate ", steps.size(), " times, ", kStepsMax, " at most: make it coarser"));
  }
  return steps;
}

absl::StatusOr<std::vector<Profile::Point>> ParsePoints(absl::string_view text) {
  std::vector<Profile::Point> points;
  for (const absl::string_view piece : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> sides = absl::StrSplit(piece, absl::MaxSplits(':', 1));
    if (!absl::StrContains(piece, ':')) {
      return Wrong(piece, absl::StrCat("want TIME:QPS, e.g. ", kExample));
    }
    const absl::StatusOr<Profile::Point> point = ParsePoint(piece, sides.first, sides.second);
    if (!point.ok()) {
      return point.status();
    }
    points.push_back(*point);
  }
  return points;
}

absl::StatusOr<std::vector<Profile::Point>> ParsePointLines(absl::string_view text) {
  std::vector<Profile::Point> points;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) {
      continue;
    }
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::ByAnyChar(": \t"), absl::SkipEmpty());
    absl::StatusOr<Profile::Point> point =
        parts.size() == 2 ? ParsePoint(line, parts[0], parts[1]) : Wrong(line, "want TIME QPS, e.g. 5m10s 60k");
    if (!point.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", point.status().message()));
    }
    points.push_back(*point);
  }
  return points;
}

absl::StatusOr<Profile> ParseSeriesCsv(absl::string_view text) {
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipWhitespace());
  const std::vector<absl::string_view> header = absl::StrSplit(lines.empty() ? "" : absl::StripAsciiWhitespace(lines[0]), ',');
  const size_t second_at = ColumnOf(header, "unix_s"), target_at = ColumnOf(header, "target"), role_at = ColumnOf(header, "role");
  if (second_at == header.size() || target_at == header.size()) {
    return absl::InvalidArgumentError("want the columns unix_s and target in the first line");
  }
  std::map<int64_t, int64_t> targets;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<absl::string_view> cells = absl::StrSplit(absl::StripAsciiWhitespace(lines[i]), ',');
    int64_t second = 0, target = 0;
    if (cells.size() != header.size() || !absl::SimpleAtoi(cells[second_at], &second) || second < 0) {
      return absl::InvalidArgumentError(absl::StrCat("row ", i, ": want ", header.size(), " columns, unix_s a whole number"));
    }
    if (cells[target_at].empty() || (role_at < header.size() && cells[role_at] != "client")) {
      continue;
    }
    if (!absl::SimpleAtoi(cells[target_at], &target) || target < 0 || target > Profile::kQpsMax) {
      return absl::InvalidArgumentError(absl::StrCat("row ", i, ": target is no rate"));
    }
    if (target > 0) {
      targets[second] = std::min<int64_t>(targets[second] + target, int64_t{Profile::kQpsMax} + 1);
    }
  }
  if (targets.empty()) {
    return absl::InvalidArgumentError("no second has a target above 0");
  }
  const int64_t first = targets.begin()->first, last = targets.rbegin()->first;
  if (last - first >= Profile::kSecondsMax) {
    return absl::InvalidArgumentError("a profile is at most 24h long");
  }
  std::vector<uint32_t> rates(static_cast<size_t>(last - first + 1));
  for (const auto& [second, target] : targets) {
    rates[static_cast<size_t>(second - first)] = static_cast<uint32_t>(target);
  }
  return Profile::FromRates(std::move(rates));
}

bool IsProfileName(absl::string_view text) { return text == "gala2015"; }

absl::StatusOr<Profile> LoadProfile(const std::string& text, const ProfileScale& scale) {
  if (IsProfileName(text)) {
    const absl::StatusOr<std::vector<Profile::Point>> points = ParsePointLines(kGala2015);
    return !points.ok() ? points.status()
                        : Profile::Scaled(*points, scale.seconds == 0 ? kGalaSeconds : scale.seconds, scale.peak);
  }
  if (scale.peak != 0) {
    return absl::InvalidArgumentError("points and files say the rate themselves: without --qps, which is for names (gala2015)");
  }
  struct stat info {};
  if (stat(text.c_str(), &info) == 0) {
    return FromFile(text);
  }
  if (!absl::StrContains(text, ':')) {
    return Wrong(text, absl::StrCat("is no file and no name; want gala2015, a file, or points like ", kExample));
  }
  const absl::StatusOr<std::vector<Profile::Point>> points = ParsePoints(text);
  return points.ok() ? Profile::FromPoints(*points) : points.status();
}

}  // namespace hongbao::client
