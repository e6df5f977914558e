#include "libhongbao/count/kept_rows.h"

namespace hongbao::count {
namespace {

// Seven bits a byte, the lowest first.
void PutNumber(size_t number, std::string& to) {
  for (; number >= 0x80; number >>= 7) {
    to += static_cast<char>(number | 0x80);
  }
  to += static_cast<char>(number);
}

size_t GetNumber(const std::string& from, size_t& at) {
  size_t number = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(from[at++]);
    number |= size_t{byte & 0x7fU} << shift;
    if (byte < 0x80) {
      return number;
    }
  }
}

}  // namespace

// Pairs until the row's end: how many bytes are the same, how many are not, and these.
void PackRow(const unsigned char* row, const unsigned char* before, size_t size, std::string& to) {
  for (size_t at = 0; at < size;) {
    const size_t same_from = at;
    while (at < size && row[at] == before[at]) {
      ++at;
    }
    const size_t other_from = at;
    while (at < size && row[at] != before[at]) {
      ++at;
    }
    PutNumber(other_from - same_from, to);
    PutNumber(at - other_from, to);
    to.append(reinterpret_cast<const char*>(row) + other_from, at - other_from);
  }
}

size_t UnpackRow(const std::string& from, size_t at, unsigned char* row, size_t size) {
  for (size_t place = 0; place < size;) {
    place += GetNumber(from, at);
    const size_t others = GetNumber(from, at);
    std::memcpy(row + place, from.data() + at, others);
    at += others;
    place += others;
  }
  return at;
}

}  // namespace hongbao::count
