// Logins: who is let in, and what follows a login: the older session ends, what the client does not know is sent again, and the
// gifts that it has not opened are asked for.
//
// Owns nothing but the token that gateways show. One user a login is done here; a gateway's many are GatewayLogins'.
// Thread tag: worker-local.
#pragma once

#include <cstdint>
#include <optional>

#include "libhongbao/net/connection.h"
#include "libhongbao/serve/gateway_logins.h"
#include "libhongbao/serve/session_services.h"
#include "libhongbao/wire/codec.h"

namespace hongbao::serve {

class Logins : SessionPart {
 public:
  // `owed` counts answers that come later.
  Logins(const SessionOptions& options, const SessionServices& services, GatewayLogins& gateways, uint32_t& owed);

  // From now on logins get "full or draining".
  void Drain() { draining_ = true; }
  bool draining() const { return draining_; }

  net::CloseReason Login(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  // The connection has ended, whether anybody had logged in or not.
  void Leave(const Session& session, uint64_t address);

  // Asks all owners for the gifts that the user has not opened, if there are any.
  void AskForNotices(uint32_t user, uint64_t address);
  // The same for a gateway's users from the `place`-th on, until `notices` may come of it (of one user at least). Returns the
  // place to go on from, 0 when all have been looked at.
  uint32_t AskForSomeNotices(const Session& session, uint64_t address, uint32_t place, uint32_t notices);

 private:
  // Whether the login shows a token that is right for its users.
  bool Proves(const wire::LoginRequest& request) const;
  wire::LoginResult Judge(const Session& session, uint64_t address, const wire::LoginRequest& request, bool proved);
  void EndFormer(uint64_t address, const wire::LoginRequest& request);
  // False: the user is a gateway's, and the login has proved nothing.
  bool Accept(Session& session, uint64_t address, const wire::LoginRequest& request, bool proved);
  // Why the connection of a login that was answered so is closed.
  net::CloseReason CountRefused(wire::LoginResult result);

  const uint32_t workers_;
  const uint32_t wins_per_user_;
  const std::optional<wire::Token> gateway_token_;
  const UserTokenCheck user_token_;
  const PostFunction post_;
  GatewayLogins& gateways_;
  uint32_t& owed_;
};

}  // namespace hongbao::serve
