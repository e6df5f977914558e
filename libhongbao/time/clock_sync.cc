#include "libhongbao/time/clock_sync.h"

#include <sys/timex.h>

#include <algorithm>
#include <cstdlib>

namespace hongbao::time {
namespace {

constexpr int64_t kNsPerUs = 1'000;
constexpr int kSkewBits = 40;
constexpr int64_t kSkewBiasUs = int64_t{1} << (kSkewBits - 1);
constexpr int64_t kRoundTripMaxUs = (int64_t{1} << (64 - kSkewBits)) - 2;  // below kNone's

}  // namespace

KernelClock ReadKernelClock() {
  timex kernel{};  // modes = 0: read only
  const int state = ntp_adjtime(&kernel);
  if (state < 0) {
    return {};
  }
  const int64_t offset_unit_ns = (kernel.status & STA_NANO) != 0 ? 1 : kNsPerUs;
  return {.available = true,
          .synchronised = state != TIME_ERROR && (kernel.status & STA_UNSYNC) == 0,
          .offset_ns = int64_t{kernel.offset} * offset_unit_ns,
          .max_error_ns = int64_t{kernel.maxerror} * kNsPerUs,
          .estimated_error_ns = int64_t{kernel.esterror} * kNsPerUs};
}

void SkewEstimator::Add(int64_t sent_ns, int64_t received_ns, int64_t server_ns) {
  const int64_t round_trip_us = (received_ns - sent_ns + kNsPerUs - 1) / kNsPerUs;
  if (sent_ns <= 0 || received_ns < sent_ns || round_trip_us > kRoundTripMaxUs || server_ns <= 0) {
    return;
  }
  const int64_t middle_ns = sent_ns + (received_ns - sent_ns) / 2;
  const int64_t skew_us = std::clamp((server_ns - middle_ns) / kNsPerUs, -kSkewBiasUs, kSkewBiasUs - 1);
  const uint64_t sample = static_cast<uint64_t>(round_trip_us) << kSkewBits | static_cast<uint64_t>(skew_us + kSkewBiasUs);
  // Relaxed: the word is the whole message; nothing else is published through it.
  samples_.fetch_add(1, std::memory_order_relaxed);
  uint64_t best = best_.load(std::memory_order_relaxed);
  while (sample < best && !best_.compare_exchange_weak(best, sample, std::memory_order_relaxed)) {
  }
}

Skew SkewEstimator::Best() const {
  const uint64_t best = best_.load(std::memory_order_relaxed);
  if (best == kNone) {
    return {};
  }
  const auto biased_us = static_cast<int64_t>(best & ((uint64_t{1} << kSkewBits) - 1));
  return {.samples = std::max<uint64_t>(1, samples_.load(std::memory_order_relaxed)),
          .skew_ns = (biased_us - kSkewBiasUs) * kNsPerUs,
          .round_trip_ns = static_cast<int64_t>(best >> kSkewBits) * kNsPerUs};
}

const char* ClockWarning(const KernelClock& kernel, const Skew& skew, int64_t tolerance_ns) {
  // Beyond what the path's delay can explain: only then is it the clock.
  if (skew.samples > 0 && std::abs(skew.skew_ns) - skew.round_trip_ns / 2 > tolerance_ns) {
    return "this clock and the server's differ by more than the tolerance; synchronise both by NTP or PTP";
  }
  if (!kernel.available) {
    return "the kernel doesn't say whether this clock is synchronised (ntp_adjtime failed)";
  }
  if (!kernel.synchronised) {
    return "the kernel says that no time daemon keeps this clock; start chrony, ntpd or systemd-timesyncd";
  }
  return kernel.max_error_ns > tolerance_ns ? "this clock's possible error is above the tolerance" : nullptr;
}

}  // namespace hongbao::time
