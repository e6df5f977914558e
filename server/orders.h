// Orders: the admin endpoints that place, list, show and cancel orders for envelopes.
//
// Owns nothing; the server must outlive the AdminServer. Thread tag: AddOrderRoutes thread-compatible, before AdminServer::Start.
#pragma once

#include "libhongbao/http/admin_server.h"
#include "libhongbao/serve/server.h"

namespace hongbao::server {

void AddOrderRoutes(http::AdminServer& admin, serve::Server& server, bool compat);

}  // namespace hongbao::server
