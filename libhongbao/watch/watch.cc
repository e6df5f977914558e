#include "libhongbao/watch/watch.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace hongbao::watch {

Watch::Watch(Options options, const time::Clock& clock)
    : page_(options.role, options.title),
      metrics_(options.role),
      printer_(stdout, std::move(options.columns), options.quiet || options.json),
      json_rows_(options.json && !options.quiet),
      sender_(absl::StrCat("hongbao-", options.role), options.monitor, clock) {}

void Watch::AddTo(http::AdminServer& server, std::function<Families()> families) {
  metrics_.Add(Collects(std::move(families)));
  metrics_.AddTo(server);
  page_.AddTo(server);
  server.Get("/v1/series", [this](const http::Request& request) { return recent_.Answer(request); });
}

void Watch::Take(const Second& second) {
  printer_.Row(second.cells);
  if (json_rows_) {
    json_lines_.Write(second.document);
  }
  recent_.Add(second.document);
  page_.Publish(second.row);
  if (second.record != nullptr) {
    sender_.Add(*second.record);
  }
}

}  // namespace hongbao::watch
