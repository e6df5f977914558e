#include "client/endpoints.h"

#include <string>

#include "absl/status/statusor.h"
#include "client/document.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/time/schedule.h"

namespace hongbao::client {
namespace {

admin::Response Status(const Options& options, const load::Client& client) {
  return admin::JsonResponse(StatusDocument(options, client.Snapshot(), admin::ReadProcessStats()));
}

admin::Response SetRate(const admin::Request& request, load::Client& client) {
  if (const absl::Status status = request.CheckNames({"qps", "at", "name"}); !status.ok()) {
    return admin::ErrorResponse(status);
  }
  const absl::StatusOr<int64_t> qps = request.Count("qps", 0, time::kQpsMax);
  if (!qps.ok()) {
    return admin::ErrorResponse(qps.status());
  }
  // The next second but one: every client told within a second of the others can still be told the same.
  const int64_t next = time::UnixSecond(time::RealClock().WallNs()) + 2;
  const absl::StatusOr<int64_t> at = request.Count("at", 0, time::kSecondMax, next);
  if (!at.ok()) {
    return admin::ErrorResponse(at.status());
  }
  std::string name;
  if (request.Has("name")) {
    const absl::StatusOr<std::string> text = request.Text("name");
    if (!text.ok()) {
      return admin::ErrorResponse(text.status());
    }
    name = *text;
  }
  if (const absl::Status status = client.SetRate(static_cast<uint32_t>(*qps), *at, name); !status.ok()) {
    return admin::ErrorResponse(status);
  }
  return admin::JsonResponse({{"qps", *qps}, {"at", *at}, {"name", name}});
}

// The rate over time as it was worked out, [seconds from the start, requests a second of the whole fleet]; [] without one.
admin::Response Profile(const Options& options) {
  nlohmann::json steps = nlohmann::json::array();
  for (const admin::Profile::Step& step : options.steps) {
    steps.push_back({step.second, step.qps});
  }
  return admin::JsonResponse({{"steps", std::move(steps)}});
}

}  // namespace

void AddEndpoints(admin::AdminServer& server, const Options& options, load::Client& client) {
  server.SetReady([&client] { return client.Snapshot().all_online; });
  server.Get("/v1/status", [&options, &client](const admin::Request&) { return Status(options, client); });
  server.Get("/v1/profile", [&options](const admin::Request&) { return Profile(options); });
  server.Post("/v1/qps", [&client](const admin::Request& request) { return SetRate(request, client); });
  if (options.compat) {
    server.GetCommand("/qps", [&client](const admin::Request& request) { return SetRate(request, client); });
  }
}

}  // namespace hongbao::client
