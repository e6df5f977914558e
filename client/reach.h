// Reach: where the server is: what --server stands for, and which of a name's addresses answers.
//
// Owns nothing. Asks the name server and connects for a moment, at set-up only; a single address is not tried here, the
// fleet's own connects do that.
// Thread tag: thread-compatible (main's thread).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "libhongbao/address.h"

namespace hongbao::client {

// The address to connect to. Of several the first that takes a connection, tried in their order; they are one server's, or
// servers of which any will do. Until one is found `patience_ns` may pass; 0 = each is tried once. `pause(ns)` is called
// between rounds and returns false when the caller is to stop: then Cancelled. Other errors say cause and cure.
absl::StatusOr<SocketAddress> FindServer(const HostPort& server, int64_t patience_ns, const std::function<bool(int64_t)>& pause);

}  // namespace hongbao::client
