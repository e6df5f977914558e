// Reach: where the server is, and what is met there when nobody, or not everybody, can log in.
//
// Owns the words for it. Asks the name server and connects for a moment, at set-up and when nobody could log in; a single
// address is not tried here, the fleet's own connects do that.
// Thread tag: thread-compatible (main's thread).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "client/options.h"
#include "libhongbao/address.h"
#include "libhongbao/load/client.h"

namespace hongbao::client {

// The address to connect to. Of several the first that takes a connection, tried in their order; they are one server's, or
// servers of which any will do. Until one is found `patience_ns` may pass; 0 = each is tried once. `pause(ns)` is called
// between rounds and returns false when the caller is to stop: then Cancelled. Other errors say cause and cure.
absl::StatusOr<SocketAddress> FindServer(const HostPort& server, int64_t patience_ns, const std::function<bool(int64_t)>& pause);

// Why the run cannot go on: nobody could log in, for so long that nobody will. Says what was met and what to do about it.
absl::Status CheckReach(const Options& options, const load::ClientCounts& snapshot);

// What keeps out those who are not in, with the cure; empty when everybody is in, or nothing has been met.
std::string TroubleOf(const Options& options, const load::ClientCounts& snapshot);

// What to do about a failed connect, by its errno's name; null when only the kernel knows.
const char* AdviceFor(const std::string& error);
// "ECONNREFUSED 12, ETIMEDOUT 3": the failed connects.
std::string ErrorsOf(const load::ClientCounts& snapshot);

// Whether what listens there answers a web browser. Takes a second at most.
bool SpeaksHttp(const SocketAddress& address);

}  // namespace hongbao::client
