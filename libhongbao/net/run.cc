#include "libhongbao/net/run.h"

#include <signal.h>

#include <cstdio>

#include "absl/strings/str_cat.h"

namespace hongbao::net {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

absl::Status ParseListen(const std::string& listen, ServiceOptions& options) {
  const absl::StatusOr<HostPort> where = ParseHostPort(listen);
  const absl::StatusOr<SocketAddress> address = where.ok() ? ResolveListen(*where) : where.status();
  if (!address.ok()) {
    return absl::Status(address.status().code(), absl::StrCat("cannot listen: ", std::string(address.status().message())));
  }
  options.listen_address = *address;
  return absl::OkStatus();
}

void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by the workers: only WaitForStopSignal takes them
}

void WaitForStopSignal() {
  const sigset_t signals = StopSignals();
  int signal = 0;
  sigwait(&signals, &signal);
}

int ReportStartError(const absl::Status& status) {
  std::fprintf(stderr, "error: %s\n", std::string(status.message()).c_str());
  return 1;
}

void ReportListening(const std::string& listen, uint16_t port, const ServicePlan& plan) {
  std::fprintf(stderr, "ready: listening on %s:%u, %s\n", listen.substr(0, listen.rfind(':')).c_str(), port,
               plan.ToString().c_str());
}

}  // namespace hongbao::net
