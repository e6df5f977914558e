// Run: a whole service in one call: start, serve until SIGINT or SIGTERM, drain.
//
// Owns nothing after it returns. For programs that need no more than that; others use net/service.h.
// Thread tag: call it from the main thread, before others are started (it blocks the two signals).
#pragma once

#include <cstdint>
#include <string>

#include "libhongbao/net/service.h"

namespace hongbao::net {

struct RunOptions {
  std::string listen = "127.0.0.1:0";  // HOST:PORT, [::]:PORT for IPv6 and IPv4; port 0 = a free one, printed
  uint32_t connections_max = 1'000;
  uint32_t workers = 0;  // 0 = one per processor
  uint32_t drain_ms = 10'000;
  // For applications that end it with Port::ClearDeadline; 0 = a connection needs no first message.
  uint32_t login_deadline_ms = 0;
};

// Fills listen_address; the error shows what was expected.
absl::Status ParseListen(const std::string& listen, ServiceOptions& options);
void BlockStopSignals();
void WaitForStopSignal();
// "error: ..." on stderr; returns 1, the exit code.
int ReportStartError(const absl::Status& status);
void ReportListening(const std::string& listen, uint16_t port, const ServicePlan& plan);

// Returns the program's exit code: 0 after a drain, 1 when it could not start (the reason is on stderr).
template <Application App>
int Run(const RunOptions& options) {
  ServiceOptions service_options = {
      .connections_max = options.connections_max, .workers = options.workers, .login_deadline_ms = options.login_deadline_ms};
  if (absl::Status status = ParseListen(options.listen, service_options); !status.ok()) {
    return ReportStartError(status);
  }
  BlockStopSignals();
  const time::RealClock clock;
  Service<App> service(clock);
  const auto make_app = [](auto& context) {
    if constexpr (std::is_constructible_v<App, decltype(context)>) {
      return std::make_unique<App>(context);
    } else {
      return std::make_unique<App>();
    }
  };
  if (absl::Status status = service.Start(service_options, make_app); !status.ok()) {
    return ReportStartError(status);
  }
  ReportListening(options.listen, service.port(), service.plan());
  WaitForStopSignal();
  service.Drain(options.drain_ms);
  return 0;
}

}  // namespace hongbao::net
