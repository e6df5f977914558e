#include "libhongbao/cli/linger.h"

#include <cstdio>

#include "libhongbao/cli/options.h"
#include "libhongbao/time/clock.h"

namespace hongbao::cli {

void Linger(Signals& signals, int64_t linger_ns, const std::string& address, const std::function<void()>& status) {
  if (linger_ns <= 0) {
    return;
  }
  std::fprintf(stderr, "lingering: http://%s/metrics stays up %s; a signal leaves at once\n", address.c_str(),
               DurationToString(linger_ns).c_str());
  const time::RealClock clock;
  const int64_t until_ns = clock.MonotonicNs() + linger_ns;
  for (int64_t left_ns; (left_ns = until_ns - clock.MonotonicNs()) > 0;) {
    const SignalEvent event = signals.Wait(left_ns);
    if (event == SignalEvent::kStop || event == SignalEvent::kStopNow) {
      return;
    }
    if (event == SignalEvent::kStatus) {
      status();
    }
  }
}

}  // namespace hongbao::cli
