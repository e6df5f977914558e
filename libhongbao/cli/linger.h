// Linger: keeps a process that has done its work and reported it there a little longer, so that a last scrape of /metrics sees
// the end of the run and not a gap.
//
// Owns nothing. Never changes how the run ended. Thread tag: thread-compatible (main's thread, which waits here).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "libhongbao/cli/signals.h"

namespace hongbao::cli {

// Waits `linger_ns` or until SIGINT or SIGTERM, and says so on stderr, with the pages' `address` (HOST:PORT). At once when
// `linger_ns` is 0. SIGUSR1: `status` is called.
void Linger(Signals& signals, int64_t linger_ns, const std::string& address, const std::function<void()>& status);

}  // namespace hongbao::cli
