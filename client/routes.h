// Routes: what the client offers over HTTP: its status, and a change of the rate.
//
// Owns the paths and their parameters. Handlers run on the admin server's thread; the client is thread-safe.
// Thread tag: thread-compatible (called once, before the admin server starts).
#pragma once

#include "client/options.h"
#include "libhongbao/http/admin_server.h"
#include "libhongbao/load/client.h"

namespace hongbao::client {

// GET /v1/status, GET /v1/profile (the steps of --profile),
// POST /v1/qps?qps=N[&at=UNIX_SECOND][&name=PHASE], ready = all users have connected; with `compat` the
// prototype's GET /qps?qps=N. All three arguments must outlive the server.
void AddRoutes(http::AdminServer& server, const Options& options, load::Client& client);

}  // namespace hongbao::client
