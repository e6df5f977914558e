// Gateways: which users each gateway of one worker carries, and who may be a gateway at all.
//
// Owns the table of the worker's gateways: connections that logged in with the token for many users at once. Never knows
// sockets; a Session names its gateway by index. Thread tag: worker-local; SameToken thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "libhongbao/serve/session.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::serve {

// In a time that does not depend on where they differ, so that a token cannot be guessed byte by byte.
inline bool SameToken(const wire::Token& one, const wire::Token& other) {
  std::byte difference{0};
  for (size_t i = 0; i < one.size(); ++i) {
    difference |= one[i] ^ other[i];
  }
  return difference == std::byte{0};
}

class Gateways {
 public:
  // Room for `gateways_max`, at most 65,534.
  explicit Gateways(uint32_t gateways_max) : user_counts_(gateways_max + 1), logins_(gateways_max + 1) {
    for (uint32_t i = gateways_max; i > 0; --i) {
      free_.push_back(static_cast<uint16_t>(i));
    }
  }

  // How far its login has come: its users are logged in one after the other, over many turns.
  struct Login {
    uint64_t stamp = 0;     // of the request, for the answer
    uint32_t entered = 0;   // users that are logged in
    bool answered = false;  // then requests are served
    uint64_t older = 0;     // the session replaced last: one gateway may have held many of the users, and is told once
  };

  bool full() const { return free_.empty(); }
  // Not when full. A gateway's number, never kNoGateway.
  uint16_t Add(uint32_t user_count, uint64_t login_stamp = 0) {
    const uint16_t gateway = free_.back();
    free_.pop_back();
    user_counts_[gateway] = user_count;
    logins_[gateway] = {.stamp = login_stamp};
    return gateway;
  }
  void Remove(uint16_t gateway) { free_.push_back(gateway); }

  uint32_t user_count(uint16_t gateway) const { return user_counts_[gateway]; }
  Login& login(uint16_t gateway) { return logins_[gateway]; }
  const Login& login(uint16_t gateway) const { return logins_[gateway]; }

  // Whether `user` is the session's, or one of its gateway's.
  bool Owns(const Session& session, uint32_t user) const {
    return !session.is_gateway() ? user == session.user : user - session.user < user_counts_[session.gateway];
  }
  // Whether some users of the session's gateway have still to enter, or the login is not answered yet.
  bool Entering(const Session& session) const { return session.is_gateway() && !logins_[session.gateway].answered; }

 private:
  std::vector<uint16_t> free_;
  std::vector<uint32_t> user_counts_;  // [kNoGateway] is unused; by itself, as every shake of a gateway asks
  std::vector<Login> logins_;
};

}  // namespace hongbao::serve
