#include "libhongbao/net/run.h"

#include <arpa/inet.h>
#include <signal.h>

#include <cstdio>

#include "absl/strings/numbers.h"
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
  const size_t colon = listen.rfind(':');
  uint32_t port = 0;
  in_addr address = {};
  if (colon == std::string::npos || !absl::SimpleAtoi(listen.substr(colon + 1), &port) || port > 65'535 ||
      inet_pton(AF_INET, listen.substr(0, colon).c_str(), &address) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on '", listen, "': expected an IPv4 address and a port, such as 0.0.0.0:7000"));
  }
  options.listen_ipv4 = ntohl(address.s_addr);
  options.listen_port = static_cast<uint16_t>(port);
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
