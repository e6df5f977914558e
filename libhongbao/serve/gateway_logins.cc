#include "libhongbao/serve/gateway_logins.h"

#include <algorithm>
#include <limits>

#include "libhongbao/wire/codec.h"

namespace hongbao::serve {
namespace {

// A gateway is told no stamp further ahead than this: somebody may have made it up, and the gateway would go on above it.
constexpr uint64_t kStampToldAheadNs = uint64_t{1'800} * time::kNsPerSecond;

}  // namespace

GatewayLogins::GatewayLogins(const SessionOptions& options, const SessionServices& services, Gateways& gateways)
    : SessionPart(services),
      users_a_turn_(options.gateway_users_a_turn),
      post_(services.post),
      gateways_(gateways),
      users_left_(users_a_turn_) {}

void GatewayLogins::Drain() {
  draining_ = true;
  LeaveSome(std::numeric_limits<uint64_t>::max());
}

bool GatewayLogins::BeginTurn() {
  users_left_ = users_a_turn_;
  LeaveSome(users_left_);
  return !leaving_.empty();
}

void GatewayLogins::Leave(const Session& session, uint64_t address) {
  address = session.NameOf(address);
  gateway_order_.Remove(address);
  leaving_.push_back({.address = address, .next_user = session.user, .users = gateways_.login(session.gateway).entered});
  gateways_.Remove(session.gateway);
  LeaveSome(draining_ ? std::numeric_limits<uint64_t>::max() : users_left_);
}

void GatewayLogins::LeaveSome(uint64_t users) {
  uint64_t left = 0;
  while (users > 0 && !leaving_.empty()) {
    Leaving& leaving = leaving_.back();
    for (; users > 0 && leaving.users > 0; --users, --leaving.users, ++leaving.next_user) {
      left += directory_.Logout(leaving.next_user, leaving.address) ? 1U : 0U;
      users_left_ -= users_left_ > 0 ? 1U : 0U;
    }
    if (leaving.users == 0) {
      leaving_.pop_back();
    }
  }
  cells_.Add(Counter::kUsersLeft, left);
}

void GatewayLogins::EndReplaced(uint64_t replaced) {
  if (replaced == kOffline) {
    cells_.Add(Counter::kUsersCame);
  } else if (!IsGateway(replaced) || gateway_order_.Remove(replaced)) {
    cells_.Add(Counter::kSuperseded);
    post_(Unpack(replaced).worker, Supersede{replaced});
  }
}

void GatewayLogins::Begin(Session& session, uint64_t address, const wire::LoginRequest& request) {
  session.user = request.first_user;
  session.logged_in = true;
  session.gateway = gateways_.Add(request.user_count, request.stamp);
  gateway_order_.Add(session.NameOf(address));
}

GatewayLogins::Entered GatewayLogins::EnterSome(Session& session, uint64_t address) {
  address = session.NameOf(address);
  const uint32_t users = gateways_.user_count(session.gateway);
  Gateways::Login& login = gateways_.login(session.gateway);
  if (!gateway_order_.Lives(address)) {
    return Entered::kSuperseded;
  }
  // What was replaced once is older for good: an address names one connection, and that came before.
  const auto may_replace = [&](uint64_t holder) {
    return !IsGateway(holder) || holder == login.older || !gateway_order_.IsNewer(holder, address);
  };
  for (; login.entered < users && users_left_ > 0; ++login.entered, --users_left_) {
    const uint32_t user = session.user + login.entered;
    const std::optional<Directory::Came> came = directory_.LoginIf(user, address, may_replace);
    if (!came.has_value()) {
      cells_.Add(Counter::kSuperseded, gateway_order_.Remove(address) ? 1 : 0);
      return Entered::kSuperseded;
    }
    if (came->replaced == kOffline || came->replaced != login.older) {
      login.older = came->replaced == kOffline ? login.older : came->replaced;
      EndReplaced(came->replaced);
    }
    session.stamp_floor = std::max(session.stamp_floor, came->last_stamp);
  }
  return login.entered == users ? Entered::kAll : Entered::kSome;
}

size_t GatewayLogins::Answer(const Session& session, wire::LoginResult result, std::byte* to) {
  Gateways::Login& login = gateways_.login(session.gateway);
  login.answered = result == wire::LoginResult::kOk;
  cells_.Add(login.answered ? Counter::kLoginsOk : Counter::kLoginsFull);
  wire::LoginResponse response{.stamp = login.stamp, .first_user = session.user, .result = result};
  if (login.answered) {
    response.server_unix_ns = static_cast<uint64_t>(clock_.WallNs());
    const bool far_ahead = session.stamp_floor > response.server_unix_ns + kStampToldAheadNs;
    response.last_stamp = far_ahead ? 0 : session.stamp_floor;
  }
  wire::EncodeLoginResponse(to, session.version, response);
  return wire::LoginResponseBytes(session.version);
}

}  // namespace hongbao::serve
