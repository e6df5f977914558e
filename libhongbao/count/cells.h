// Cells: one worker's counters, one 64-bit cell per enumerator.
//
// One writer (the owning worker), any reader. Never a read-modify-write and never shared between writers: shared
// atomics cost the prototype its cache lines. What a count means is the business of the room that declares the enum.
// Thread tag: Add/Subtract/Set worker-local; everything const thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "libhongbao/cpp20.h"

namespace hongbao::count {

// An enum whose enumerators run 0, 1, 2.. and end with kCount.
template <typename E>
concept CounterEnum = std::is_enum_v<E> && requires {
  E::kCount;
};

template <CounterEnum E>
inline constexpr size_t kCellsOf = static_cast<size_t>(E::kCount);

// Plain values of all cells of `E`, e.g. a sum over workers or a difference of two moments.
template <CounterEnum E>
struct Values {
  std::array<uint64_t, kCellsOf<E>> value{};

  uint64_t operator[](E id) const { return value[static_cast<size_t>(id)]; }
  uint64_t& operator[](E id) { return value[static_cast<size_t>(id)]; }

  Values& operator+=(const Values& other) {
    for (size_t i = 0; i < value.size(); ++i) {
      value[i] += other.value[i];
    }
    return *this;
  }
  Values& operator-=(const Values& other) {
    for (size_t i = 0; i < value.size(); ++i) {
      value[i] -= other.value[i];
    }
    return *this;
  }
  friend Values operator-(Values a, const Values& b) { return a -= b; }
  friend bool operator==(const Values&, const Values&) = default;
};

// Aligned to a cache line: two workers' cells never share one.
template <CounterEnum E>
class alignas(64) Cells {
 public:
  Cells() = default;
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;

  // Relaxed everywhere: there is one writer, so load + store loses nothing; a reader wants each value whole (64-bit
  // atomic), not an order between cells. For values that agree with each other at a moment see history.h.
  void Add(E id, uint64_t n = 1) {
    std::atomic<uint64_t>& cell = cells_[static_cast<size_t>(id)];
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  // For gauges (live connections).
  void Subtract(E id, uint64_t n = 1) {
    std::atomic<uint64_t>& cell = cells_[static_cast<size_t>(id)];
    cell.store(cell.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  void Set(E id, uint64_t value) { cells_[static_cast<size_t>(id)].store(value, std::memory_order_relaxed); }

  uint64_t Get(E id) const { return cells_[static_cast<size_t>(id)].load(std::memory_order_relaxed); }
  Values<E> Snapshot() const {
    Values<E> values;
    for (size_t i = 0; i < kCellsOf<E>; ++i) {
      values.value[i] = cells_[i].load(std::memory_order_relaxed);
    }
    return values;
  }

 private:
  std::array<std::atomic<uint64_t>, kCellsOf<E>> cells_{};
};

}  // namespace hongbao::count
