// Routes: the server's admin endpoints: orders for envelopes, and the status page.
//
// Owns nothing; the server must outlive the AdminServer. Never touches a worker: orders go to the minter.
// Thread tag: AddRoutes thread-compatible, before AdminServer::Start.
#pragma once

#include "libhongbao/http/admin_server.h"
#include "libhongbao/serve/server.h"
#include "server/status.h"

namespace hongbao::server {

// `compat`: also the prototype's GET /yaohongbao and GET /fahongbao, which anyone's browser can follow.
void AddRoutes(http::AdminServer& admin, serve::Server& server, const ProcessFacts& facts, const time::Clock& clock, bool compat);

}  // namespace hongbao::server
