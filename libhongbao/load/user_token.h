// UserToken: who makes the token of a login, on the client side.
//
// Owns nothing: load/ links no cryptography, so a main gives it the function. Thread tag: thread-safe if the function is.
#pragma once

#include <cstdint>
#include <functional>

#include "libhongbao/wire/messages.h"

namespace hongbao::load {

// Called for each login, as a token expires.
using UserTokenMaker = std::function<wire::Token(uint32_t first_user, uint32_t user_count)>;

inline wire::Token MakeUserToken(const UserTokenMaker& maker, uint32_t first_user, uint32_t user_count) {
  return maker ? maker(first_user, user_count) : wire::Token{};
}

}  // namespace hongbao::load
