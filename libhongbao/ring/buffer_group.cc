#include "libhongbao/ring/buffer_group.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "absl/strings/str_cat.h"

namespace hongbao::ring {

absl::Status BufferGroup::Init(io_uring& ring, int id, uint32_t buffers, uint32_t buffer_bytes) {
  int result = 0;
  id_ = id;
  buffers_ = buffers;
  buffer_bytes_ = buffer_bytes;
  ring_ = io_uring_setup_buf_ring(&ring, buffers, id, 0, &result);
  if (ring_ == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("a ring of ", buffers, " receive buffers was refused: ", strerror(-result),
                                                     "; Linux 6.1 or newer and enough locked memory (ulimit -l) are needed"));
  }
  void* memory = mmap(nullptr, size_t{buffers} * buffer_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for receive buffers: ", strerror(errno)));
  }
  memory_ = static_cast<std::byte*>(memory);
  for (uint32_t buffer = 0; buffer < buffers; ++buffer) {
    Recycle(static_cast<uint16_t>(buffer));
  }
  Publish();
  return absl::OkStatus();
}

void BufferGroup::Release(io_uring& ring) {
  if (ring_ != nullptr) {
    io_uring_free_buf_ring(&ring, ring_, buffers_, id_);
    ring_ = nullptr;
  }
}

// After the ring has ended: until then the kernel may write to it.
BufferGroup::~BufferGroup() {
  if (memory_ != nullptr) {
    munmap(memory_, size_t{buffers_} * buffer_bytes_);
  }
}

uint32_t BufferGroup::Publish() {
  const uint32_t published = recycled_;
  if (published > 0) {
    io_uring_buf_ring_advance(ring_, static_cast<int>(published));
    recycled_ = 0;
  }
  return published;
}

}  // namespace hongbao::ring
