#include "server/orders.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace hongbao::server {
namespace {

using http::Request;
using http::Response;
using nlohmann::json;
using serve::MintOrder;

constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
constexpr int64_t kListed = 100;
constexpr int64_t kListedMax = 1'000;
constexpr int64_t kUserMax = std::numeric_limits<uint32_t>::max();

// Reads parameters one after another and remembers the first error, so that a handler asks once at the end.
class Reader {
 public:
  explicit Reader(const Request& request) : request_(request) {}

  int64_t Need(const char* name, int64_t min, int64_t max) { return Take(request_.Count(name, min, max)); }
  int64_t May(const char* name, int64_t min, int64_t max, int64_t absent) { return Take(request_.Count(name, min, max, absent)); }
  // The caller's key: the header Idempotency-Key, with or without the quotes of its draft standard, or the parameter key.
  std::string Key() {
    std::string key = request_.Header("idempotency-key");
    if (key.size() >= 2 && key.front() == '"' && key.back() == '"') {
      key = key.substr(1, key.size() - 2);
    }
    if (request_.Has("key")) {
      const std::string parameter = Text("key");
      if (parameter.empty() || (!key.empty() && key != parameter)) {
        status_.Update(absl::InvalidArgumentError("parameter 'key' is empty, or another than the header Idempotency-Key"));
      }
      key = parameter;
    }
    return key;
  }
  std::string Text(const char* name) {
    const absl::StatusOr<std::string> text = request_.Text(name);
    status_.Update(text.status());
    return text.ok() ? *text : "";
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
    return http::ErrorResponse(read);
  }
  const absl::StatusOr<serve::MintReceipt> receipt = server.Mint(order);
  if (!receipt.ok()) {
    return http::ErrorResponse(receipt.status());
  }
  Response response = http::JsonResponse({{"first_id", receipt->first_id}, {"count", receipt->count}, {"at", receipt->at_s}});
  // Who gives a key is told whether there was an order already. Without one the answer is what it always was.
  response.status = order.key.empty() || receipt->repeated ? 200 : 201;
  return response;
}

// The parameters that both kinds have. The minter checks the limits that depend on each other.
void ReadCommon(Reader& reader, MintOrder& order) {
  order.key = reader.Key();
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
  reader.Known({"rate", "count", "min_fen", "max_fen", "at", "seed", "key"});
  ReadCommon(reader, order);
  return Place(server, reader.status(), order);
}

Response Gift(serve::Server& server, const Request& request) {
  Reader reader(request);
  MintOrder order{.kind = MintOrder::Kind::kGift};
  reader.Known({"rate", "count", "min_fen", "max_fen", "at", "seed", "key", "users", "first_user", "last_user"});
  ReadCommon(reader, order);
  order.users = static_cast<uint32_t>(reader.May("users", 1, serve::kGiftUsersMax, order.users));
  order.first_user = static_cast<uint32_t>(reader.May("first_user", 0, kUserMax, 0));
  if (request.Has("last_user")) {
    order.last_user = static_cast<uint32_t>(reader.Need("last_user", 0, kUserMax));
  }
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

// ---- what was ordered ----

const char* StateOf(const serve::KnownOrder& known) {
  if (known.cancel.has_value()) {
    return "cancelled";
  }
  return known.left() == 0 ? "finished" : known.issued == 0 ? "waiting" : "issuing";
}

// Sums may be beyond what a reader of JSON takes for a whole number (2^53): they are there as text, in yuan.
json OrderJson(const serve::KnownOrder& known) {
  const ledger::Order& order = known.order;
  json shown = {{"id", order.first_id},     {"kind", order.is_gift ? "gift" : "shake"},
                {"state", StateOf(known)},  {"count", order.count},
                {"issued", known.issued},   {"cancelled", known.cancelled()},
                {"left", known.left()},     {"rate", order.rate},
                {"min_fen", order.min_fen}, {"max_fen", order.max_fen},
                {"at", order.at_s},         {"created_unix_ms", order.created_ms}};
  if (!order.caller_key.empty()) {
    shown["key"] = order.caller_key;
  }
  if (order.is_gift) {
    shown.update({{"users", order.users}, {"first_user", order.first_user}, {"last_user", order.last_user}});
  } else {
    shown["total_yuan"] = envelope::ToYuan(order.total);
    shown["cancelled_yuan"] = envelope::ToYuan(known.cancel.has_value() ? known.cancel->amount : envelope::Fen());
  }
  return shown;
}

Response Show(const absl::StatusOr<serve::KnownOrder>& known) {
  return known.ok() ? http::JsonResponse(OrderJson(*known)) : http::ErrorResponse(known.status());
}

// The order that ?id= or ?key= names.
absl::StatusOr<serve::KnownOrder> Named(serve::Server& server, const Request& request) {
  if (request.Has("id") == request.Has("key")) {
    return absl::InvalidArgumentError("say which order: parameter 'id', or 'key'");
  }
  Reader reader(request);
  if (request.Has("key")) {
    const std::string key = reader.Text("key");
    return reader.status().ok() ? server.ShowOrderByKey(key) : absl::StatusOr<serve::KnownOrder>(reader.status());
  }
  const auto id = static_cast<uint32_t>(reader.Need("id", 0, kUserMax));
  return reader.status().ok() ? server.ShowOrder(id) : absl::StatusOr<serve::KnownOrder>(reader.status());
}

Response Orders(serve::Server& server, const Request& request) {
  Reader reader(request);
  reader.Known({"id", "key", "after", "limit"});
  if (reader.status().ok() && (request.Has("id") || request.Has("key"))) {
    return Show(Named(server, request));
  }
  const int64_t after = reader.May("after", 0, kUserMax - 1, -1);
  const auto limit = static_cast<size_t>(reader.May("limit", 1, kListedMax, kListed));
  if (!reader.status().ok()) {
    return http::ErrorResponse(reader.status());
  }
  json orders = json::array();
  const std::vector<serve::KnownOrder> found = server.ListOrders(static_cast<uint32_t>(after + 1), limit + 1);
  for (size_t i = 0; i < std::min(found.size(), limit); ++i) {
    orders.push_back(OrderJson(found[i]));
  }
  json page = {{"count", server.orders()}};
  if (found.size() > limit) {
    page["next_after"] = found[limit - 1].order.first_id;
  }
  page["orders"] = std::move(orders);
  return http::JsonResponse(page);
}

Response Cancel(serve::Server& server, const Request& request) {
  if (const absl::Status status = request.CheckNames({"id", "key"}); !status.ok()) {
    return http::ErrorResponse(status);
  }
  const absl::StatusOr<serve::KnownOrder> known = Named(server, request);
  return Show(known.ok() ? server.CancelOrder(known->order.first_id) : known);
}

}  // namespace

void AddOrderRoutes(http::AdminServer& admin, serve::Server& server, bool compat) {
  admin.Post("/v1/envelopes/shake", [&server](const Request& request) { return Shake(server, request); });
  admin.Post("/v1/envelopes/gift", [&server](const Request& request) { return Gift(server, request); });
  admin.Get("/v1/envelopes/orders", [&server](const Request& request) { return Orders(server, request); });
  admin.Delete("/v1/envelopes/orders", [&server](const Request& request) { return Cancel(server, request); });
  if (compat) {
    admin.GetCommand("/yaohongbao", [&server](const Request& request) { return CompatShake(server, request); });
    admin.GetCommand("/fahongbao", [&server](const Request& request) { return CompatGift(server, request); });
  }
}

}  // namespace hongbao::server
