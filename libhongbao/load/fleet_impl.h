// The bodies of Fleet (fleet.h). Each carrier's x.cc includes them and makes its fleet, so that what happens for each
// request is compiled with the carrier's own code.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <algorithm>

#include "libhongbao/load/fleet.h"
#include "libhongbao/net/application.h"

namespace hongbao::load {

template <class CarrierT>
Fleet<CarrierT>::Fleet(const FleetOptions& options, const AddressPlan& addresses, absl::Span<net::Port* const> ports,
                       time::WallSteps& wall, time::Schedule& schedule, time::SkewEstimator& skew, WorkerTally& tally)
    : context_(options, ports, wall, schedule, tally),
      skew_(skew),
      carrier_(context_),
      ramp_(context_, carrier_.members(), carrier_.first_address(), addresses),
      silence_(options.answer_timeout_ns),
      silent_ns_(context_.now_ns) {
  static_assert(Carrier<CarrierT>);
}

// ---- the turn ----

template <class CarrierT>
int64_t Fleet<CarrierT>::OnTurn(int64_t now_ns) {
  context_.now_ns = now_ns;
  const FleetClock& clock = context_.clock;
  if (context_.clock.Turn(now_ns)) {
    context_.schedule.FollowWall(clock.steps(), clock.shift_s(), time::UnixSecond(clock.steady_ns()));
    carrier_.FollowWall();
    skew_.Forget();
  }
  carrier_.BeginTurn();
  TurnSecond(clock.steady_ns());
  carrier_.Send(clock.steady_ns(), clock.steady_ns());
  ramp_.ConnectSome([this](const MemberT& member) { return !context_.stopping || carrier_.ComesBackToStop(member); });
  EndSilent();
  carrier_.EndTurn();
  return std::min({clock.Monotonic((context_.second + 1) * time::kNsPerSecond), carrier_.NextTurnNs(), ramp_.NextTurnNs()});
}

// Closes the second's book once it is over. What was due in it but not sent yet because the worker slept through the
// boundary (by less than a late request's millisecond) still belongs to it: so a second holds exactly what the schedule
// says. After a real stall it does not: then the rows shall show the stall.
template <class CarrierT>
void Fleet<CarrierT>::TurnSecond(int64_t steady_ns) {
  const int64_t second = time::UnixSecond(steady_ns);
  if (second <= context_.second) {
    return;
  }
  const int64_t begin_ns = second * time::kNsPerSecond;
  if (second == context_.second + 1 && steady_ns - begin_ns < kLateAfterNs && !context_.options.max_rate) {
    carrier_.Send(begin_ns - 1, steady_ns);
  }
  if (context_.second != FleetContext::kNoSecond && !context_.stopping) {
    context_.cells.Add(Counter::kScheduled, carrier_.ScheduledBetween(context_.second * time::kNsPerSecond, begin_ns));
  }
  // A second's row also shows for how long the requests without an answer have waited.
  carrier_.ForEachWaiting([&](int64_t due_ns) { context_.tally.waiting.Record(begin_ns - due_ns); });
  context_.tally.history.Roll(second, context_.cells);
  context_.second = second;
  ramp_.EndLateLogins();
}

// Every member is looked at once in a round, a few in each turn: there is no list to keep, and no stall.
template <class CarrierT>
void Fleet<CarrierT>::EndSilent() {
  const absl::Span<MemberT> members = carrier_.members();
  const int64_t now_ns = context_.now_ns, round_ns = carrier_.silence_round_ns();
  silent_credit_ += std::min(now_ns - std::exchange(silent_ns_, now_ns), round_ns) * static_cast<int64_t>(members.size());
  const int64_t looks = silent_credit_ / round_ns;
  silent_credit_ -= looks * round_ns;
  for (int64_t i = 0; i < looks && silence_.on() && carrier_.AnyWaits(); ++i) {
    MemberT& member = members[next_silent_];
    next_silent_ = next_silent_ + 1 < members.size() ? next_silent_ + 1 : 0;
    const int64_t waited_ns = carrier_.WaitedNs(member);
    net::Connection* const connection = waited_ns > 0 ? context_.Find(member) : nullptr;
    if (connection == nullptr) {
      continue;
    }
    net::Port& port = *context_.ports[member.port];
    if (silence_.MayEnd(std::min(waited_ns, port.SilentNs(*connection)), now_ns)) {
      context_.cells.Add(Counter::kClosedSilent);
      port.Close(*connection, net::CloseReason::kNoAnswer);
    }
  }
}

template <class CarrierT>
void Fleet<CarrierT>::OnMessage(const Message& message) {
  if (message == Message::kStop && !context_.stopping) {
    context_.stopping = true;
    carrier_.StopSending();
    // Release: whoever sees it also sees all sends counted.
    context_.tally.stopped.store(true, std::memory_order_release);
  }
  if (message == Message::kStatements && context_.v2() && !context_.draining) {
    context_.asking = true;
    carrier_.StartAsking();
  }
  // kWake: being awake is all that is asked for.
}

// The connections end now: what has no answer will get none. (Those that are open count theirs in OnClose.)
template <class CarrierT>
void Fleet<CarrierT>::OnDrain() {
  context_.stopping = true;
  context_.draining = true;
  context_.now_ns = context_.clock.MonotonicNs();
  if (context_.asking) {
    carrier_.AbandonStatements();
    context_.EndStatements();
  }
  for (MemberT& member : carrier_.members()) {
    if (!member.logged_in() && member.state != MemberState::kLoggingIn) {
      LoseShakes(member);
    }
  }
}

}  // namespace hongbao::load

#include "libhongbao/load/fleet_answers.h"      // IWYU pragma: export
#include "libhongbao/load/fleet_connections.h"  // IWYU pragma: export
