// RecordStream: one connection's bytes, cut anywhere, as counter records.
//
// Owns the bytes of the record that has begun and is not whole: one record's worth, held only while there is such a one.
// Never keeps more, never reads past what it was given. Thread tag: thread-compatible (its connection's worker).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "libhongbao/wire/counter_record.h"

namespace hongbao::monitor {

class RecordStream {
 public:
  // Takes all of `in`; calls each(record) for every record that became whole. False: one was malformed, and nothing more
  // may be given. `now_ns`: monotonic.
  template <typename Each>
  bool Take(absl::Span<const std::byte> in, int64_t now_ns, Each each) {
    while (!in.empty()) {
      absl::Span<const std::byte> whole;
      if (held_ == 0 && in.size() >= wire::kCounterRecordBytes) {
        whole = in.first(wire::kCounterRecordBytes);
        in.remove_prefix(whole.size());
      } else {
        in.remove_prefix(Hold(in, now_ns));
        if (held_ < wire::kCounterRecordBytes) {
          return true;
        }
        whole = *bytes_;
      }
      wire::CounterRecord record;
      if (!wire::DecodeCounterRecord(whole, record)) {
        return false;
      }
      if (held_ > 0) {
        held_ = 0;
        bytes_.reset();
      }
      each(record);
    }
    return true;
  }

  // A record has begun and is not whole, since then; 0: none has.
  int64_t began_ns() const { return held_ > 0 ? began_ns_ : 0; }
  // For tests: whether it holds memory.
  bool holds_memory() const { return bytes_ != nullptr; }

 private:
  size_t Hold(absl::Span<const std::byte> in, int64_t now_ns) {
    if (bytes_ == nullptr) {
      bytes_ = std::make_unique<std::array<std::byte, wire::kCounterRecordBytes>>();
      began_ns_ = std::max<int64_t>(now_ns, 1);
    }
    const size_t take = std::min(in.size(), bytes_->size() - held_);
    std::copy_n(in.begin(), take, bytes_->begin() + static_cast<ptrdiff_t>(held_));
    held_ += take;
    return take;
  }

  std::unique_ptr<std::array<std::byte, wire::kCounterRecordBytes>> bytes_;
  size_t held_ = 0;
  int64_t began_ns_ = 0;
};

}  // namespace hongbao::monitor
