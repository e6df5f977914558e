// LazyArray: a large array of which only what is touched costs memory.
//
// Owns one anonymous mapping, zero-filled by the kernel page by page; elements start as zero bytes and are never
// constructed or destroyed. Never grows.
// Thread tag: thread-compatible.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "libhongbao/cpp20.h"

namespace hongbao::net {

enum class Pages {
  kSmall,  // 4 KiB: for what is touched here and there
  kHuge,   // 2 MiB where the kernel has them: for what fills up, and is then read at random (fewer TLB misses)
};

template <class T>
class LazyArray {
  static_assert(std::is_trivially_destructible_v<T>, "elements are never destroyed");

 public:
  LazyArray() = default;
  explicit LazyArray(size_t size, Pages pages = Pages::kSmall) : size_(size) {
    if (size == 0) {
      return;
    }
    // NORESERVE: the sum of all reservations may exceed the machine; what is used does not (it is derived from the
    // number of connections).
    void* memory = mmap(nullptr, size * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::bad_alloc();  // while a program starts: see net/set_up.h
    }
    if (pages == Pages::kHuge) {
      madvise(memory, size * sizeof(T), MADV_HUGEPAGE);  // a wish: without it the array only is slower
    }
    data_ = static_cast<T*>(memory);
  }
  LazyArray(LazyArray&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  LazyArray& operator=(LazyArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~LazyArray() {
    if (data_ != nullptr) {
      munmap(data_, size_ * sizeof(T));
    }
  }

  size_t size() const { return size_; }
  T* data() { return data_; }
  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace hongbao::net
