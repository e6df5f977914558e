#include "libhongbao/serve/logins.h"

#include <algorithm>

#include "libhongbao/check.h"

namespace hongbao::serve {
namespace {

using net::CloseReason;
using wire::LoginResult;

constexpr uint32_t kUsersLookedAt = 4'096;  // at once, of a gateway that has logged in: some tens of us

}  // namespace

Logins::Logins(const SessionOptions& options, const SessionServices& services, GatewayLogins& gateways, uint32_t& owed)
    : SessionPart(services),
      workers_(services.workers),
      wins_per_user_(options.wins_per_user),
      gateway_token_(options.gateway_token),
      user_token_(options.user_token),
      post_(services.post),
      gateways_(gateways),
      owed_(owed) {}

CloseReason Logins::Login(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::LoginRequest request;
  if (session.version != wire::Version::kUnknown || wire::DecodeLoginRequest(frame, request) != wire::Decoded::kOk) {
    return CloseReason::kMalformed;  // among them: a second login
  }
  cells_.Add(Counter::kFramesLogin);
  if (request.user_count == 0 || uint64_t{request.first_user} + request.user_count > uint64_t{1} << 32) {
    return CloseReason::kMalformed;
  }
  session.version = request.version;

  wire::LoginResponse response{.stamp = request.stamp, .first_user = request.first_user};
  const bool proved = Proves(request);
  response.result = Judge(session, address, request, proved);
  if (response.result == LoginResult::kOk && request.user_count > 1) {
    gateways_.Begin(session, address, request);
    return CloseReason::kNone;  // answered when its users have entered
  }
  if (response.result == LoginResult::kOk && !Accept(session, address, request, proved)) {
    response.result = LoginResult::kBadToken;
  }
  CloseReason close = CloseReason::kNone;
  if (response.result == LoginResult::kOk) {
    cells_.Add(Counter::kLoginsOk);
    response.server_unix_ns = static_cast<uint64_t>(clock_.WallNs());
    response.last_stamp = session.stamp_floor;
    reply.logged_in = true;
  } else {
    close = CountRefused(response.result);
  }
  wire::EncodeLoginResponse(reply.bytes.data(), session.version, response);
  reply.size = wire::LoginResponseBytes(session.version);
  return close;
}

CloseReason Logins::CountRefused(LoginResult result) {
  switch (result) {
    case LoginResult::kBadToken:
      cells_.Add(Counter::kLoginsBadToken);
      return CloseReason::kRefused;
    case LoginResult::kUserOutOfRange:
      cells_.Add(Counter::kLoginsOutOfRange);
      return CloseReason::kRefused;
    case LoginResult::kFullOrDraining:
      cells_.Add(Counter::kLoginsFull);
      return draining_ ? CloseReason::kDrain : CloseReason::kFull;
    case LoginResult::kOk:
    case LoginResult::kSuperseded:
      break;
  }
  Check(false, "no login is refused with this result");
  return CloseReason::kRefused;
}

bool Logins::Proves(const wire::LoginRequest& request) const {
  if (request.version != wire::Version::k2) {
    return false;  // no room for a token
  }
  if (gateway_token_.has_value() && SameToken(request.token, *gateway_token_)) {
    return true;
  }
  return user_token_ && user_token_(request.token, request.first_user, request.user_count, time::UnixSecond(clock_.WallNs()));
}

LoginResult Logins::Judge(const Session& session, uint64_t address, const wire::LoginRequest& request, bool proved) {
  const bool gateway = request.user_count > 1;
  // Without a token or a key of its own the server has no gateways: there is no token that would be right.
  if (!proved && (gateway || user_token_)) {
    return LoginResult::kBadToken;
  }
  // A gateway's login looks each of its users up, some 100 ns each.
  if (request.user_count > wire::kGatewayUsersMax || uint64_t{request.first_user} + request.user_count > directory_.users_max()) {
    return LoginResult::kUserOutOfRange;
  }
  // Connections that have proved nothing could take all places; gateways are counted by themselves.
  if (draining_ || (session.over_limit && !gateway)) {
    return LoginResult::kFullOrDraining;
  }
  if (gateway && gateways_.gateways().full()) {
    EndFormer(address, request);
    return LoginResult::kFullOrDraining;
  }
  if (durable_ && (ledger_.full() || ledger_.swamped())) {
    cells_.Add(Counter::kLedgerFull);
    return LoginResult::kFullOrDraining;
  }
  return LoginResult::kOk;
}

// The table of gateways is full, perhaps by this one's own former connection, whose end nobody has told us of: then that makes
// room, and the gateway comes again.
void Logins::EndFormer(uint64_t address, const wire::LoginRequest& request) {
  const uint64_t holder = directory_.Find(request.first_user);
  const bool former = holder == directory_.Find(request.first_user + request.user_count - 1);
  if (former && IsGateway(holder) && Unpack(holder).worker == Unpack(address).worker) {
    post_(Unpack(holder).worker, Supersede{holder});
  }
}

bool Logins::Accept(Session& session, uint64_t address, const wire::LoginRequest& request, bool proved) {
  const auto may_replace = [&](uint64_t holder) { return proved || !IsGateway(holder) || !gateway_order_.Lives(holder); };
  const std::optional<Directory::Came> came = directory_.LoginIf(request.first_user, address, may_replace);
  if (!came.has_value()) {
    return false;
  }
  session.user = request.first_user;
  session.logged_in = true;
  gateways_.EndReplaced(came->replaced);
  session.stamp_floor = came->last_stamp;
  session.at_cap = wins_per_user_ != 0 && directory_.shake_wins(session.user) >= wins_per_user_;
  if (durable_ && session.version == wire::Version::k2 && request.resume_after < session.stamp_floor) {
    // Its outcomes come after the answer to this login.
    owed_ += ledger::kResumePage;
    ledger_.Submit(RecordOf(ledger::RecordKind::kResume, session, address, session.user, request.resume_after));
  }
  return true;
}

void Logins::Leave(const Session& session, uint64_t address) {
  if (session.is_gateway()) {
    gateways_.Leave(session, address);
  } else if (session.logged_in) {
    cells_.Add(Counter::kUsersLeft, directory_.Logout(session.user, address) ? 1 : 0);
  }
}

void Logins::AskForNotices(uint32_t user, uint64_t address) {
  if (directory_.unopened(user) == 0) {
    return;
  }
  for (uint32_t worker = 0; worker < workers_; ++worker) {
    post_(worker, serve::AskForNotices{.address = address, .user = user});
  }
}

uint32_t Logins::AskForSomeNotices(const Session& session, uint64_t address, uint32_t place, uint32_t notices) {
  const uint32_t users = gateways_.gateways().user_count(session.gateway);
  const uint32_t looked_at_end = place + std::min(kUsersLookedAt, users - place);
  uint32_t asked = 0;
  for (; place < looked_at_end && asked < notices; ++place) {
    const uint32_t user = session.user + place;
    asked += std::min(directory_.unopened(user), static_cast<uint32_t>(Gifts::kRemindMaxOfAll));
    AskForNotices(user, address);
  }
  return place < users ? place : 0;
}

}  // namespace hongbao::serve
