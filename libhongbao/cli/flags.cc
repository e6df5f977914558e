#include "libhongbao/cli/flags.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"

namespace hongbao::cli {
namespace {

absl::Status Wrong(absl::string_view text, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' ", reason));
}

struct Unit {
  const char* name;
  int64_t factor;
};

constexpr std::array<Unit, 7> kCountUnits = {
    {{"", 1}, {"k", 1'000}, {"K", 1'000}, {"m", 1'000'000}, {"M", 1'000'000}, {"G", 1'000'000'000}, {"g", 1'000'000'000}}};
constexpr std::array<Unit, 6> kTimeUnits = {
    {{"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}}};

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
    while (at < text.size() && (absl::ascii_isdigit(static_cast<unsigned char>(text[at])) || (commas && text[at] == ','))) {
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
  if (__builtin_mul_overflow(decimal.whole, factor, &whole) || __builtin_mul_overflow(decimal.fraction, factor, &fraction)) {
    return ScaleError::kTooLarge;
  }
  if (fraction % decimal.fraction_scale != 0) {
    return ScaleError::kNotWhole;
  }
  return __builtin_add_overflow(whole, fraction / decimal.fraction_scale, value) ? ScaleError::kTooLarge : ScaleError::kNone;
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

absl::StatusOr<uint32_t> ParseUserId(absl::string_view whole, absl::string_view part) {
  const absl::StatusOr<int64_t> id = ParseCount(part);
  if (!id.ok() || *id > std::numeric_limits<uint32_t>::max()) {
    return Wrong(
        whole, absl::StrCat("is not a user range: '", part, "' is no number up to 4294967295; write it like 0-499999/1M or 20k"));
  }
  return static_cast<uint32_t>(*id);
}

// The bytes of an address: 4 or 16.
absl::Span<const uint8_t> BytesOf(const SocketAddress& address) {
  return address.family() == AF_INET6
             ? absl::MakeConstSpan(reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr.s6_addr, 16)
             : absl::MakeConstSpan(
                   reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr), 4);
}

// How many addresses from `first` to `last`, both of them, 2^32 - 1 at most; 0 when they are no range.
uint32_t Between(const SocketAddress& first, const SocketAddress& last) {
  if (!first.given() || first.family() != last.family()) {
    return 0;
  }
  const absl::Span<const uint8_t> low = BytesOf(first), high = BytesOf(last);
  if (std::lexicographical_compare(high.begin(), high.end(), low.begin(), low.end())) {
    return 0;
  }
  unsigned __int128 distance = 0;
  for (size_t i = 0; i < low.size(); ++i) {
    distance = (distance << 8) + high[i] - low[i];
  }
  constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();
  return distance >= kMost ? kMost : static_cast<uint32_t>(distance) + 1;
}

// The first address of the block that `address` lies in.
SocketAddress BlockStart(const SocketAddress& address, uint32_t bits) {
  const absl::Span<const uint8_t> bytes = BytesOf(address);
  std::array<uint8_t, 16> masked{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint32_t kept = std::min<uint32_t>(bits - std::min<uint32_t>(bits, static_cast<uint32_t>(8 * i)), 8);
    masked[i] = static_cast<uint8_t>(bytes[i] & ~(0xffu >> kept));
  }
  if (address.family() == AF_INET6) {
    in6_addr six;
    std::memcpy(&six, masked.data(), sizeof(six));
    return SocketAddress::Ipv6(six);
  }
  return SocketAddress::Ipv4(uint32_t{masked[0]} << 24 | uint32_t{masked[1]} << 16 | uint32_t{masked[2]} << 8 | masked[3]);
}

// "10.0.0.0/24".
Sources::Range ParseBlock(absl::string_view network, absl::string_view prefix) {
  const SocketAddress address = ParseAddress(network);
  const uint32_t width = address.family() == AF_INET6 ? 128 : 32;
  uint32_t bits = 0;
  if (!address.given() || !absl::SimpleAtoi(prefix, &bits) || bits > width || bits < 1) {
    return {};
  }
  const SocketAddress first = BlockStart(address, bits);
  const uint32_t free_bits = width - bits;
  const uint32_t count = free_bits >= 32 ? std::numeric_limits<uint32_t>::max() : uint32_t{1} << free_bits;
  const bool ends_left_out = free_bits >= 2;
  if (width == 128) {
    return {.first = ends_left_out ? first.Plus(1) : first, .count = count - (ends_left_out ? 1 : 0)};
  }
  return {.first = ends_left_out ? first.Plus(1) : first, .count = count - (ends_left_out ? 2 : 0)};
}

// One item of a source list.
absl::StatusOr<Sources::Range> ParseSource(absl::string_view item) {
  Sources::Range range;
  if (const size_t slash = item.find('/'); slash != absl::string_view::npos) {
    range = ParseBlock(item.substr(0, slash), item.substr(slash + 1));
  } else if (const size_t dash = item.find('-'); dash != absl::string_view::npos) {
    range.first = ParseAddress(item.substr(0, dash));
    range.count = Between(range.first, ParseAddress(item.substr(dash + 1)));
    if (range.count == std::numeric_limits<uint32_t>::max() && range.first.family() == AF_INET) {
      range.count = 0;  // all of IPv4 is nobody's
    }
  } else if (range.first = ParseAddress(item); range.first.given()) {
    range.count = 1;
  }
  if (range.count == 0) {
    return Wrong(item,
                 "is no source address; write it like 10.0.0.1, 10.0.0.1-10.0.0.9, 127.0.0.0/8 or 2001:db8::1, several "
                 "parted by commas");
  }
  return range;
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
  const std::array<std::pair<absl::string_view, uint32_t*>, 3> parts = {{{text.substr(0, dash), &range.first},
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

uint64_t Sources::Count() const {
  uint64_t count = 0;
  for (const Range& range : ranges) {
    count += range.count;
  }
  return count;
}

SocketAddress Sources::At(uint64_t i) const {
  for (const Range& range : ranges) {
    if (i < range.count) {
      return range.first.Plus(static_cast<uint32_t>(i));
    }
    i -= range.count;
  }
  return {};
}

absl::StatusOr<Sources> ParseSources(absl::string_view text) {
  Sources sources;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    absl::StatusOr<Sources::Range> range = ParseSource(item);
    if (!range.ok()) {
      return range.status();
    }
    sources.ranges.push_back(*range);
  }
  return sources;
}

}  // namespace hongbao::cli
