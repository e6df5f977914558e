// The bodies of Fleet (fleet.h). Each carrier's x.cc includes them and makes its fleet, so that what happens for each
// request is compiled with the carrier's own code.
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
  return std::min(
      {clock.Monotonic((context_.second + 1) * time::kNsPerSecond), carrier_.NextTurnNs(), ramp_.NextTurnNs()});
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
  silent_credit_ +=
      std::min(now_ns - std::exchange(silent_ns_, now_ns), round_ns) * static_cast<int64_t>(members.size());
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

// ---- connections ----

template <class CarrierT>
void Fleet<CarrierT>::OnOpen(net::Port& port, net::Connection& connection) {
  const FleetOptions& options = context_.options;
  MemberT& member = ramp_.At(port, connection.slot);
  ramp_.Opened(member, connection);
  const uint64_t stamp = context_.NextStamp(member, context_.WallNs());
  const uint32_t first = carrier_.FirstUser(member), count = carrier_.UserCount(member);
  net::Replies out = port.Out(connection);
  wire::EncodeLoginRequest(
      out.Append(wire::LoginRequestBytes(options.version)),
      {.stamp = stamp,
       .version = options.version,
       .first_user = first,
       .user_count = count,
       .resume_after = carrier_.ResumeAfter(member, stamp),
       .token = options.token.has_value() ? *options.token : MakeUserToken(options.user_token, first, count)});
}

template <class CarrierT>
void Fleet<CarrierT>::OnConnectFailed(net::Port& port, uint32_t slot, int error) {
  MemberT& member = ramp_.At(port, slot);
  carrier_.ConnectFailed(member);
  ramp_.Failed(member, error);
}

template <class CarrierT>
void Fleet<CarrierT>::OnClose(net::Port& port, net::Connection& connection, net::CloseReason reason) {
  MemberT& member = ramp_.At(port, connection.slot);
  context_.cells.Add(Counter::kClosed);
  if (member.state == MemberState::kOnline) {
    context_.cells.Subtract(Counter::kOnline, carrier_.UserCount(member));
    const int64_t silent_ns = port.SilentNs(connection);
    member.closed_idle = reason == net::CloseReason::kPeer && !carrier_.Waits(member) && silent_ns >= kIdleAtLeastNs;
    if (member.closed_idle) {
      // Relaxed: a figure for people that stands by itself.
      context_.tally.idle_close_ns.store(silent_ns, std::memory_order_relaxed);
    }
    carrier_.SessionEnded(member, reason);
  } else if (member.state == MemberState::kLoggingIn) {
    ramp_.Ended(member, reason);
  }
  carrier_.Disconnected(member);
  // What has no answer stays: it is sent again after the next login, and its first outcome comes back. But shakes of v1
  // have no identity: the server would decide them anew.
  if (!context_.v2() || context_.draining || member.state == MemberState::kBarred) {
    LoseShakes(member);
  }
  if (member.state != MemberState::kBarred) {
    ramp_.BackOff(member);
  }
}

template <class CarrierT>
void Fleet<CarrierT>::LoseShakes(MemberT& member) {
  if (context_.draining && carrier_.Waits(member)) {
    context_.now_ns = context_.clock.MonotonicNs();
  }
  for (FinishedRequest shake; carrier_.GiveUpShake(member, shake);) {
    context_.answers.CountLost(shake, context_.draining, context_.now_ns);
  }
}

template <class CarrierT>
size_t Fleet<CarrierT>::OnBytes(net::Port& port, net::Connection& connection, absl::Span<const std::byte> in,
                                net::Replies& out) {
  context_.now_ns = context_.clock.MonotonicNs();
  silence_.Heard(context_.now_ns);
  MemberT& member = ramp_.At(port, connection.slot);
  size_t consumed = 0;
  while (consumed < in.size()) {
    consumed += carrier_.TakeNothings(member, in.subspan(consumed));
    const wire::Peeked peeked = wire::Peek(in.subspan(consumed), wire::Side::kClient, context_.options.version);
    if (peeked.framing == wire::Framing::kPartial) {
      break;
    }
    const bool taken = peeked.framing != wire::Framing::kMalformed &&
                       OnFrame(port, connection, member, peeked.type, in.subspan(consumed, peeked.length), out);
    if (!taken) {
      context_.cells.Add(Counter::kMalformed, peeked.framing == wire::Framing::kMalformed ? 1 : 0);
      if (member.state == MemberState::kLoggingIn) {  // these bytes are no answer to a login
        context_.cells.Add(Counter::kLoginsGarbled);
        context_.tally.stranger.Take(in.data() + consumed, in.size() - consumed);
      }
      return net::kMalformed;
    }
    consumed += peeked.length;
    if (connection.state != net::ConnectionState::kOpen) {
      break;  // refused above: what follows is nobody's
    }
  }
  return consumed;
}

template <class CarrierT>
bool Fleet<CarrierT>::OnFrame(net::Port& port, net::Connection& connection, MemberT& member, wire::FrameType type,
                              wire::FrameBytes frame, net::Replies& out) {
  if (member.state == MemberState::kBarred) {
    return true;  // is being closed
  }
  const bool logged_in = member.logged_in();
  if (logged_in && type == wire::FrameType::kShakeResponse) [[likely]] {
    return OnShakeAnswer(member, frame);
  }
  if (logged_in && type == wire::FrameType::kGiftNotice) {
    return OnNotice(member, frame, out);
  }
  if (logged_in && type == wire::FrameType::kOpenResponse) {
    return OnOpenAnswer(member, frame);
  }
  if (logged_in && type == wire::FrameType::kStatement) {
    return OnStatement(member, frame);
  }
  if (logged_in && type == wire::FrameType::kLoginResponse) {
    return OnSuperseded(member, frame);
  }
  if (member.state == MemberState::kLoggingIn && type == wire::FrameType::kLoginResponse) {
    return OnLogin(port, connection, member, frame, out);
  }
  return Refuse(Counter::kUnexpected);
}

// ---- the session ----

template <class CarrierT>
bool Fleet<CarrierT>::OnLogin(net::Port& port, net::Connection& connection, MemberT& member, wire::FrameBytes frame,
                              net::Replies& out) {
  wire::LoginResponse answer;
  if (wire::DecodeLoginResponse(frame, context_.options.version, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (answer.first_user != carrier_.FirstUser(member) || answer.result == wire::LoginResult::kSuperseded) {
    return Refuse(Counter::kUnexpected);
  }
  if (context_.v2() && answer.stamp != member.last_stamp) {  // nothing is sent between a login and its answer
    return Refuse(Counter::kStampMismatch);
  }
  if (answer.result != wire::LoginResult::kOk) {
    ramp_.Refused(member, answer.result, carrier_.UserCount(member));
    port.Close(connection, net::CloseReason::kRefused);
    return true;
  }
  if (context_.v2()) {
    const int64_t wall_ns = context_.WallNs();
    skew_.Add(static_cast<int64_t>(answer.stamp), wall_ns, static_cast<int64_t>(answer.server_unix_ns));
    if (!IsCredible(answer, member.last_stamp, wall_ns)) {
      return Refuse(Counter::kUnexpected);
    }
    member.last_stamp = std::max(member.last_stamp, answer.last_stamp);
  }
  if (!carrier_.LetIn(port, connection)) {
    return true;
  }
  ramp_.Answered(member);
  context_.cells.Add(Counter::kClosedIdle, member.closed_idle ? 1 : 0);
  context_.cells.Add(Counter::kLogins);
  member.closed_idle = false;
  const bool first_session = !member.seen_online;
  if (carrier_.WantsBases(member)) {
    member.state = MemberState::kBases;
  } else {
    Enter(member);
  }
  carrier_.LoggedIn(member, first_session && answer.last_stamp != 0, out);
  return true;
}

// The member may send.
template <class CarrierT>
void Fleet<CarrierT>::Enter(MemberT& member) {
  ramp_.Entered(member, carrier_.UserCount(member));
  carrier_.Entered(member);
}

// The server closes the connection after it.
template <class CarrierT>
bool Fleet<CarrierT>::OnSuperseded(const MemberT& member, wire::FrameBytes frame) {
  wire::LoginResponse answer;
  if (!context_.v2() || wire::DecodeLoginResponse(frame, context_.options.version, answer) != wire::Decoded::kOk ||
      answer.result != wire::LoginResult::kSuperseded || answer.first_user != carrier_.FirstUser(member)) {
    return Refuse(Counter::kUnexpected);
  }
  context_.cells.Add(Counter::kSuperseded);
  return true;
}

// ---- answers ----

template <class CarrierT>
bool Fleet<CarrierT>::Unmatched(Match match) {
  if (match == Match::kNone) {
    return Refuse(Counter::kUnexpected);  // it answers nothing: its money is not counted
  }
  context_.cells.Add(Counter::kAnswersRepeated);
  return true;
}

template <class CarrierT>
bool Fleet<CarrierT>::OnShakeAnswer(MemberT& member, wire::FrameBytes frame) {
  wire::ShakeResponse answer;
  if (wire::DecodeShakeResponse(frame, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  const bool won = answer.result == wire::ShakeResult::kWon;
  // An amount without a win, or a win without one, is no outcome that anybody could book.
  if (!carrier_.Owns(member, answer.user_id) || won != (answer.amount_fen != 0) || won != (answer.envelope_id != 0)) {
    return Refuse(Counter::kUnexpected);
  }
  FinishedRequest request;
  if (const Match match = carrier_.TakeShake(member, answer.stamp, answer.user_id, request); match != Match::kFound) {
    return Unmatched(match);
  }
  PhaseTally& phase = context_.answers.PhaseDueAt(request.due_ns);
  context_.answers.CountAnswer(phase, answer);
  context_.answers.RecordLatency(phase, request, won, context_.now_ns);
  if (won) {
    BookMoney(member, {request.stamp, request.user, answer.envelope_id, answer.amount_fen, MoneyKind::kShake});
  }
  return true;
}

template <class CarrierT>
void Fleet<CarrierT>::BookMoney(MemberT& member, const MoneyRecord& money) {
  auto& account = carrier_.AccountOf(member, money.user);
  ++account.grants;
  account.fen += money.fen;
  context_.answers.LogMoney(money);
}

// ---- gifts ----

// One notice may invite several users of the member: it counts once for each.
template <class CarrierT>
bool Fleet<CarrierT>::OnNotice(MemberT& member, wire::FrameBytes frame, net::Replies& out) {
  wire::GiftNotice notice;
  if (wire::DecodeGiftNotice(frame, context_.options.version, notice) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (notice.envelope_id == 0) {
    return Refuse(Counter::kUnexpected);
  }
  bool any = false;
  for (const uint32_t user : notice.Users()) {
    if (user - carrier_.FirstUser(member) < carrier_.UserCount(member)) {
      any = true;
      context_.cells.Add(Counter::kNotices);
      context_.cells.Add(OpenFor(member, user, notice.envelope_id, out));
      if constexpr (CarrierT::kOneUser) {
        break;
      }
    }
  }
  if (!any) {
    context_.cells.Add(Counter::kNotices);
    context_.cells.Add(Counter::kNoticesMisdelivered);
  }
  return true;
}

// Returns what became of the notice.
template <class CarrierT>
Counter Fleet<CarrierT>::OpenFor(MemberT& member, uint32_t user, uint32_t envelope_id, net::Replies& out) {
  if (carrier_.HoldsOpen(member, user, envelope_id)) {
    return Counter::kNoticesRepeated;
  }
  if (context_.stopping || !carrier_.HasRoomForOpen(member)) {
    return Counter::kNoticesNotOpened;
  }
  carrier_.NoteGift(member);
  if (!seen_.Insert(user, envelope_id)) {
    return Counter::kNoticesRepeated;
  }
  carrier_.Open(member, user, envelope_id, out);
  context_.cells.Add(Counter::kOpensOutstanding);
  return Counter::kOpensSent;
}

template <class CarrierT>
bool Fleet<CarrierT>::OnOpenAnswer(MemberT& member, wire::FrameBytes frame) {
  wire::OpenResponse answer;
  if (wire::DecodeOpenResponse(frame, context_.options.version, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (answer.envelope_id == 0 || (context_.v2() && !carrier_.Owns(member, answer.user_id))) {
    return Refuse(Counter::kUnexpected);
  }
  FinishedRequest request;
  if (const Match match = carrier_.TakeOpen(member, answer.stamp, answer.user_id, answer.envelope_id, request);
      match != Match::kFound) {
    return Unmatched(match);
  }
  context_.answers.CountOpened(answer.amount_fen);
  if (answer.amount_fen != 0) {
    BookMoney(member, {request.stamp, request.user, answer.envelope_id, answer.amount_fen, MoneyKind::kOpen});
  }
  return true;
}

// ---- statements: what the server says each user got, against what came ----

template <class CarrierT>
bool Fleet<CarrierT>::OnStatement(MemberT& member, wire::FrameBytes frame) {
  wire::Statement answer;
  if (wire::DecodeStatement(frame, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  bool is_base = false;
  if (const Match match = carrier_.TakeStatement(member, answer, is_base); match != Match::kFound) {
    return Unmatched(match);
  }
  if (!is_base) {
    const auto& account = carrier_.AccountOf(member, answer.user_id);
    context_.answers.CompareStatement(answer, account.grants, account.fen);
    return true;
  }
  // A gateway asks for all users' bases: the accounts of those that had nothing stay untouched memory.
  if (answer.grants != 0 || answer.total_fen != 0 || CarrierT::kOneUser) {
    auto& account = carrier_.AccountOf(member, answer.user_id);
    account.grants += answer.grants;
    account.fen += answer.total_fen;
    context_.cells.Add(Counter::kStatementBases);
    context_.cells.Add(Counter::kStatementBasesFen, answer.total_fen);
  }
  if (member.state == MemberState::kBases && carrier_.HasBases(member)) {
    Enter(member);
  }
  return true;
}

}  // namespace hongbao::load
