// Clock sync: how far this machine's wall clock may be off, by two witnesses: the kernel's own view (what NTP or PTP
// told it) and the server's clock as seen in v2 login replies.
//
// Reports only: nothing here changes a clock or a schedule. Source of the estimator: Cristian's algorithm with the
// minimum-round-trip filter of NTP.
// Thread tag: thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

#include "libhongbao/cpp20.h"

namespace hongbao::time {

// What the kernel says (ntp_adjtime with no modes set: a read, needs no privilege).
struct KernelClock {
  bool available = false;     // false: the call failed (seccomp); the rest means nothing
  bool synchronised = false;  // a time daemon keeps it (STA_UNSYNC is clear)
  int64_t offset_ns = 0;      // still to be slewed away
  int64_t max_error_ns = 0;
  int64_t estimated_error_ns = 0;
};
KernelClock ReadKernelClock();

// The best estimate so far of (server's clock - this clock).
struct Skew {
  uint64_t samples = 0;       // replies with a server time; 0: the rest means nothing
  int64_t skew_ns = 0;        // > 0: the server's clock is ahead; whole us, saturates at about +-6 days
  int64_t round_trip_ns = 0;  // of the sample used, rounded up to us; the skew is within half of it
};

// Keeps the sample with the smallest round trip. Any thread adds, any thread reads; once per login, not per request.
class SkewEstimator {
 public:
  // One reply: `sent_ns` and `received_ns` by this machine's wall clock, `server_ns` from the reply. Samples that
  // cannot be true (received before sent, no server time) or took above 16 s are left out.
  void Add(int64_t sent_ns, int64_t received_ns, int64_t server_ns);
  Skew Best() const;
  // This clock has been set: what was known of it is of another time.
  void Forget() { best_.store(kNone, std::memory_order_relaxed); }

 private:
  static constexpr uint64_t kNone = ~uint64_t{0};
  // Round trip in us (24 bits) above the skew in us (40 bits, biased): the better sample is the smaller number, and one
  // word can't be read torn.
  std::atomic<uint64_t> best_{kNone};
  std::atomic<uint64_t> samples_{0};
};

// Why the two clocks are not trustworthy enough for a schedule shared between machines, or null.
const char* ClockWarning(const KernelClock& kernel, const Skew& skew, int64_t tolerance_ns);

}  // namespace hongbao::time
