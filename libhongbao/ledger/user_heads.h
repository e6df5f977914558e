// UserHeads: what the ledger's thread remembers of each user: where the chain of the user's grants begins.
//
// Owns 16 bytes per user that ever appeared (up to the highest id). Never knows amounts: those are in the file.
// Thread tag: thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace hongbao::ledger {

struct UserHead {
  uint64_t max_stamp = 0;  // highest stamp among the grants
  uint32_t last_id = 0;    // newest grant; 0 = none
  uint32_t grants = 0;
};
static_assert(sizeof(UserHead) == 16, "one per user, a million of them");

class UserHeads {
 public:
  UserHead& operator[](uint32_t user) {
    if (user >= heads_.size()) {
      heads_.resize(std::max<size_t>(size_t{user} + 1, heads_.size() * 2));
    }
    return heads_[user];
  }
  UserHead Get(uint32_t user) const { return user < heads_.size() ? heads_[user] : UserHead(); }

 private:
  std::vector<UserHead> heads_;
};

}  // namespace hongbao::ledger
