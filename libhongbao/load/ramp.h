// Ramp: how a fleet's members connect: at which pace, by which address and port, and when again after a failure.
//
// It owns the order of connecting, the logins under way, and which slot of a port belongs to which member. It never
// sends: the fleet does, and says what became of a login. First connects and reconnects share one rate, so that a server
// that has just come back meets no storm.
// Thread tag: worker-local; any thread may read the WorkerTally that it writes.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/load/addresses.h"
#include "libhongbao/load/fleet_context.h"
#include "libhongbao/load/login_watch.h"
#include "libhongbao/load/reconnect.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/net/lazy_array.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::load {

template <class MemberT>
class Ramp {
 public:
  // All of them wait at first. The references and `members` must outlive the ramp; the i-th member connects by the
  // plan's address number first_address + i.
  Ramp(FleetContext& context, absl::Span<MemberT> members, uint32_t first_address, const AddressPlan& addresses)
      : context_(context),
        members_(members),
        first_address_(first_address),
        addresses_(addresses),
        wheel_(context.now_ns),
        limit_(context.options.connects_per_second),
        logins_(std::min<size_t>(context.options.connecting_max, members.size())),
        random_(context.options.seed * 0x9e37'79b9'7f4a'7c15 + 1) {
    for (const net::Port* port : context.ports) {
      slot_members_.emplace_back(port->slots());
    }
    for (uint32_t i = 0; i < members_.size(); ++i) {
      ready_.Push(members_.data(), i);
    }
    Settle(0);  // a worker without members is ready
  }

  MemberT& At(const net::Port& port, uint32_t slot) { return members_[slot_members_[port.index()][slot]]; }

  // ---- in each turn ----

  // Starts as many connects as the pace allows, of the members that may_come(member) says yes to. The others are
  // forgotten: the answer is asked for at the end of a run only, and stays no.
  template <class MayCome>
  void ConnectSome(MayCome may_come) {
    wheel_.Advance(members_.data(), context_.now_ns, ready_,
                   [this](uint32_t index) { members_[index].state = MemberState::kWaiting; });
    while (!ready_.empty() && !context_.draining) {
      if (!may_come(members_[ready_.front()])) {
        ready_.Pop(members_.data());
        continue;
      }
      if (connecting_ >= context_.options.connecting_max || !limit_.TryTake(context_.now_ns) ||
          !Start(ready_.Pop(members_.data()))) {
        return;
      }
    }
  }
  // When it wants the next turn, monotonic; time::kNever: what it waits for is a completion.
  int64_t NextTurnNs() const {
    int64_t next_ns = time::kNever;
    if (!context_.draining && !ready_.empty() && connecting_ < context_.options.connecting_max) {
      next_ns = std::max(limit_.next_ns(), context_.now_ns + context_.options.send_quantum_ns);
    }
    return wheel_.waiting() > 0 ? std::min(next_ns, context_.now_ns + ReconnectWheel::kTickNs) : next_ns;
  }
  // Looked at once a second: a server that hangs must not hold the places of those that could connect.
  void EndLateLogins() {
    logins_.Check(context_.now_ns, context_.options.connect_timeout_ns, [this](uint32_t index) {
      if (net::Connection* const connection = context_.Find(members_[index]); connection != nullptr) {
        context_.cells.Add(Counter::kLoginsTimedOut);
        context_.ports[members_[index].port]->Close(*connection, net::CloseReason::kLoginDeadline);
      }
    });
  }

  // ---- what became of a connect, and of a login ----

  void Opened(MemberT& member, const net::Connection& connection) {
    member.generation = connection.generation & 0xff'ffff;
    member.state = MemberState::kLoggingIn;
    context_.cells.Add(Counter::kConnects);
    logins_.Add(members_.data(), IndexOf(member), context_.now_ns);
  }
  void Failed(MemberT& member, int error) {
    member.closed_idle = false;  // the server is not there any more
    --connecting_;
    CountFailed(error);
    BackOff(member);
  }
  // The login has been answered.
  void Answered(MemberT& member) {
    logins_.Remove(members_.data(), IndexOf(member));
    --connecting_;
  }
  // The connection has ended in a login, answered or not.
  void Ended(MemberT& member, net::CloseReason reason) {
    member.closed_idle = false;
    Answered(member);
    if (reason == net::CloseReason::kPeer || reason == net::CloseReason::kReset) {
      context_.cells.Add(Counter::kLoginsClosed);
    }
  }
  // The server refuses the login, and the connection ends now. A server that is full is asked again.
  void Refused(MemberT& member, wire::LoginResult why, uint32_t users) {
    constexpr uint32_t kLast = static_cast<uint32_t>(LoginRefusal::kCount) - 1;
    context_.cells.Add(Counter::kLoginsRefused);
    context_.tally.login_refusals.Add(static_cast<LoginRefusal>(std::min(static_cast<uint32_t>(why), kLast)));
    member.closed_idle = false;
    if (why != wire::LoginResult::kFullOrDraining) {
      Answered(member);
      member.state = MemberState::kBarred;  // asking again would not change it
      context_.cells.Add(Counter::kBarred, users);
      Settle(member.seen_online ? 0 : 1);
    }
  }
  // A member with so many users has a session.
  void Entered(MemberT& member, uint32_t users) {
    member.state = MemberState::kOnline;
    member.failures = 0;
    context_.cells.Add(Counter::kOnline, users);
    if (!member.seen_online) {
      member.seen_online = true;
      context_.cells.Add(Counter::kEstablished, users);
      Settle(1);
    }
  }
  // The member connects again, but not at once.
  void BackOff(MemberT& member) {
    member.failures = static_cast<uint8_t>(std::min(member.failures + 1, int{kFailuresMax})) & kFailuresMax;
    member.state = MemberState::kBackOff;
    random_ = random_ * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;  // Knuth's MMIX generator
    wheel_.Add(members_.data(), IndexOf(member), context_.now_ns + BackOffNs(member.failures, random_ >> 16));
  }

 private:
  uint32_t IndexOf(const MemberT& member) const { return static_cast<uint32_t>(&member - members_.data()); }

  // False: there are no descriptors or no memory, and the others would meet the same.
  bool Start(uint32_t index) {
    MemberT& member = members_[index];
    const auto [source, destination] = addresses_.PairOf(first_address_ + index);
    int32_t slot = -EMFILE;
    // A full table (EMFILE) on one port is no reason to fail while another has room.
    for (size_t tries = 0; tries < context_.ports.size() && slot == -EMFILE; ++tries) {
      member.port = static_cast<uint8_t>(next_port_);
      next_port_ = (next_port_ + 1) % context_.ports.size();
      slot = context_.ports[member.port]->Connect(source, destination);
    }
    if (slot < 0) {
      CountFailed(-slot);
      BackOff(member);
      return -slot != EMFILE && -slot != ENFILE && -slot != ENOBUFS && -slot != ENOMEM;
    }
    member.slot = static_cast<uint32_t>(slot);
    member.generation = 0;  // not open yet: nothing finds it
    member.state = MemberState::kConnecting;
    slot_members_[member.port][member.slot] = index;
    ++connecting_;
    return true;
  }
  void CountFailed(int error) {
    context_.cells.Add(Counter::kConnectsFailed);
    context_.tally.connect_errors.Add(static_cast<Errno>(std::clamp<int>(error, 0, static_cast<int>(Errno::kCount) - 1)));
  }
  void Settle(uint32_t members) {
    settled_ += members;
    // Once. Relaxed: only this worker writes it. Release: whoever sees it also sees the counters of the logins before it.
    if (settled_ == members_.size() && context_.tally.all_online_ns.load(std::memory_order_relaxed) == 0) {
      context_.tally.all_online_ns.store(std::max<int64_t>(context_.now_ns, 1), std::memory_order_release);
    }
  }

  FleetContext& context_;
  const absl::Span<MemberT> members_;
  const uint32_t first_address_;
  const AddressPlan& addresses_;
  std::vector<net::LazyArray<uint32_t>> slot_members_;  // by port, by slot: index of the member
  MemberQueue ready_;
  ReconnectWheel wheel_;
  RateLimit limit_;
  LoginWatch logins_;        // members in kLoggingIn
  uint32_t connecting_ = 0;  // members in kConnecting or kLoggingIn
  uint32_t settled_ = 0;     // members that have had a session, or never will
  size_t next_port_ = 0;
  uint64_t random_;
};

}  // namespace hongbao::load
