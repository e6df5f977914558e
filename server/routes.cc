#include "server/routes.h"

#include <limits>

#include "absl/status/statusor.h"

namespace hongbao::server {
namespace {

using admin::Request;
using admin::Response;
using serve::MintOrder;

constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
constexpr int64_t kUserMax = std::numeric_limits<uint32_t>::max();

// Reads parameters one after another and remembers the first error, so that a handler asks once at the end.
class Reader {
 public:
  explicit Reader(const Request& request) : request_(request) {}

  int64_t Need(const char* name, int64_t min, int64_t max) { return Take(request_.Count(name, min, max)); }
  int64_t May(const char* name, int64_t min, int64_t max, int64_t absent) {
    return Take(request_.Count(name, min, max, absent));
  }
  void Known(std::initializer_list<const char*> names) { status_.Update(request_.CheckNames(names)); }
  const absl::Status& status() const { return status_; }

 private:
  int64_t Take(const absl::StatusOr<int64_t>& value) {
    status_.Update(value.status());
    return value.ok() ? *value : 0;
  }

  const Request& request_;
  absl::Status status_;
};

Response Place(serve::Server& server, const absl::Status& read, const MintOrder& order) {
  if (!read.ok()) {
    return admin::ErrorResponse(read);
  }
  const absl::StatusOr<serve::MintReceipt> receipt = server.Mint(order);
  if (!receipt.ok()) {
    return admin::ErrorResponse(receipt.status());
  }
  return admin::JsonResponse({{"first_id", receipt->first_id}, {"count", receipt->count}, {"at", receipt->at_s}});
}

// The parameters that both kinds have. The minter checks the limits that depend on each other.
void ReadCommon(Reader& reader, MintOrder& order) {
  order.rate = reader.Need("rate", 1, kAny);
  order.count = reader.Need("count", 1, kAny);
  order.min_fen = reader.May("min_fen", 1, kAny, order.min_fen);
  order.max_fen = reader.May("max_fen", 1, kAny, order.max_fen);
  order.at_s = reader.May("at", 1, kAny, 0);
  order.seed = static_cast<uint64_t>(reader.May("seed", 1, kAny, 0));
}

Response Shake(serve::Server& server, const Request& request) {
  Reader reader(request);
  MintOrder order{.kind = MintOrder::Kind::kShake};
  reader.Known({"rate", "count", "min_fen", "max_fen", "at", "seed"});
  ReadCommon(reader, order);
  return Place(server, reader.status(), order);
}

Response Gift(serve::Server& server, const Request& request) {
  Reader reader(request);
  MintOrder order{.kind = MintOrder::Kind::kGift};
  reader.Known({"rate", "count", "min_fen", "max_fen", "at", "seed", "users", "first_user", "last_user"});
  ReadCommon(reader, order);
  order.users = static_cast<uint32_t>(reader.May("users", 1, serve::kGiftUsersMax, order.users));
  order.first_user = static_cast<uint32_t>(reader.May("first_user", 0, kUserMax, 0));
  order.last_user =
      static_cast<uint32_t>(reader.May("last_user", 0, kUserMax, int64_t{server.options().users_max} - 1));
  return Place(server, reader.status(), order);
}

// The prototype: `sum` envelopes at `qps` a second, 10..309 fen each.
Response CompatShake(serve::Server& server, const Request& request) {
  Reader reader(request);
  MintOrder order{.kind = MintOrder::Kind::kShake};
  reader.Known({"qps", "sum"});
  order.rate = reader.Need("qps", 1, kAny);
  order.count = reader.Need("sum", 1, kAny);
  return Place(server, reader.status(), order);
}

// The prototype: each to 3 users drawn from [min, max).
Response CompatGift(serve::Server& server, const Request& request) {
  Reader reader(request);
  MintOrder order{.kind = MintOrder::Kind::kGift};
  reader.Known({"qps", "sum", "min", "max"});
  order.rate = reader.Need("qps", 1, kAny);
  order.count = reader.Need("sum", 1, kAny);
  order.first_user = static_cast<uint32_t>(reader.Need("min", 0, kUserMax));
  order.last_user = static_cast<uint32_t>(reader.Need("max", 1, kUserMax + 1) - 1);
  return Place(server, reader.status(), order);
}

}  // namespace

void AddRoutes(admin::AdminServer& admin, serve::Server& server, const ProcessFacts& facts, const time::Clock& clock,
               bool compat) {
  admin.SetReady([&server] { return !server.draining(); });
  admin.Get("/v1/status", [&server, &clock, facts](const Request&) {
    return admin::JsonResponse(StatusJson(server, server.Look(), facts, time::UnixSecond(clock.WallNs())));
  });
  admin.Post("/v1/envelopes/shake", [&server](const Request& request) { return Shake(server, request); });
  admin.Post("/v1/envelopes/gift", [&server](const Request& request) { return Gift(server, request); });
  if (compat) {
    admin.GetCommand("/yaohongbao", [&server](const Request& request) { return CompatShake(server, request); });
    admin.GetCommand("/fahongbao", [&server](const Request& request) { return CompatGift(server, request); });
  }
}

}  // namespace hongbao::server
