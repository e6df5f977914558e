// A wall clock that a test can set: preloaded (LD_PRELOAD), it adds the nanoseconds that stand in the file HONGBAO_STEP_FILE to
// what the kernel says of the wall clock. The monotonic clock is left alone. A clock that is set is kept by nobody.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constinit std::atomic<const volatile int64_t*> step_ns{nullptr};

const volatile int64_t* Map() {
  static const int64_t none = 0;
  const char* path = std::getenv("HONGBAO_STEP_FILE");
  const int file = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  void* const memory = file < 0 ? MAP_FAILED : mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (file >= 0) {
    close(file);
  }
  return memory == MAP_FAILED ? &none : static_cast<const volatile int64_t*>(memory);
}

int64_t Step() {
  const volatile int64_t* step = step_ns.load(std::memory_order_acquire);
  if (step == nullptr) {
    step = Map();  // by several threads at once: any mapping will do
    step_ns.store(step, std::memory_order_release);
  }
  return *step;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t id, timespec* now) noexcept {
  if (syscall(SYS_clock_gettime, id, now) != 0) {
    return -1;
  }
  if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) {
    const int64_t ns = int64_t{now->tv_sec} * kNsPerSecond + now->tv_nsec + Step();
    now->tv_sec = ns / kNsPerSecond;
    now->tv_nsec = ns % kNsPerSecond;
  }
  return 0;
}

int gettimeofday(timeval* now, void*) noexcept {
  timespec exact{};
  clock_gettime(CLOCK_REALTIME, &exact);
  *now = {.tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1'000};
  return 0;
}

time_t time(time_t* now) noexcept {
  timespec exact{};
  clock_gettime(CLOCK_REALTIME, &exact);
  if (now != nullptr) {
    *now = exact.tv_sec;
  }
  return exact.tv_sec;
}

int ntp_adjtime(timex* kernel) noexcept {
  std::memset(kernel, 0, sizeof(*kernel));
  kernel->status = STA_UNSYNC;
  return TIME_ERROR;
}

}  // extern "C"
