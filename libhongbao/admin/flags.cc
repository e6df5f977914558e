#include "libhongbao/admin/flags.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace hongbao::admin {
namespace {

absl::Status Wrong(absl::string_view text, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' ", reason));
}

struct Unit {
  const char* name;
  int64_t factor;
};

constexpr std::array<Unit, 7> kCountUnits = {{{"", 1},
                                              {"k", 1'000},
                                              {"K", 1'000},
                                              {"m", 1'000'000},
                                              {"M", 1'000'000},
                                              {"G", 1'000'000'000},
                                              {"g", 1'000'000'000}}};
constexpr std::array<Unit, 6> kTimeUnits = {{{"ns", 1},
                                             {"us", 1'000},
                                             {"ms", 1'000'000},
                                             {"s", 1'000'000'000},
                                             {"m", 60'000'000'000},
                                             {"h", 3'600'000'000'000}}};

// "12", "1.5", "20,000" and what follows the number.
struct Decimal {
  int64_t whole = 0;
  int64_t fraction = 0;        // digits after the point
  int64_t fraction_scale = 1;  // 10^their number
  absl::string_view unit;
};

// Commas must part groups of three digits, as people write them; anything else is more likely a list or a European
// decimal.
bool StripCommas(absl::string_view digits, std::string* stripped) {
  const std::vector<absl::string_view> groups = absl::StrSplit(digits, ',');
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups.size() > 1 && (i == 0 ? groups[i].empty() || groups[i].size() > 3 : groups[i].size() != 3)) {
      return false;
    }
    stripped->append(groups[i].data(), groups[i].size());
  }
  return true;
}

bool SplitDecimal(absl::string_view text, Decimal* decimal) {
  const auto part_end = [&](size_t at, bool commas) {
    while (at < text.size() &&
           (absl::ascii_isdigit(static_cast<unsigned char>(text[at])) || (commas && text[at] == ','))) {
      ++at;
    }
    return at;
  };
  const size_t whole_end = part_end(0, true);
  std::string whole;
  if (whole_end == 0 || !StripCommas(text.substr(0, whole_end), &whole) || !absl::SimpleAtoi(whole, &decimal->whole)) {
    return false;
  }
  size_t end = whole_end;
  if (end < text.size() && text[end] == '.') {
    end = part_end(whole_end + 1, false);
    const absl::string_view digits = text.substr(whole_end + 1, end - whole_end - 1);
    if (digits.empty() || digits.size() > 15 || !absl::SimpleAtoi(digits, &decimal->fraction)) {
      return false;
    }
    for (size_t i = 0; i < digits.size(); ++i) {
      decimal->fraction_scale *= 10;
    }
  }
  decimal->unit = text.substr(end);
  return true;
}

enum class ScaleError { kNone, kTooLarge, kNotWhole };

ScaleError Scale(const Decimal& decimal, int64_t factor, int64_t* value) {
  int64_t whole = 0;
  int64_t fraction = 0;
  if (__builtin_mul_overflow(decimal.whole, factor, &whole) ||
      __builtin_mul_overflow(decimal.fraction, factor, &fraction)) {
    return ScaleError::kTooLarge;
  }
  if (fraction % decimal.fraction_scale != 0) {
    return ScaleError::kNotWhole;
  }
  return __builtin_add_overflow(whole, fraction / decimal.fraction_scale, value) ? ScaleError::kTooLarge
                                                                                 : ScaleError::kNone;
}

// `text` as a number of the smallest unit; `example` ends each message.
template <size_t n>
absl::StatusOr<int64_t> ParseWithUnit(absl::string_view text, const std::array<Unit, n>& units, absl::string_view what,
                                      absl::string_view example) {
  Decimal decimal;
  if (!SplitDecimal(text, &decimal)) {
    return Wrong(text, absl::StrCat("is not ", what, "; write it like ", example));
  }
  for (const Unit& unit : units) {
    if (decimal.unit == unit.name) {
      int64_t value = 0;
      switch (Scale(decimal, unit.factor, &value)) {
        case ScaleError::kNone:
          return value;
        case ScaleError::kTooLarge:
          return Wrong(text, "is too large");
        case ScaleError::kNotWhole:
          return Wrong(text, absl::StrCat("is not a whole number of the smallest unit; write it like ", example));
      }
    }
  }
  if (decimal.unit.empty()) {
    return Wrong(text, absl::StrCat("has no unit; write it like ", example));
  }
  return Wrong(text, absl::StrCat("has the unknown unit '", decimal.unit, "'; write it like ", example));
}

constexpr absl::string_view kDurationExample = "5s, 30ms, 100us, 2m or 1h";

bool ParseIpv4(absl::string_view text, uint32_t* address) {
  in_addr parsed{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &parsed) != 1) {
    return false;
  }
  *address = ntohl(parsed.s_addr);
  return true;
}

absl::StatusOr<uint32_t> ParseUserId(absl::string_view whole, absl::string_view part) {
  const absl::StatusOr<int64_t> id = ParseCount(part);
  if (!id.ok() || *id > std::numeric_limits<uint32_t>::max()) {
    return Wrong(whole, absl::StrCat("is not a user range: '", part,
                                     "' is no number up to 4294967295; write it like 0-499999/1M or 20k"));
  }
  return static_cast<uint32_t>(*id);
}

// One item of a source list.
absl::StatusOr<Ipv4Sources::Range> ParseSource(absl::string_view item) {
  const absl::Status wrong = Wrong(
      item,
      "is not an IPv4 source; write it like 10.0.0.1, 10.0.0.1-10.0.0.9 or 127.0.0.0/8, several parted by commas");
  uint32_t first = 0;
  uint32_t last = 0;
  if (const size_t slash = item.find('/'); slash != absl::string_view::npos) {
    uint32_t bits = 0;
    if (!ParseIpv4(item.substr(0, slash), &first) || !absl::SimpleAtoi(item.substr(slash + 1), &bits) || bits > 32 ||
        bits < 1) {
      return wrong;
    }
    const uint32_t host_mask = bits == 32 ? 0 : (uint32_t{1} << (32 - bits)) - 1;
    first &= ~host_mask;
    last = first | host_mask;
    if (bits <= 30) {
      ++first;
      --last;
    }
  } else if (const size_t dash = item.find('-'); dash != absl::string_view::npos) {
    if (!ParseIpv4(item.substr(0, dash), &first) || !ParseIpv4(item.substr(dash + 1), &last) || last < first) {
      return wrong;
    }
  } else {
    if (!ParseIpv4(item, &first)) {
      return wrong;
    }
    last = first;
  }
  if (last - first == std::numeric_limits<uint32_t>::max()) {
    return wrong;
  }
  return Ipv4Sources::Range{.first = first, .count = last - first + 1};
}

}  // namespace

absl::StatusOr<int64_t> ParseCount(absl::string_view text) {
  return ParseWithUnit(text, kCountUnits, "a count", "20000, 60k or 1M");
}

absl::StatusOr<int64_t> ParseDurationNs(absl::string_view text) {
  if (text == "0") {
    return 0;
  }
  return ParseWithUnit(text, kTimeUnits, "a duration", kDurationExample);
}

absl::StatusOr<int64_t> ParseDurationMs(absl::string_view text) {
  const absl::StatusOr<int64_t> ns = ParseDurationNs(text);
  if (!ns.ok()) {
    return ns;
  }
  if (*ns % 1'000'000 != 0) {
    return Wrong(text, "is not a whole number of milliseconds; write it like 30ms or 5s");
  }
  return *ns / 1'000'000;
}

bool HostPort::IsLoopback() const {
  uint32_t address = 0;
  return host == "::1" || (ParseIpv4(host, &address) && address >> 24 == 127);
}

std::string HostPort::ToString() const {
  return IsIpv6() ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos) {
    return Wrong(text, "has no port; write it like 127.0.0.1:1025 (port 0 picks a free one)");
  }
  const absl::string_view digits = text.substr(colon + 1);
  if (digits.empty() || digits.size() > 5 || !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return Wrong(text, absl::StrCat("has the wrong port '", digits, "': a port is a number from 0 to 65535"));
  }
  absl::string_view host = text.substr(0, colon);
  HostPort result{.host = std::string(host), .port = static_cast<uint16_t>(port)};
  if (absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]")) {
    in6_addr parsed{};
    result.host = std::string(host);
    if (inet_pton(AF_INET6, result.host.c_str(), &parsed) != 1) {
      return Wrong(text, "is not an IPv6 address in brackets; write it like [::1]:1025");
    }
    return result;
  }
  if (result.host == "localhost") {
    result.host = "127.0.0.1";
  } else if (result.host.empty()) {
    result.host = "0.0.0.0";
  }
  uint32_t address = 0;
  if (!ParseIpv4(result.host, &address)) {
    return Wrong(text, "has no numeric address (names are not resolved); write it like 127.0.0.1:1025 or [::1]:1025");
  }
  return result;
}

absl::StatusOr<UserRange> ParseUsers(absl::string_view text) {
  const size_t slash = text.find('/');
  const size_t dash = text.find('-');
  UserRange range;
  if (slash == absl::string_view::npos && dash == absl::string_view::npos) {
    const absl::StatusOr<uint32_t> total = ParseUserId(text, text);
    if (!total.ok()) {
      return total.status();
    }
    if (*total == 0) {
      return Wrong(text, "users are none at all; write it like 20k or 0-499999/1M");
    }
    return UserRange{.first = 0, .last = *total - 1, .total = *total};
  }
  if (slash == absl::string_view::npos || dash == absl::string_view::npos || dash > slash) {
    return Wrong(text, "is not a user range; write it like 0-499999/1M (first-last/total, last included) or 20k");
  }
  const std::array<std::pair<absl::string_view, uint32_t*>, 3> parts = {
      {{text.substr(0, dash), &range.first},
       {text.substr(dash + 1, slash - dash - 1), &range.last},
       {text.substr(slash + 1), &range.total}}};
  for (const auto& [part, field] : parts) {
    const absl::StatusOr<uint32_t> id = ParseUserId(text, part);
    if (!id.ok()) {
      return id.status();
    }
    *field = *id;
  }
  if (range.first > range.last) {
    return Wrong(text, "is not a user range: its first user comes after its last");
  }
  if (range.last >= range.total) {
    return Wrong(text, absl::StrCat("is not a user range: ids count from 0, so the last of ", range.total, " users is ",
                                    int64_t{range.total} - 1));
  }
  return range;
}

uint64_t Ipv4Sources::Count() const {
  uint64_t count = 0;
  for (const Range& range : ranges) {
    count += range.count;
  }
  return count;
}

uint32_t Ipv4Sources::At(uint64_t i) const {
  for (const Range& range : ranges) {
    if (i < range.count) {
      return range.first + static_cast<uint32_t>(i);
    }
    i -= range.count;
  }
  return 0;
}

absl::StatusOr<Ipv4Sources> ParseIpv4Sources(absl::string_view text) {
  Ipv4Sources sources;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    absl::StatusOr<Ipv4Sources::Range> range = ParseSource(item);
    if (!range.ok()) {
      return range.status();
    }
    sources.ranges.push_back(*range);
  }
  return sources;
}

std::string Ipv4ToString(uint32_t address_host_order) {
  return absl::StrCat(address_host_order >> 24, ".", address_host_order >> 16 & 0xff, ".",
                      address_host_order >> 8 & 0xff, ".", address_host_order & 0xff);
}

}  // namespace hongbao::admin
