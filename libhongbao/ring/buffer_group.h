// BufferGroup: receive buffers of one size that the kernel picks from when bytes arrive (a provided buffer ring).
//
// Owns the buffers' memory and the ring through which they are handed to the kernel. Never knows what is in them. A buffer is
// ours from the completion that names it until Recycle, and the kernel's again after Publish.
// Thread tag: worker-local.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "libhongbao/cpp20.h"

namespace hongbao::ring {

class BufferGroup {
 public:
  BufferGroup() = default;
  ~BufferGroup();
  BufferGroup(const BufferGroup&) = delete;
  BufferGroup& operator=(const BufferGroup&) = delete;

  // Once: `buffers` (a power of two) of `buffer_bytes` each, as group `id` of `ring`, which must outlive the group's Release.
  // Their memory is touched when they are first used.
  absl::Status Init(io_uring& ring, int id, uint32_t buffers, uint32_t buffer_bytes);
  // Before the ring ends.
  void Release(io_uring& ring);

  bool initialised() const { return ring_ != nullptr; }

  // The first `length` bytes of a buffer.
  absl::Span<const std::byte> Bytes(uint16_t buffer, size_t length) const {
    return {memory_ + size_t{buffer} * buffer_bytes_, length};
  }
  // Gives a buffer back. The kernel sees it after Publish.
  void Recycle(uint16_t buffer) {
    io_uring_buf_ring_add(ring_, memory_ + size_t{buffer} * buffer_bytes_, buffer_bytes_, buffer,
                          io_uring_buf_ring_mask(buffers_), static_cast<int>(recycled_));
    ++recycled_;
  }
  // One store for all that were recycled since the last. Returns how many they were.
  uint32_t Publish();

 private:
  io_uring_buf_ring* ring_ = nullptr;
  std::byte* memory_ = nullptr;
  int id_ = 0;
  uint32_t buffers_ = 0;
  uint32_t buffer_bytes_ = 0;
  uint32_t recycled_ = 0;
};

}  // namespace hongbao::ring
