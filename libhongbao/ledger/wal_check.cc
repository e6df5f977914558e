#include "libhongbao/ledger/wal_check.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"

namespace hongbao::ledger {
namespace {

constexpr int64_t kFrameHeaderBytes = 24;
constexpr uint32_t kMagic = 0x377f0682;  // the lowest bit: checksums over big-endian words
constexpr uint32_t kVersion = 3'007'000;
constexpr char kMarkMagic[] = "hb-mark";

uint32_t Big(const unsigned char* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | uint32_t{at[3]};
}
uint32_t Little(const unsigned char* at) {
  return uint32_t{at[3]} << 24 | uint32_t{at[2]} << 16 | uint32_t{at[1]} << 8 | uint32_t{at[0]};
}
void PutBig(uint32_t value, unsigned char* at) {
  for (int i = 0; i < 4; ++i) {
    at[i] = static_cast<unsigned char>(value >> (24 - 8 * i));
  }
}

// The log's running checksum.
class Checksum {
 public:
  explicit Checksum(bool big_endian) : big_endian_(big_endian) {}
  Checksum(bool big_endian, const unsigned char* stored)
      : big_endian_(big_endian), first_(Big(stored)), second_(Big(stored + 4)) {}

  void Add(const unsigned char* data, int64_t bytes) {
    for (int64_t at = 0; at + 8 <= bytes; at += 8) {
      first_ += Word(data + at) + second_;
      second_ += Word(data + at + 4) + first_;
    }
  }
  bool Equals(const unsigned char* stored) const { return Big(stored) == first_ && Big(stored + 4) == second_; }
  void Store(unsigned char* to) const {
    PutBig(first_, to);
    PutBig(second_, to + 4);
  }

 private:
  uint32_t Word(const unsigned char* at) const { return big_endian_ ? Big(at) : Little(at); }

  bool big_endian_;
  uint32_t first_ = 0;
  uint32_t second_ = 0;
};

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Closer>;

absl::Status Damaged(const std::string& path, const std::string& what) {
  return absl::DataLossError(absl::StrCat("ledger's log ", path, "-wal: ", what,
                                          "; keep file and log as they are, and restore a backup or ask for help"));
}

// The frames of one log, one after the other.
class Frames {
 public:
  Frames(std::FILE* log, uint32_t page_bytes) : log_(log), frame_(kFrameHeaderBytes + page_bytes) {}

  // False: no whole frame is left. A mark may still be.
  bool Next() {
    std::fill(frame_.begin(), frame_.begin() + kFrameHeaderBytes + 8, 0);
    return std::fread(frame_.data(), 1, frame_.size(), log_) == frame_.size();
  }
  const unsigned char* header() const { return frame_.data(); }
  const unsigned char* page() const { return frame_.data() + kFrameHeaderBytes; }
  bool EndsCommit() const { return Big(frame_.data() + 4) != 0; }
  bool HasSalts(const unsigned char* salts) const { return std::memcmp(frame_.data() + 8, salts, 8) == 0; }

 private:
  std::FILE* log_;
  std::vector<unsigned char> frame_;
};

uint32_t PageBytesOf(std::FILE* database) {
  std::array<unsigned char, 100> header{};
  if (std::fread(header.data(), 1, header.size(), database) < header.size()) {
    return 0;
  }
  const uint32_t bytes = uint32_t{header[16]} << 8 | header[17];
  return bytes == 1 ? 65536 : bytes;  // 65536 does not fit there
}

// The log's last version of each page, by the commits that are whole if the running checksum begins with `checksum`.
std::map<uint32_t, std::vector<unsigned char>> CommittedPages(std::FILE* log, uint32_t page_bytes, Checksum checksum) {
  std::map<uint32_t, std::vector<unsigned char>> committed, pending;
  std::array<unsigned char, 8> salts{};
  Frames frames(log, page_bytes);
  std::fseek(log, kWalHeaderBytes, SEEK_SET);
  for (bool first = true; frames.Next(); first = false) {
    if (first) {
      std::memcpy(salts.data(), frames.header() + 8, salts.size());
    }
    checksum.Add(frames.header(), 8);
    checksum.Add(frames.page(), page_bytes);
    if (!frames.HasSalts(salts.data()) || !checksum.Equals(frames.header() + 16)) {
      break;
    }
    pending[Big(frames.header())].assign(frames.page(), frames.page() + page_bytes);
    if (frames.EndsCommit()) {
      for (auto& [number, page] : pending) {
        committed[number] = std::move(page);
      }
      pending.clear();
    }
  }
  return committed;
}

// What the log's running checksum may have begun with before the header was damaged: the header's own checksum, or the one of a
// header with the salts of the first frame, in the log's present use or in the one before.
std::vector<Checksum> LikelyBeginnings(std::FILE* log, WalHeader header, uint32_t page_bytes) {
  const bool is_big_endian = (header[3] & 1) != 0;
  std::vector<Checksum> beginnings = {Checksum(is_big_endian, header.data() + 24), Checksum(!is_big_endian, header.data() + 24)};
  std::array<unsigned char, 16> frame{};
  if (std::fread(frame.data(), 1, frame.size(), log) < frame.size()) {
    return beginnings;
  }
  const uint32_t uses = Big(header.data() + 12);
  PutBig(kVersion, header.data() + 4);
  PutBig(page_bytes, header.data() + 8);
  std::memcpy(header.data() + 16, frame.data() + 8, 8);
  for (const uint32_t use : {uses, uses - 1}) {
    for (const bool big_endian : {false, true}) {
      PutBig(kMagic | (big_endian ? 1 : 0), header.data());
      PutBig(use, header.data() + 12);
      beginnings.emplace_back(big_endian).Add(header.data(), 24);
    }
  }
  return beginnings;
}

// Whether the file already has all that a log whose header is damaged may hold.
bool IsWrittenBack(std::FILE* log, const WalHeader& header, const std::string& path) {
  const File database(std::fopen(path.c_str(), "rbe"));
  const uint32_t page_bytes = database == nullptr ? 0 : PageBytesOf(database.get());
  if (page_bytes < 512) {
    return false;
  }
  std::vector<unsigned char> stored(page_bytes);
  const auto is_stored = [&](const auto& page) {
    const int64_t at = (int64_t{page.first} - 1) * page_bytes;
    return page.first > 0 && std::fseek(database.get(), static_cast<long>(at), SEEK_SET) == 0 &&
           std::fread(stored.data(), 1, page_bytes, database.get()) == page_bytes && stored == page.second;
  };
  for (const Checksum& beginning : LikelyBeginnings(log, header, page_bytes)) {
    const auto pages = CommittedPages(log, page_bytes, beginning);
    if (!std::all_of(pages.begin(), pages.end(), is_stored)) {
      return false;
    }
  }
  return true;
}

absl::Status CheckFrames(std::FILE* log, const WalHeader& header, Checksum checksum, const std::string& path) {
  const uint32_t page_bytes = Big(header.data() + 8);
  Frames frames(log, page_bytes);
  uint32_t index = 0, whole_frames = 0, marked_frames = 0;
  int commits_behind = 0;
  for (bool more = true; more; ++index) {
    more = frames.Next();
    const WalMark mark = MarkWal(header, index);
    if (std::memcmp(frames.header(), mark.bytes.data(), mark.bytes.size()) == 0) {
      marked_frames = index;
    }
    if (!more || !frames.HasSalts(header.data() + 16)) {  // those of an earlier use of the log
      continue;
    }
    if (whole_frames == index) {
      checksum.Add(frames.header(), 8);
      checksum.Add(frames.page(), page_bytes);
      whole_frames += checksum.Equals(frames.header() + 16) ? 1U : 0U;
    }
    if (whole_frames <= index && frames.EndsCommit()) {
      ++commits_behind;
    }
  }
  if (marked_frames > whole_frames || commits_behind > 1) {
    return Damaged(path,
                   absl::StrCat("frame ", whole_frames + 1, " is damaged, and commits that were on disk would be lost with it"));
  }
  return absl::OkStatus();
}

}  // namespace

WalMark MarkWal(const WalHeader& header, uint32_t frames) {
  WalMark mark{.offset = kWalHeaderBytes + int64_t{frames} * (kFrameHeaderBytes + Big(header.data() + 8))};
  std::memcpy(mark.bytes.data(), kMarkMagic, 8);
  for (size_t i = 8; i < 16; ++i) {
    mark.bytes[i] = static_cast<unsigned char>(~header[8 + i]);  // never the salts: SQLite must not take it for a frame
  }
  PutBig(frames, mark.bytes.data() + 16);
  Checksum checksum(true);
  checksum.Add(mark.bytes.data(), 24);
  checksum.Store(mark.bytes.data() + 24);
  return mark;
}

absl::Status CheckWal(const std::string& path) {
  const File log(std::fopen((path + "-wal").c_str(), "rbe"));
  if (log == nullptr) {
    return errno == ENOENT ? absl::OkStatus()
                           : absl::InternalError(absl::StrCat("cannot read ", path, "-wal: ", std::strerror(errno)));
  }
  WalHeader header{};
  if (std::fread(header.data(), 1, header.size(), log.get()) < header.size()) {
    return absl::OkStatus();  // nothing was ever committed to it
  }
  Checksum checksum((Big(header.data()) & 1) != 0);
  checksum.Add(header.data(), 24);
  const uint32_t page_bytes = Big(header.data() + 8);
  if ((Big(header.data()) & ~1U) == kMagic && checksum.Equals(header.data() + 24) && page_bytes >= 512 && page_bytes <= 65536) {
    return CheckFrames(log.get(), header, checksum, path);
  }
  return IsWrittenBack(log.get(), header, path) ? absl::OkStatus()
                                                : Damaged(path, "its header is damaged, so the commits in it cannot be found");
}

}  // namespace hongbao::ledger
