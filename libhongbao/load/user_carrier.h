// UserCarrier: a fleet whose members are users, each with a connection of its own.
//
// It owns the users, their requests in flight, and the walk through the schedule. A request is sent alone when it is due,
// or counted as missed: the user is offline, or it is too late. Concept Carrier (fleet.h) says what each function is for.
// Thread tag: worker-local; any thread may read the WorkerTally that it writes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "libhongbao/load/fleet.h"
#include "libhongbao/load/in_flight.h"
#include "libhongbao/load/user.h"
#include "libhongbao/net/lazy_array.h"
#include "libhongbao/time/walker.h"

namespace hongbao::load {

class UserCarrier {
 public:
  using MemberT = User;
  static constexpr bool kOneUser = true;

  explicit UserCarrier(FleetContext& context);

  absl::Span<User> members() { return {users_.data(), users_.size()}; }
  uint32_t first_address() const { return first_user_; }
  uint32_t FirstUser(const User& user) const { return first_user_ + static_cast<uint32_t>(&user - &users_[0]); }
  static uint32_t UserCount(const User&) { return 1; }
  // In v1 an answer's 0 means "me", as an open's does: the prototype's server says so to whoever has won.
  bool Owns(const User& user, uint32_t id) const { return id == FirstUser(user) || (id == 0 && !context_.v2()); }
  static User& AccountOf(User& user, uint32_t) { return user; }

  void FollowWall() { walker_.FollowWall(context_.clock.shift_s(), context_.clock.steady_ns()); }
  void BeginTurn() { walker_.Refresh(); }
  void Send(int64_t until_ns, int64_t steady_ns);
  uint64_t ScheduledBetween(int64_t from_ns, int64_t to_ns) { return walker_.CountBetween(from_ns, to_ns); }
  void EndTurn();
  int64_t NextTurnNs() const;
  void StopSending() {}
  void StartAsking() {}  // the next turn begins
  void AbandonStatements();

  uint64_t ResumeAfter(const User& user, uint64_t login_stamp);
  bool LetIn(net::Port&, net::Connection&) { return true; }
  void LoggedIn(User& user, bool has_history, net::Replies& out);
  bool WantsBases(const User&) const { return false; }  // they are asked for behind the login
  bool HasBases(const User&) const { return true; }
  void Entered(User& user);
  void SessionEnded(User& user, net::CloseReason reason);
  void Disconnected(User& user);
  void ConnectFailed(User& user) { user.ended_young = false; }  // its server had gone
  bool ComesBackToStop(const User& user) const { return context_.v2() && Waits(user); }

  static bool Waits(const User& user) { return user.requests.first != kNoRequest; }
  bool AnyWaits() const { return in_flight_.used() > 0; }
  int64_t WaitedNs(const User& user);
  int64_t silence_round_ns() const { return std::max<int64_t>(context_.options.answer_timeout_ns / 4, 1); }
  bool GiveUpShake(User& user, FinishedRequest& shake);
  template <class Each>
  void ForEachWaiting(Each each) {
    in_flight_.ForEachShake([&each](const InFlightRequest& one) { each(one.due_ns); });
  }

  static size_t TakeNothings(User&, absl::Span<const std::byte>) { return 0; }  // it has too few to take many at a time
  Match TakeShake(User& user, uint64_t stamp, uint32_t, FinishedRequest& shake) { return Take(user, stamp, 0, shake); }
  Match TakeOpen(User& user, uint64_t stamp, uint32_t, uint32_t envelope_id, FinishedRequest& open) {
    return Take(user, stamp, envelope_id, open);
  }
  Match TakeStatement(User& user, const wire::Statement& answer, bool& is_base);
  bool HoldsOpen(const User& user, uint32_t, uint32_t envelope_id) const {
    return in_flight_.HoldsOpen(user.requests, envelope_id);
  }
  bool HasRoomForOpen(const User& user) const {
    return !in_flight_.full() && user.outstanding < (context_.v2() ? kRequestsPerUserMax : 255);
  }
  void NoteGift(User& user);
  void Open(User& user, uint32_t id, uint32_t envelope_id, net::Replies& out);

 private:
  static uint32_t MillisecondsOf(int64_t monotonic_ns) { return static_cast<uint32_t>(monotonic_ns / time::kNsPerMs); }

  void SendShake(const time::Due& due, int64_t steady_ns);
  void SendFrame(const User& user, uint64_t stamp, uint32_t envelope_id, net::Replies& out) const;
  Match Take(User& user, uint64_t stamp, uint32_t envelope_id, FinishedRequest& request);
  FinishedRequest Finished(const User& user, const InFlightRequest& request) const;

  void AskStatement(User& user, StatementState awaited, net::Replies& out);
  bool MayAsk() const;
  void AskLast(User& user);
  void SkipStatement(User& user);

  FleetContext& context_;
  const uint32_t first_user_;
  net::LazyArray<User> users_;
  InFlight in_flight_;
  time::Walker walker_;
  uint32_t next_statement_ = 0;  // user to be asked next, at the end
  uint32_t statements_out_ = 0;  // users in StatementState::kAsked
};

using UserFleet = Fleet<UserCarrier>;
extern template class Fleet<UserCarrier>;

}  // namespace hongbao::load
