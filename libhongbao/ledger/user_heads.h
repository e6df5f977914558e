// UserHeads: what the ledger's thread remembers of each user: where the chain of the user's grants begins, and its sum.
//
// Owns 16 bytes per user up to the highest id that ever got something, and an eighth more.
// Thread tag: thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "libhongbao/cpp20.h"

namespace hongbao::ledger {

struct UserHead {
  int64_t total_fen = 0;
  uint32_t last_id = 0;  // newest grant; 0 = none
  uint32_t grants = 0;
};
static_assert(sizeof(UserHead) == 16, "one per user, a million of them");

class UserHeads {
 public:
  UserHead& operator[](uint32_t user) {
    if (user >= heads_.size()) {
      heads_.reserve(std::max<size_t>(size_t{user} + 1, heads_.size() + heads_.size() / 8 + kStep));
      heads_.resize(size_t{user} + 1);
    }
    return heads_[user];
  }
  UserHead Get(uint32_t user) const { return user < heads_.size() ? heads_[user] : UserHead(); }

 private:
  static constexpr size_t kStep = 4'096;

  std::vector<UserHead> heads_;
};

}  // namespace hongbao::ledger
