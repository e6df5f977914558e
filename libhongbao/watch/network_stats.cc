#include "libhongbao/watch/network_stats.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace hongbao::watch {
namespace {

constexpr std::pair<int64_t NetworkStats::*, Column> kNetworkColumns[] = {
    {&NetworkStats::rx_packets, Column::kRxPackets}, {&NetworkStats::rx_bytes, Column::kRxBytes},
    {&NetworkStats::tx_packets, Column::kTxPackets}, {&NetworkStats::tx_bytes, Column::kTxBytes},
    {&NetworkStats::dropped, Column::kDropped},      {&NetworkStats::retransmitted, Column::kRetransmitted}};

std::string ReadWhole(const char* path) {
  std::string text;
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  char chunk[16 << 10];
  for (ssize_t got; file >= 0 && (got = ::read(file, chunk, sizeof chunk)) > 0;) {
    text.append(chunk, static_cast<size_t>(got));
  }
  if (file >= 0) {
    ::close(file);
  }
  return text;
}

std::vector<absl::string_view> Words(absl::string_view line) { return absl::StrSplit(line, ' ', absl::SkipWhitespace()); }

void Add(absl::string_view word, int64_t* sum) {
  int64_t value = 0;
  if (absl::SimpleAtoi(word, &value) && value >= 0) {
    *sum = (*sum < 0 ? 0 : *sum) + value;
  }
}

}  // namespace

NetworkStats ParseNetworkStats(absl::string_view devices, absl::string_view snmp) {
  NetworkStats stats;
  for (const absl::string_view line : absl::StrSplit(devices, '\n')) {
    const std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(':', 1));
    const std::vector<absl::string_view> words = Words(halves.back());
    if (halves.size() == 2 && words.size() >= 12) {  // bytes packets errs drop fifo frame compressed multicast, twice
      Add(words[0], &stats.rx_bytes);
      Add(words[1], &stats.rx_packets);
      Add(words[3], &stats.dropped);
      Add(words[8], &stats.tx_bytes);
      Add(words[9], &stats.tx_packets);
      Add(words[11], &stats.dropped);
    }
  }
  std::vector<absl::string_view> names;
  for (const absl::string_view line : absl::StrSplit(snmp, '\n')) {
    std::vector<absl::string_view> words = Words(line);
    if (words.empty() || words[0] != "Tcp:") {
      continue;
    }
    const size_t at = static_cast<size_t>(std::find(names.begin(), names.end(), "RetransSegs") - names.begin());
    if (at < names.size() && at < words.size()) {
      Add(words[at], &stats.retransmitted);
    }
    names = std::move(words);
  }
  return stats;
}

NetworkStats ReadNetworkStats() { return ParseNetworkStats(ReadWhole("/proc/net/dev"), ReadWhole("/proc/net/snmp")); }

NetworkStats NetworkStats::Since(const NetworkStats& earlier) const {
  NetworkStats between;
  for (const auto& [field, column] : kNetworkColumns) {
    between.*field = earlier.*field < 0 || this->*field < earlier.*field ? -1 : this->*field - earlier.*field;
  }
  return between;
}

void NetworkStats::AddTo(SecondRow* row) const {
  for (const auto& [field, column] : kNetworkColumns) {
    if (this->*field >= 0) {
      (*row)[column] = this->*field;
    }
  }
}

}  // namespace hongbao::watch
