#include "libhongbao/serve/overload.h"

namespace hongbao::serve {
namespace {

__extension__ using Wide = __int128;  // ns times rate needs more than 64 bits

}  // namespace

bool RateLimit::TryAcquire(int64_t tokens, int64_t now_ns, int64_t* retry_ns) {
  const int64_t existing = static_cast<int64_t>(Wide{now_ns} * per_second_ / time::kNsPerSecond);
  // relaxed throughout: the number itself is all that the workers share, nothing is published through it.
  int64_t taken = taken_.load(std::memory_order_relaxed);
  for (;;) {
    const int64_t from = std::max(taken, existing - burst_);  // older tokens have expired
    const int64_t to = from + tokens;
    if (to > existing) {
      *retry_ns = static_cast<int64_t>((Wide{to} * time::kNsPerSecond + per_second_ - 1) / per_second_);
      return false;
    }
    if (taken_.compare_exchange_weak(taken, to, std::memory_order_relaxed)) {
      return true;
    }
  }
}

bool RateLease::AcquireChunk(int64_t now_ns) {
  if (now_ns < retry_ns_) {
    return false;
  }
  const int64_t chunk = limit_->chunk();
  if (!limit_->TryAcquire(chunk, now_ns, &retry_ns_)) {
    return false;
  }
  left_ = chunk - 1;
  return true;
}

void DelayControl::CloseWindow(int64_t now_ns) {
  if (requests_ > 0) {
    const bool late = requests_ >= options_.requests_min && waited_ns_ / requests_ > options_.wait_max_us * time::kNsPerUs;
    admitted_ = late ? std::max(kLeast, admitted_ - admitted_ / 20) : std::min(kAll, admitted_ + kAll / 100);
  }
  requests_ = 0;
  waited_ns_ = 0;
  window_start_ns_ = now_ns;
}

}  // namespace hongbao::serve
