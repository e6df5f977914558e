#include "client/routes.h"

#include <string>

#include "absl/status/statusor.h"
#include "client/status.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/time/schedule.h"

namespace hongbao::client {
namespace {

http::Response Status(const Options& options, const load::Client& client) {
  return http::JsonResponse(StatusJson(options, client.Look(), watch::ReadProcessStats()));
}

http::Response SetRate(const http::Request& request, load::Client& client) {
  if (const absl::Status status = request.CheckNames({"qps", "at", "name"}); !status.ok()) {
    return http::ErrorResponse(status);
  }
  const absl::StatusOr<int64_t> qps = request.Count("qps", 0, time::kQpsMax);
  if (!qps.ok()) {
    return http::ErrorResponse(qps.status());
  }
  // The next second but one: every client told within a second of the others can still be told the same.
  const int64_t next = time::UnixSecond(time::RealClock().WallNs()) + 2;
  const absl::StatusOr<int64_t> at = request.Count("at", 0, time::kSecondMax, next);
  if (!at.ok()) {
    return http::ErrorResponse(at.status());
  }
  std::string name;
  if (request.Has("name")) {
    const absl::StatusOr<std::string> text = request.Text("name");
    if (!text.ok()) {
      return http::ErrorResponse(text.status());
    }
    name = *text;
  }
  if (const absl::Status status = client.SetRate(static_cast<uint32_t>(*qps), *at, name); !status.ok()) {
    return http::ErrorResponse(status);
  }
  return http::JsonResponse({{"qps", *qps}, {"at", *at}, {"name", name}});
}

// The rate over time as it was worked out, [seconds from the start, requests a second of the whole fleet]; [] without one.
http::Response ProfileSteps(const Options& options) {
  nlohmann::json steps = nlohmann::json::array();
  for (const Profile::Step& step : options.steps) {
    steps.push_back({step.second, step.qps});
  }
  return http::JsonResponse({{"steps", std::move(steps)}});
}

}  // namespace

void AddRoutes(http::AdminServer& server, const Options& options, load::Client& client) {
  server.SetReady([&client] { return client.Look().all_online; });
  server.Get("/v1/status", [&options, &client](const http::Request&) { return Status(options, client); });
  server.Get("/v1/profile", [&options](const http::Request&) { return ProfileSteps(options); });
  server.Post("/v1/qps", [&client](const http::Request& request) { return SetRate(request, client); });
  if (options.compat) {
    server.GetCommand("/qps", [&client](const http::Request& request) { return SetRate(request, client); });
  }
}

}  // namespace hongbao::client
