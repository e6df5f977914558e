#include "tests/envelope/count_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<uint64_t> allocations{0};
}

// In a file of its own: inlined into their callers, they make g++ warn of mismatched pairs.
void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);  // Relaxed: a count, nothing follows from it
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace hongbao::envelope {
uint64_t Allocations() { return allocations.load(std::memory_order_relaxed); }  // Relaxed: as above
}  // namespace hongbao::envelope
