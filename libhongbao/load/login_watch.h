// LoginWatch: the members whose login is under way, and for how long, so that one that is never answered ends.
//
// It owns an array of at most as many as may connect at a time; a member remembers its place in it in Member::next, which
// is free then. It never allocates after construction, and never closes anything itself. net/'s own deadline ends with
// the connect: from there on only the application knows what it waits for.
// Thread tag: worker-local.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "libhongbao/load/member.h"

namespace hongbao::load {

class LoginWatch {
 public:
  // `capacity`: members that may be in it at a time.
  explicit LoginWatch(size_t capacity) { waiting_.reserve(capacity); }

  size_t size() const { return waiting_.size(); }

  template <class MemberT>
  void Add(MemberT* members, uint32_t index, int64_t now_ns) {
    members[index].next = static_cast<uint32_t>(waiting_.size());
    waiting_.push_back({index, now_ns});
  }
  // Must be in it.
  template <class MemberT>
  void Remove(MemberT* members, uint32_t index) {
    const uint32_t place = members[index].next;
    waiting_[place] = waiting_.back();
    members[waiting_[place].index].next = place;
    waiting_.pop_back();
    members[index].next = kNoMember;
  }
  // Calls expire(index) for everyone who has waited as long as the deadline. It may not change the watch at once.
  template <class Expire>
  void Check(int64_t now_ns, int64_t deadline_ns, Expire expire) const {
    for (const Waiting& one : waiting_) {
      if (now_ns - one.since_ns >= deadline_ns) expire(one.index);
    }
  }

 private:
  struct Waiting {
    uint32_t index;
    int64_t since_ns;
  };
  std::vector<Waiting> waiting_;
};

}  // namespace hongbao::load
