#include "server/routes.h"

#include "server/orders.h"

namespace hongbao::server {

void AddRoutes(http::AdminServer& admin, serve::Server& server, const ProcessFacts& facts, const time::Clock& clock,
               bool compat) {
  admin.SetReady([&server] { return !server.draining(); });
  admin.Get("/v1/status", [&server, &clock, facts](const http::Request&) {
    return http::JsonResponse(StatusJson(server, server.Look(), facts, clock));
  });
  AddOrderRoutes(admin, server, compat);
}

}  // namespace hongbao::server
