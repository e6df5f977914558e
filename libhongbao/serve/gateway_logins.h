// GatewayLogins: the users of a worker's gateways. They log in and out over many turns, some in each; then the login is answered.
//
// Owns what is left to log out of gateways that have ended. From a gateway's login to its
// answer nothing that the gateway sends is to be handed to Sessions::OnBytes. Thread tag: worker-local.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "libhongbao/serve/gateways.h"
#include "libhongbao/serve/session_services.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::serve {

class GatewayLogins : SessionPart {
 public:
  GatewayLogins(const SessionOptions& options, const SessionServices& services, Gateways& gateways);

  // From now on users leave at once: nobody comes any more whom that would keep waiting.
  void Drain();

  // A new turn: so many users more may be logged in and out. True: some still wait for it.
  bool BeginTurn();

  // A gateway's login has been judged, and is good.
  void Begin(Session& session, uint64_t address, const wire::LoginRequest& request);
  bool Entering(const Session& session) const { return gateways_.Entering(session); }
  enum class Entered : uint8_t { kSome, kAll, kSuperseded };  // the last: by a newer gateway's login
  Entered EnterSome(Session& session, uint64_t address);
  // kOk once all have entered. At most 36 bytes; returns how many.
  size_t Answer(const Session& session, wire::LoginResult result, std::byte* to);

  // A gateway has ended, however many of its users have entered.
  void Leave(const Session& session, uint64_t address);

  // A login has taken the place of the session `replaced` (kOffline: of none), which is to be closed.
  void EndReplaced(uint64_t replaced);

  // For a gateway that changes its worker before any of its users has entered.
  Gateways& gateways() { return gateways_; }

 private:
  void LeaveSome(uint64_t users);

  // Users of gateways that have ended, to be logged out.
  struct Leaving {
    uint64_t address = 0;
    uint32_t next_user = 0;
    uint32_t users = 0;
  };

  const uint32_t users_a_turn_;
  const PostFunction post_;
  Gateways& gateways_;
  std::vector<Leaving> leaving_;
  uint32_t users_left_;  // that may be logged in and out in this turn
};

}  // namespace hongbao::serve
