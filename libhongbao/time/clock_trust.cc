#include "libhongbao/time/clock_trust.h"

#include <cstdlib>

#include "libhongbao/time/clock_sync.h"

namespace hongbao::time {

bool ClockTrust::KeptByKernel() {
  const KernelClock kernel = ReadKernelClock();
  return kernel.available && kernel.synchronised;
}

ClockTrust::ClockTrust(int64_t settle_ns, int64_t seen_ms, const Moment& now, Kept kept)
    : settle_ns_(settle_ns), kept_(kept), steps_(now.steps), since_ns_(now.monotonic_ns) {
  offset_ns_ = seen_ms == 0 ? now.wall_ns - now.monotonic_ns : seen_ms * kNsPerMs - now.monotonic_ns;
  started_off_ns_ = now.wall_ns - now.monotonic_ns - offset_ns_;
  Look(now);
}

bool ClockTrust::Look(const Moment& now) {
  if (now.steps != steps_) {
    steps_ = now.steps;
    since_ns_ = now.monotonic_ns;
    confirmed_ = false;
    if (Judge(now)) {
      confirmed_ = true;
      offset_ns_ = now.wall_ns - now.monotonic_ns;
    }
    return true;
  }
  if (confirmed_ || !Judge(now)) {
    return false;
  }
  confirmed_ = true;
  offset_ns_ = now.wall_ns - now.monotonic_ns;
  return true;
}

bool ClockTrust::Judge(const Moment& now) const {
  if (settle_ns_ == 0) {
    return true;
  }
  const bool dead = now.wall_ns < kDeadClockMs * kNsPerMs;
  const bool goes_on = std::abs(now.wall_ns - now.monotonic_ns - offset_ns_) <= settle_ns_;
  return (!dead && (goes_on || now.monotonic_ns - since_ns_ >= settle_ns_)) || kept_();
}

}  // namespace hongbao::time
