// ClientOptions: what the load generator of one process is told before it starts.
//
// Owns nothing that lives: values, and what follows from them alone. Never parses flags.
// Thread tag: a value.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "libhongbao/load/addresses.h"
#include "libhongbao/load/gateway_window.h"
#include "libhongbao/load/user_token.h"
#include "libhongbao/net/service_plan.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::load {

struct ClientOptions {
  std::vector<SocketAddress> servers{};  // at least one; all of them reach the same server
  UserRange users{};
  wire::Version version = wire::Version::k2;
  std::vector<SourceRange> sources{};  // empty = chosen by the address plan
  uint32_t workers = 0;                // 0 = one per processor
  uint32_t connects_per_second = 50'000;
  uint32_t connecting_max_per_worker = 512;
  int64_t connect_timeout_ns = 10 * time::kNsPerSecond;  // of a connect, and of a login's answer
  int64_t answer_timeout_ns = 10 * time::kNsPerSecond;   // see SilenceWatch; 0 = never
  ring::SocketOptions sockets{.peer_timeout_ms = 20'000, .keepalive_ms = 60'000};
  int64_t late_max_ns = time::kNsPerSecond;
  int64_t send_quantum_ns = 50'000;
  bool statements = true;                 // v2: whether AskStatements has the bases it needs
  uint32_t money_records_per_worker = 0;  // of the way to the money log; 0 = none is kept
  // Makes the token of each login, v2 (docs/PROTOCOL.md, "User tokens"); called on all workers. Empty: logins carry none.
  UserTokenMaker user_token{};
  net::Tuning tuning{};
  bool burst = false;  // all of a second's requests at its start
  // Gateway mode, v2: so many connections carry all users, at least two each. 0 = a connection for each user. The next five
  // are for it alone, and late_max_ns and connecting_max_per_worker mean nothing in it.
  uint32_t gateways = 0;
  std::optional<wire::Token> gateway_token{};  // without it user_token makes the gateways' too
  uint32_t window = 16'384;                    // requests in flight per gateway
  bool max_rate = false;                       // whatever rate is set, but 0: as fast as the windows allow
  uint64_t requests_max = 0;  // of the whole fleet, at max_rate of this client, from the first rate on; 0 = no limit
};

inline constexpr uint32_t kGatewaysMax = 4'096;
inline constexpr uint64_t kRequestsMax = 1'000'000'000'000'000;

// Of so many requests the latency of one is recorded.
inline uint64_t LatencySampleEvery(const ClientOptions& options) {
  return options.gateways > 0 ? GatewayWindow::kSampleEvery : 1;
}

}  // namespace hongbao::load
