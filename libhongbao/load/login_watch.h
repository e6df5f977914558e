// LoginWatch: the users whose login is under way, and for how long, so that one that is never answered ends.
//
// Owns an array of at most as many as may connect at a time; a user remembers its place in it in User::next, which is free
// then. Never allocates after construction, never closes anything itself. net/'s own deadline ends with the connect: from
// there on only the application knows what it waits for.
// Thread tag: worker-local.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "libhongbao/load/user.h"

namespace hongbao::load {

class LoginWatch {
 public:
  // `capacity`: users that may be in it at a time.
  explicit LoginWatch(size_t capacity) { waiting_.reserve(capacity); }

  size_t size() const { return waiting_.size(); }

  void Add(User* users, uint32_t user, int64_t now_ns) {
    users[user].next = static_cast<uint32_t>(waiting_.size());
    waiting_.push_back({user, now_ns});
  }
  // Must be in it.
  void Remove(User* users, uint32_t user) {
    const uint32_t place = users[user].next;
    waiting_[place] = waiting_.back();
    users[waiting_[place].user].next = place;
    waiting_.pop_back();
    users[user].next = kNoUser;
  }
  // Calls expire(user) for everyone who has waited as long as the deadline. It may not change the watch at once.
  template <typename Expire>
  void Check(int64_t now_ns, int64_t deadline_ns, Expire expire) const {
    for (const Waiting& one : waiting_) {
      if (now_ns - one.since_ns >= deadline_ns) expire(one.user);
    }
  }

 private:
  struct Waiting {
    uint32_t user;
    int64_t since_ns;
  };
  std::vector<Waiting> waiting_;
};

}  // namespace hongbao::load
