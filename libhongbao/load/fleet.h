// Fleet: one worker's simulated users: it connects them, sends what the schedule says when it says so, and counts every
// answer. The application that net/ runs on the client side.
//
// A fleet's members are its connections. What a connection carries is its Carrier's business: a user (user_carrier.h) or
// a gateway with many users (gateway_carrier.h). The fleet has what both do alike: the turn, the login, the life of a
// session, and what each frame means. Ramp decides who connects when, Answers what is counted.
// It never knows envelopes or ledgers: its totals are an independent witness of the money. It never waits, allocates,
// locks or logs after construction. Open loop: a slow server does not slow the sends down, and latency counts from the
// intended time (no coordinated omission).
// Thread tag: worker-local; any thread may read the WorkerTally that it writes.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/types/span.h"
#include "libhongbao/load/addresses.h"
#include "libhongbao/load/fleet_context.h"
#include "libhongbao/load/ramp.h"
#include "libhongbao/load/seen_notices.h"
#include "libhongbao/load/silence_watch.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/net/port.h"
#include "libhongbao/net/replies.h"
#include "libhongbao/time/clock_sync.h"
#include "libhongbao/time/schedule.h"
#include "libhongbao/wire/codec.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::load {

// What a fleet asks of its carrier. `id`: a user's number in the whole fleet. Beside these a carrier has kOneUser
// (whether a member has one user, or many), and ForEachWaiting(each): each(due_ns) for the shakes without an answer, or
// a sample of them.
template <class C>
concept Carrier = requires(C& c, typename C::MemberT& member, const wire::Statement& answer, absl::Span<const std::byte> in,
                           net::Port& port, net::Connection& connection, net::Replies& out, uint32_t id, uint64_t stamp,
                           int64_t ns, bool flag, FinishedRequest& request) {
  // ---- who the members are ----
  { c.members() } -> std::same_as<absl::Span<typename C::MemberT>>;
  { c.first_address() } -> std::same_as<uint32_t>;  // of the address plan
  { c.FirstUser(member) } -> std::same_as<uint32_t>;
  { c.UserCount(member) } -> std::same_as<uint32_t>;
  { c.Owns(member, id) } -> std::same_as<bool>;  // whether an answer to that user may come by this connection
  c.AccountOf(member, id).grants += 1;           // what the user got so far
  c.AccountOf(member, id).fen += 1;
  // ---- the turn ----
  c.FollowWall();                                            // the wall clock was set
  c.BeginTurn();                                             // learns what was planned
  c.Send(ns, ns);                                            // what is due until then; the second is the steady time now
  { c.ScheduledBetween(ns, ns) } -> std::same_as<uint64_t>;  // requests that the schedule alone has there
  c.EndTurn();                                               // asks for statements, notes when everything was sent
  { c.NextTurnNs() } -> std::same_as<int64_t>;               // when it wants to send by itself, monotonic
  c.StopSending();                                           // kStop, once
  c.StartAsking();                                           // kStatements
  c.AbandonStatements();                                     // the end, before all statements came
  // ---- a session ----
  { c.ResumeAfter(member, stamp) } -> std::same_as<uint64_t>;  // `stamp`: of the login
  { c.LetIn(port, connection) } -> std::same_as<bool>;         // false: it has no room, and has closed the connection
  c.LoggedIn(member, flag, out);                               // after Entered; the flag: its users had a history before
  { c.WantsBases(member) } -> std::same_as<bool>;              // it learns what its users had before it is online
  { c.HasBases(member) } -> std::same_as<bool>;
  c.Entered(member);                           // it is online
  c.SessionEnded(member, net::CloseReason{});  // it was online
  c.Disconnected(member);
  c.ConnectFailed(member);
  { c.ComesBackToStop(member) } -> std::same_as<bool>;  // whether it connects again though nothing new is sent
  // ---- what waits for an answer ----
  { c.Waits(member) } -> std::same_as<bool>;
  { c.AnyWaits() } -> std::same_as<bool>;                    // false: silence need not be looked for
  { c.WaitedNs(member) } -> std::same_as<int64_t>;           // for how long, as far as is known; 0 = for nothing
  { c.silence_round_ns() } -> std::same_as<int64_t>;         // each member is looked at once in it
  { c.GiveUpShake(member, request) } -> std::same_as<bool>;  // the oldest; false = there is none
  // ---- what comes ----
  { c.TakeNothings(member, in) } -> std::same_as<size_t>;  // bytes of answers that it has counted itself
  { c.TakeShake(member, stamp, id, request) } -> std::same_as<Match>;
  { c.TakeOpen(member, stamp, id, id, request) } -> std::same_as<Match>;  // user and envelope
  { c.TakeStatement(member, answer, flag) } -> std::same_as<Match>;       // the flag: it is a base
  { c.HoldsOpen(member, id, id) } -> std::same_as<bool>;
  { c.HasRoomForOpen(member) } -> std::same_as<bool>;
  c.NoteGift(member);  // is to be opened, unless it was before
  c.Open(member, id, id, out);
};

template <class CarrierT>
class Fleet {
  using MemberT = typename CarrierT::MemberT;

 public:
  using Message = FleetMessage;

  // All references must outlive the fleet. `ports` has at least one.
  Fleet(const FleetOptions& options, const AddressPlan& addresses, absl::Span<net::Port* const> ports, time::WallSteps& wall,
        time::Schedule& schedule, time::SkewEstimator& skew, WorkerTally& tally);

  // net/'s application (net/application.h).
  int64_t OnTurn(int64_t now_ns);
  void OnOpen(net::Port& port, net::Connection& connection);
  void OnConnectFailed(net::Port& port, uint32_t slot, int error);
  size_t OnBytes(net::Port& port, net::Connection& connection, absl::Span<const std::byte> in, net::Replies& out);
  void OnClose(net::Port& port, net::Connection& connection, net::CloseReason reason);
  void OnMessage(const Message& message);
  void OnDrain();

 private:
  void TurnSecond(int64_t steady_ns);
  void EndSilent();
  void LoseShakes(MemberT& member);

  // Frames. False: counted, and the connection is to be closed.
  bool OnFrame(net::Port& port, net::Connection& connection, MemberT& member, wire::FrameType type, wire::FrameBytes frame,
               net::Replies& out);
  bool OnLogin(net::Port& port, net::Connection& connection, MemberT& member, wire::FrameBytes frame, net::Replies& out);
  bool OnSuperseded(const MemberT& member, wire::FrameBytes frame);
  bool OnShakeAnswer(MemberT& member, wire::FrameBytes frame);
  bool OnNotice(MemberT& member, wire::FrameBytes frame, net::Replies& out);
  bool OnOpenAnswer(MemberT& member, wire::FrameBytes frame);
  bool OnStatement(MemberT& member, wire::FrameBytes frame);

  void Enter(MemberT& member);
  Counter OpenFor(MemberT& member, uint32_t user, uint32_t envelope_id, net::Replies& out);
  void BookMoney(MemberT& member, const MoneyRecord& money);
  // Of an answer that answers nothing in flight.
  bool Unmatched(Match match);
  bool Refuse(Counter why) {
    context_.cells.Add(why);
    return false;
  }

  FleetContext context_;
  time::SkewEstimator& skew_;
  CarrierT carrier_;
  Ramp<MemberT> ramp_;
  SeenNotices seen_;
  SilenceWatch silence_;
  size_t next_silent_ = 0;     // member that EndSilent looks at next
  int64_t silent_ns_;          // when it looked last, monotonic
  int64_t silent_credit_ = 0;  // looks that are due, times a round
};

}  // namespace hongbao::load
