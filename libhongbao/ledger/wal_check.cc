#include "libhongbao/ledger/wal_check.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"

namespace hongbao::ledger {
namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;
constexpr uint32_t kMagic = 0x377f0682;  // the lowest bit: checksums over big-endian words

uint32_t Big(const unsigned char* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | uint32_t{at[3]};
}
uint32_t Little(const unsigned char* at) {
  return uint32_t{at[3]} << 24 | uint32_t{at[2]} << 16 | uint32_t{at[1]} << 8 | uint32_t{at[0]};
}

// The log's running checksum.
class Checksum {
 public:
  explicit Checksum(bool big_endian) : big_endian_(big_endian) {}

  void Add(const unsigned char* data, size_t bytes) {
    for (size_t at = 0; at + 8 <= bytes; at += 8) {
      first_ += Word(data + at) + second_;
      second_ += Word(data + at + 4) + first_;
    }
  }
  bool Equals(const unsigned char* stored) const { return Big(stored) == first_ && Big(stored + 4) == second_; }

 private:
  uint32_t Word(const unsigned char* at) const { return big_endian_ ? Big(at) : Little(at); }

  bool big_endian_;
  uint32_t first_ = 0;
  uint32_t second_ = 0;
};

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

absl::Status Damaged(const std::string& path, const std::string& what) {
  return absl::DataLossError(absl::StrCat("ledger's log ", path, ": ", what,
                                          "; keep file and log as they are, and restore a backup or ask for help"));
}

}  // namespace

absl::Status CheckWal(const std::string& path) {
  const std::unique_ptr<std::FILE, Closer> file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) {
    return errno == ENOENT ? absl::OkStatus()
                           : absl::InternalError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  std::array<unsigned char, kHeaderBytes> header{};
  if (std::fread(header.data(), 1, header.size(), file.get()) < header.size() ||
      std::all_of(header.begin(), header.end(), [](unsigned char byte) { return byte == 0; })) {
    return absl::OkStatus();  // nothing was ever committed to it
  }
  Checksum checksum((Big(header.data()) & 1) != 0);
  checksum.Add(header.data(), 24);
  const uint32_t page_bytes = Big(header.data() + 8);
  if ((Big(header.data()) & ~1U) != kMagic || !checksum.Equals(header.data() + 24) || page_bytes < 512 || page_bytes > 65536) {
    return Damaged(path, "its header is damaged, so the commits in it cannot be found");
  }
  std::vector<unsigned char> frame(kFrameHeaderBytes + page_bytes);
  bool whole = true;
  int commits_behind = 0;
  while (std::fread(frame.data(), 1, frame.size(), file.get()) == frame.size()) {
    if (std::memcmp(frame.data() + 8, header.data() + 16, 8) != 0) {  // the salts: of an earlier use of the log
      whole = false;
      continue;
    }
    if (whole) {
      checksum.Add(frame.data(), 8);
      checksum.Add(frame.data() + kFrameHeaderBytes, page_bytes);
      whole = checksum.Equals(frame.data() + 16);
    }
    if (!whole && Big(frame.data() + 4) != 0) {  // ends a commit
      ++commits_behind;
    }
  }
  if (commits_behind > 1) {
    return Damaged(path, absl::StrCat(commits_behind, " commits lie behind a damaged place and would be lost"));
  }
  return absl::OkStatus();
}

}  // namespace hongbao::ledger
