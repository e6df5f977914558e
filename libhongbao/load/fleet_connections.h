// Fleet's member functions for connections and the sessions on them; included by fleet_impl.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include "libhongbao/load/fleet_impl.h"

namespace hongbao::load {

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
size_t Fleet<CarrierT>::OnBytes(net::Port& port, net::Connection& connection, absl::Span<const std::byte> in, net::Replies& out) {
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

}  // namespace hongbao::load
