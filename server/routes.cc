#include "server/routes.h"

#include "server/orders.h"

namespace hongbao::server {

void AddRoutes(admin::AdminServer& admin, serve::Server& server, const ProcessFacts& facts, const time::Clock& clock,
               bool compat) {
  admin.SetReady([&server] { return !server.draining(); });
  admin.Get("/v1/status", [&server, &clock, facts](const admin::Request&) {
    return admin::JsonResponse(StatusJson(server, server.Look(), facts, clock));
  });
  AddOrderRoutes(admin, server, compat);
}

}  // namespace hongbao::server
