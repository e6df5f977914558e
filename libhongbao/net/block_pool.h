// BlockPool: blocks of one size, by index, for bytes that wait: partial frames and replies not sent yet.
//
// Owns address space for the most that can be in use at once and memory for the most that was. The block given back last
// is taken first, so that in the steady state a few cache-warm blocks serve everyone. Never allocates after construction.
// Thread tag: worker-local.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libhongbao/check.h"
#include "libhongbao/net/lazy_array.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace hongbao::net {

class BlockPool {
 public:
  BlockPool(uint32_t block_bytes, uint32_t blocks)
      : block_bytes_(block_bytes), blocks_(blocks), memory_(size_t{block_bytes} * blocks), free_(blocks) {}
  ~BlockPool() { Allow(0, touched_); }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // A block's index. The pool is as large as its users together can need: running out is a bug.
  uint32_t Take() {
    ++in_use_;
    if (free_count_ > 0) {
      Allow(free_[free_count_ - 1], 1);
      return free_[--free_count_];
    }
    Check(touched_ < blocks_, "a block pool ran out of blocks that its users cannot all need");
    return touched_++;
  }

  void Give(uint32_t index) {
    --in_use_;
    Forbid(index);
    free_[free_count_++] = index;
  }

  std::byte* Data(uint32_t index) { return memory_.data() + size_t{index} * block_bytes_; }
  uint32_t block_bytes() const { return block_bytes_; }
  uint32_t in_use() const { return in_use_; }

 private:
  // Under AddressSanitizer nobody may look into a block that was given back.
  void Forbid([[maybe_unused]] uint32_t index) {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(Data(index), block_bytes_);
#endif
  }
  void Allow([[maybe_unused]] uint32_t first, [[maybe_unused]] uint32_t count) {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(Data(first), size_t{count} * block_bytes_);
#endif
  }

  uint32_t block_bytes_;
  uint32_t blocks_;
  uint32_t touched_ = 0;
  uint32_t free_count_ = 0;
  uint32_t in_use_ = 0;
  LazyArray<std::byte> memory_;
  LazyArray<uint32_t> free_;
};

}  // namespace hongbao::net
