// Gateways: which users each gateway of one worker carries, and who may be a gateway at all.
//
// Owns the table of the worker's gateways: connections that logged in with the token for many users at once. Never knows
// sockets; a Session names its gateway by index. Thread tag: worker-local; SameToken thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

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
  static constexpr uint16_t kNone = 0;  // the session is no gateway's
  static constexpr uint32_t kMost = 0xfffe;

  // Room for `gateways_max` (at most kMost).
  explicit Gateways(uint32_t gateways_max) {
    for (uint32_t i = gateways_max; i > 0; --i) {
      free_.push_back(static_cast<uint16_t>(i));
    }
    user_counts_.resize(gateways_max + 1);
    logins_.resize(gateways_max + 1);
  }

  // How far its login has come: its users are logged in one after the other, over many turns.
  struct Login {
    uint64_t stamp = 0;     // of the request, for the answer
    uint32_t entered = 0;   // users that are logged in
    bool answered = false;  // then requests are served
    uint64_t older = 0;     // the session replaced last: one gateway may have held many of the users, and is told once
  };

  bool full() const { return free_.empty(); }
  // Not when full. A gateway's number, never kNone.
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

 private:
  std::vector<uint16_t> free_;
  std::vector<uint32_t> user_counts_;  // [kNone] is unused; by itself, as every shake of a gateway asks
  std::vector<Login> logins_;
};

}  // namespace hongbao::serve
