// Stranger: what came in place of a login's answer, so that it can be said what listens there.
//
// Owns the first bytes of it, once. Never judges them.
// Thread tag: Take by one thread, bytes by any.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "libhongbao/cpp20.h"

namespace hongbao::load {

class Stranger {
 public:
  void Take(const std::byte* bytes, size_t size) {
    if (size > 0 && size_.load(std::memory_order_relaxed) == 0) {  // ours: as stored
      std::memcpy(bytes_, bytes, std::min(size, sizeof(bytes_)));
      size_.store(static_cast<uint32_t>(std::min(size, sizeof(bytes_))), std::memory_order_release);  // the bytes before it
    }
  }
  // From any thread; empty: nothing of the kind has come.
  std::string bytes() const { return {bytes_, size_.load(std::memory_order_acquire)}; }  // pairs with the release

 private:
  char bytes_[16] = {};
  std::atomic<uint32_t> size_{0};
};

}  // namespace hongbao::load
